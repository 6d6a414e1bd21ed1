from celery import shared_task

from .models import Tick


@shared_task
def tick(beat):
    Tick.objects.create(beat=beat)
