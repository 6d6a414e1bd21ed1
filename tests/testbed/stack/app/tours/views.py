import json

from django.conf import settings
from django.http import JsonResponse
from django.views.decorators.http import require_GET, require_http_methods

from .models import Booking, Tour


@require_GET
def health(request):
    Tour.objects.exists()
    return JsonResponse({"status": "ok"})


@require_GET
def version(request):
    return JsonResponse({"version": settings.VERSION})


@require_http_methods(["GET", "POST"])
def tours(request):
    if request.method == "POST":
        wanted = json.loads(request.body)
        tour = Tour.objects.create(name=wanted["name"], seats=wanted["seats"])
        return JsonResponse({"id": tour.id}, status=201)
    return JsonResponse({"tours": list(Tour.objects.order_by("id").values("id", "name", "seats")[:20])})


@require_http_methods(["GET", "POST"])
def bookings(request):
    if request.method == "POST":
        wanted = json.loads(request.body)
        booking = Booking.objects.create(tour_id=wanted["tour"], customer=wanted["customer"])
        return JsonResponse({"id": booking.id}, status=201)
    latest = Booking.objects.order_by("-id").values("id", "tour_id", "customer")[:20]
    return JsonResponse({"bookings": list(latest)})
