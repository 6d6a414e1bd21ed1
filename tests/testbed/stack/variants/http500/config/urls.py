from django.http import JsonResponse
from django.urls import path

from tours import views


def broken(request):
    return JsonResponse({"error": "this version answers 500"}, status=500)


urlpatterns = [
    path("health/", broken),
    path("version", views.version),
    path("api/tours/", broken),
    path("api/bookings/", broken),
]
