// Receives webhooks with Express: verifies, drops repeats, answers at once, works later.

import { EventEmitter, once } from "node:events";

import express from "express";
import { Webhook } from "standardwebhooks";

// Deliveries that may wait for the worker. More of them get a 503, and are sent again later.
const QUEUE_MAX = 1_000;
// Values of Webhook-Id to remember.
const SEEN_MAX = 100_000;

// The webhook's secret, or several parted by spaces while one is rotated.
const secrets = (process.env.WEBHOOK_SECRET ?? "")
  .split(/\s+/)
  .filter((secret) => secret !== "")
  .map((secret) => new Webhook(secret));
if (secrets.length === 0) {
  console.error("WEBHOOK_SECRET is not set: put the webhook's secret (whsec_…) into it");
  process.exit(1);
}

// Both are in memory: a restart forgets them, and with them what was acknowledged and not yet
// worked. In earnest, store the delivery in a table whose key is Webhook-Id, and have the worker
// take it from there: one commit then makes it safe and drops repeats, for any number of
// processes. Its rows may go after 30 days.
const queue = [];
const queued = new EventEmitter();
const seen = new Set();

// The event, where one of the secrets has signed all of it. The library also refuses what is more
// than five minutes off.
function verify(body, headers) {
  let refused;
  for (const secret of secrets) {
    try {
      return secret.verify(body, headers);
    } catch (error) {
      refused = error;
    }
  }
  throw refused;
}

// Your own code goes here.
async function act(event) {
  console.log(`${event.resource.resource_type} ${event.resource.id}:`, event.data);
}

// Works one delivery after the other.
async function work() {
  for (;;) {
    while (queue.length === 0) {
      await once(queued, "delivery");
    }
    const { webhookId, event } = queue.shift();
    try {
      await act(event);
      console.log(`worked ${webhookId} ${event.name} ${event.id}`);
    } catch (error) {
      console.error(`failed ${webhookId} ${event.name} ${event.id}:`, error);
    }
  }
}

const app = express();
app.disable("x-powered-by");

// `raw` leaves the body as it came: what is signed is these bytes, not the JSON in them. Where the
// app has `express.json()` for its other routes, this one stands before it. The limit is above the
// 256 KiB that an event's data may have; Express lets only 100 KB in by itself.
app.post("/webhooks", express.raw({ type: "application/json", limit: "1mb" }), (request, response) => {
  let event;
  try {
    event = verify(request.body ?? "", request.headers);
  } catch (error) {
    // The platform shows this beside the failed attempt.
    return response.status(400).type("text").send(error.message);
  }
  const webhookId = request.get("Webhook-Id");
  if (event.id.startsWith("evt_test_")) {
    console.log(`test ${webhookId} ${event.name}: nothing has happened`);
  } else if (!seen.has(webhookId)) {
    if (queue.length >= QUEUE_MAX) {
      return response.status(503).type("text").send("busy, send it again later");
    }
    queue.push({ webhookId, event });
    seen.add(webhookId);
    if (seen.size > SEEN_MAX) {
      seen.delete(seen.values().next().value);
    }
    queued.emit("delivery");
  }
  response.status(204).end();
});

// A body that cannot be read gets its status (413 where it is too large), and no stack.
app.use((error, request, response, next) => {
  if (response.headersSent) {
    return next(error);
  }
  response.status(error.status ?? 500).type("text").send(error.status ? error.message : "failed");
});

const server = app.listen(Number(process.env.PORT ?? 8000), "127.0.0.1", (error) => {
  if (error) {
    throw error;
  }
  console.log(`listening on http://127.0.0.1:${server.address().port}/webhooks`);
});

work();

// Takes nothing more, and ends when what was acknowledged is worked.
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => server.close());
}
