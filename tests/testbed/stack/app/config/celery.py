import os
import socket

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
app = Celery("config")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# Each tick names the beat that sent it, so that two beats running side by side can be seen in the database.
app.conf.beat_schedule = {
    "tick": {
        "task": "tours.tasks.tick",
        "schedule": 1.0,
        "args": [socket.gethostname()],
        "options": {"expires": 30},
    }
}
