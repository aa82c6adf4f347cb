from django.db import models


class Delivery(models.Model):
    """What was acknowledged, and is to be worked once: the queue and the memory of repeats in one table."""

    webhook_id = models.CharField(max_length=255, primary_key=True)
    # As it came, so that numbers keep each digit.
    body = models.TextField()
    received_at = models.DateTimeField(auto_now_add=True)
    worked_at = models.DateTimeField(null=True)
    # Why it could not be worked. Empty it, and it is tried again.
    error = models.TextField(default="")

    class Meta:
        indexes = [
            models.Index(fields=["received_at"], condition=models.Q(worked_at=None, error=""), name="delivery_waiting"),
            models.Index(fields=["worked_at"], name="delivery_worked"),
        ]
