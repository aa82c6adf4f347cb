"""Receives webhooks with FastAPI: verifies, drops repeats, answers at once, works later."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel
from standardwebhooks import Webhook, WebhookVerificationError

# Deliveries that may wait for the worker. More of them get a 503, and are sent again later.
QUEUE_MAX = 1_000
# Values of Webhook-Id to remember.
SEEN_MAX = 100_000
# An event's data may have 256 KiB.
BODY_BYTES_MAX = 1024 * 1024


class Resource(BaseModel):
    id: str
    resource_type: str


class Event(BaseModel):
    id: str
    name: str
    resource: Resource
    data: dict[str, Any]
    created_at: datetime


# The webhook's secret, or several parted by spaces while one is rotated.
SECRETS = [Webhook(secret) for secret in os.environ.get("WEBHOOK_SECRET", "").split()]
if not SECRETS:
    sys.exit("WEBHOOK_SECRET is not set: put the webhook's secret (whsec_…) into it")

# Both are in memory: a restart forgets them, and other processes do not know them. In earnest, store the delivery in a
# table whose key is Webhook-Id, and have the worker take it from there: one commit then makes it safe and drops
# repeats, for any number of processes. Its rows may go after 30 days.
queue: asyncio.Queue[tuple[str, Event]] = asyncio.Queue(QUEUE_MAX)
seen: dict[str, None] = {}


def verified(body: bytes, headers: dict[str, str]) -> Event:
    """The event, where one of the secrets has signed all of it; the library also refuses what is five minutes off."""
    refused = ""
    for secret in SECRETS:
        try:
            secret.verify(body, headers, json_parse=False)
            return Event.model_validate_json(body)
        except WebhookVerificationError as error:
            refused = str(error)
        except ValueError:
            refused = "a header or the body is garbage"
    # The platform shows this beside the failed attempt.
    raise HTTPException(400, refused)


async def act(event: Event) -> None:
    """Your own code goes here."""
    print(event.resource.resource_type, event.resource.id, event.data, flush=True)


async def work() -> None:
    """Works one delivery after the other."""
    while True:
        webhook_id, event = await queue.get()
        try:
            await act(event)
            print(f"worked {webhook_id} {event.name} {event.id}", flush=True)
        except Exception:
            logging.exception("failed %s %s %s", webhook_id, event.name, event.id)
        finally:
            queue.task_done()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    worker = asyncio.create_task(work())
    yield
    # What was acknowledged is worked before the process ends.
    await queue.join()
    worker.cancel()


app = FastAPI(lifespan=lifespan, max_body_size=BODY_BYTES_MAX)


@app.post("/webhooks", status_code=204)
async def receive(request: Request) -> None:
    # The body as it came: what is signed is these bytes, not the JSON in them.
    event = verified(await request.body(), dict(request.headers))
    webhook_id = request.headers["Webhook-Id"]
    if event.id.startswith("evt_test_"):
        print(f"test {webhook_id} {event.name}: nothing has happened", flush=True)
    elif webhook_id not in seen:
        try:
            queue.put_nowait((webhook_id, event))
        except asyncio.QueueFull:
            raise HTTPException(503, "busy, send it again later") from None
        seen[webhook_id] = None
        if len(seen) > SEEN_MAX:
            del seen[next(iter(seen))]
