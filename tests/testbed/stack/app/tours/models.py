from django.db import models


class Tour(models.Model):
    name = models.CharField(max_length=100)
    seats = models.PositiveIntegerField()


class Booking(models.Model):
    tour = models.ForeignKey(Tour, on_delete=models.PROTECT)
    customer = models.CharField(max_length=100)
    created = models.DateTimeField(auto_now_add=True)


class Tick(models.Model):
    """One run of the scheduled task: which beat sent it, when it was carried out."""

    beat = models.CharField(max_length=64)
    at = models.DateTimeField(auto_now_add=True)
