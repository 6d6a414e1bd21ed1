from django.urls import path

from tours import views

urlpatterns = [
    path("health/", views.health),
    path("version", views.version),
    path("api/tours/", views.tours),
    path("api/bookings/", views.bookings),
]
