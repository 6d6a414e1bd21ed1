from django.db import migrations, models


class Migration(migrations.Migration):
    """What every guide calls compatible: a new field with a default. Django takes the default away from the database
    again, and the INSERTs of the code before it fail."""

    dependencies = [("tours", "0002_booking_note")]

    operations = [migrations.AddField(model_name="booking", name="seats", field=models.IntegerField(default=1))]
