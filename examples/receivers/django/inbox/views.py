from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from standardwebhooks import Webhook, WebhookVerificationError

from .models import Delivery

WEBHOOKS = [Webhook(secret) for secret in settings.WEBHOOK_SECRETS]


class NotGenuine(Exception):
    """It is refused, and this says why."""


def verified(request: HttpRequest) -> dict:
    """The event, where one of the secrets has signed all of it; the library also refuses what is five minutes off."""
    refused = ""
    for webhook in WEBHOOKS:
        try:
            # The body as it came: what is signed is these bytes, not the JSON in them.
            return webhook.verify(request.body, dict(request.headers))
        except WebhookVerificationError as error:
            refused = str(error)
        except ValueError:
            refused = "a header or the body is garbage"
    raise NotGenuine(refused)


# It comes from no form of ours, so it has no token of ours: its signature says whose it is.
@csrf_exempt
@require_POST
def receive(request: HttpRequest) -> HttpResponse:
    try:
        event = verified(request)
    except NotGenuine as error:
        # The platform shows this beside the failed attempt.
        return HttpResponseBadRequest(str(error), content_type="text/plain")
    webhook_id = request.headers["Webhook-Id"]
    if event["id"].startswith("evt_test_"):
        print(f"test {webhook_id} {event['name']}: nothing has happened", flush=True)
    else:
        # A repeat finds its row, and changes nothing. `manage.py work` does the rest.
        Delivery.objects.get_or_create(webhook_id=webhook_id, defaults={"body": request.body.decode()})
    return HttpResponse(status=204)
