import json
import logging
import time
from datetime import timedelta

from django.core.management.base import BaseCommand
from django.utils import timezone

from inbox.models import Delivery

logger = logging.getLogger(__name__)

# How long a delivery may be sent again, by hand at the latest.
KEPT = timedelta(days=30)
PAUSE_SECONDS = 1.0


def act(event: dict) -> None:
    """Your own code goes here. A crash before it is noted repeats it, so let it bear that."""
    print(event["resource"]["resource_type"], event["resource"]["id"], event["data"], flush=True)


def work(delivery: Delivery) -> None:
    event = json.loads(delivery.body)
    try:
        act(event)
    except Exception as error:
        logger.exception("failed %s %s %s", delivery.webhook_id, event["name"], event["id"])
        delivery.error = repr(error)
    else:
        delivery.worked_at = timezone.now()
        print(f"worked {delivery.webhook_id} {event['name']} {event['id']}", flush=True)
    delivery.save(update_fields=["worked_at", "error"])


class Command(BaseCommand):
    help = "Works what was received, oldest first, until it is ended. Run one of it: two would take the same delivery."

    def handle(self, **_) -> None:
        while True:
            delivery = Delivery.objects.filter(worked_at=None, error="").order_by("received_at").first()
            if delivery is not None:
                work(delivery)
                continue
            Delivery.objects.filter(worked_at__lt=timezone.now() - KEPT).delete()
            time.sleep(PAUSE_SECONDS)
