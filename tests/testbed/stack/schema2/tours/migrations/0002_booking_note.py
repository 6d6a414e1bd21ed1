from django.db import migrations, models


class Migration(migrations.Migration):
    """Compatible with the code before it: the column may be null, so its inserts go on working."""

    dependencies = [("tours", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="booking",
            name="note",
            field=models.CharField(max_length=200, null=True),
        ),
    ]
