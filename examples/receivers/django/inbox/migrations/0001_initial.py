from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Delivery",
            fields=[
                ("webhook_id", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("body", models.TextField()),
                ("received_at", models.DateTimeField(auto_now_add=True)),
                ("worked_at", models.DateTimeField(null=True)),
                ("error", models.TextField(default="")),
            ],
            options={
                "indexes": [
                    models.Index(
                        fields=["received_at"],
                        condition=models.Q(worked_at=None, error=""),
                        name="delivery_waiting",
                    ),
                    models.Index(fields=["worked_at"], name="delivery_worked"),
                ],
            },
        ),
    ]
