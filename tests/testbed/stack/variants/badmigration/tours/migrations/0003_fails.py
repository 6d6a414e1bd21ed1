from django.db import migrations


class Migration(migrations.Migration):
    """Changes a table first and fails then, so that a partly applied migration would show."""

    dependencies = [("tours", "0002_booking_note")]

    operations = [
        migrations.RunSQL("ALTER TABLE tours_tour ADD COLUMN half_done integer"),
        migrations.RunSQL("ALTER TABLE tours_tour DROP COLUMN no_such_column"),
    ]
