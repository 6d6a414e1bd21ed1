import django.db.models.deletion
from django.db import migrations, models


def add_first_tours(apps, schema_editor):
    tour = apps.get_model("tours", "Tour")
    for name in ("Harbour", "Old town", "Mountain"):
        tour.objects.create(name=name, seats=20)


class Migration(migrations.Migration):
    initial = True
    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Tour",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100)),
                ("seats", models.PositiveIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="Booking",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("customer", models.CharField(max_length=100)),
                ("created", models.DateTimeField(auto_now_add=True)),
                ("tour", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="tours.tour")),
            ],
        ),
        migrations.CreateModel(
            name="Tick",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("beat", models.CharField(max_length=64)),
                ("at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.RunPython(add_first_tours, migrations.RunPython.noop),
    ]
