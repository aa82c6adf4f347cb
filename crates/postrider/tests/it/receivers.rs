//! The receivers in examples/, each with the public library of its language: real deliveries, and what a stranger makes of them.

mod example;

use serde_json::{Value, json};
use standardwebhooks::Webhook;

use self::example::Example;
use crate::world::{Account, Captured, Relay, Server, Site};

/// The secret that the webhook gets when it is rotated. The examples know it from the beginning, beside the first.
const NEXT_SECRET: &str = "whsec_bmV4dG5leHRuZXh0bmV4dG5leHRuZXh0bmV4dCE=";
const STRANGERS_SECRET: &str = "whsec_c3RyYW5nZXJzdHJhbmdlcnN0cmFuZ2VyIQ==";
/// More than the five minutes that the libraries bear with.
const TOO_FAR_SECONDS: i64 = 6 * 60;

/// A server, and an example that gets the deliveries of one of its webhooks by way of a relay.
struct Stage {
    example: Example,
    relay: Relay,
    server: Server,
    account: Account,
    webhook: String,
    secret: String,
    _site: Site,
}

impl Stage {
    fn new(start: impl FnOnce(&Site, &str) -> Example) -> Self {
        let (site, relay) = (Site::new(), Relay::start("/webhooks"));
        // What is refused once is refused for good, as far as this test goes.
        let server = site.start(&["--retry-schedule", "1h"]);
        let account = Account::make(server.address);
        let webhook = account.client(server.address).post("/webhooks", &json!({ "url": relay.url() }));
        let secret = webhook["secret"].as_str().unwrap();
        let example = start(&site, &format!("{NEXT_SECRET} {secret}"));
        relay.connect(example.address);
        Self {
            example,
            relay,
            server,
            account,
            webhook: webhook["id"].as_str().unwrap().to_owned(),
            secret: secret.to_owned(),
            _site: site,
        }
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.account.client(self.server.address).post(path, body)
    }

    /// Posts an event, whose delivery has to be acknowledged, and worked next.
    fn deliver(&mut self) -> Captured {
        let event = self.post(
            "/events",
            &json!({ "name": "order.filled", "resource": { "id": "o-1", "resource_type": "order" }, "data": { "customer": "Zoë 🐎" } }),
        );
        let delivery = self.relay.next();
        assert_eq!((delivery.status, delivery.header("event-id")), (204, event["id"].as_str().unwrap()));
        self.assert_works_next(&delivery);
        delivery
    }

    /// Nothing else has been worked in between, for deliveries are worked in the order in which they came.
    fn assert_works_next(&mut self, delivery: &Captured) {
        let event: Value = serde_json::from_slice(&delivery.body).unwrap();
        let worked = format!(
            "worked {} order.filled {}",
            delivery.header("webhook-id"),
            event["id"].as_str().unwrap()
        );
        assert_eq!(self.example.next_deed(), worked);
    }

    fn rotate(&self) {
        let path = format!("/webhooks/{}/secret/rotate", self.webhook);
        self.post(&path, &json!({ "secret": NEXT_SECRET }));
    }

    fn assert_refused(&self, delivery: &Captured, what: &str) {
        let status = self.relay.send(delivery);
        assert!((400..500).contains(&status), "{what}: {status}");
    }

    /// What somebody in between, or with another secret, could send.
    fn assert_refuses_strangers(&self, genuine: &Captured) {
        let event = String::from_utf8(genuine.body.clone()).unwrap();
        let tampered = genuine.with_body(event.replace("o-1", "o-2").as_bytes());
        self.assert_refused(&tampered, "another body");
        self.assert_refused(&genuine.with_body(b""), "no body");
        self.assert_refused(&genuine.with_body(b"\xff\xfe"), "a body that is no text");
        self.assert_refused(&genuine.with("Webhook-Id", "whd_other"), "another id");
        self.assert_refused(&signed(genuine, STRANGERS_SECRET, 0), "another secret");
        for header in ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"] {
            self.assert_refused(&genuine.without(header), header);
            self.assert_refused(&genuine.with(header, "garbage"), header);
        }
    }

    /// What was genuine, and is too old; or from a clock that is wrong.
    fn assert_refuses_stale(&self, genuine: &Captured) {
        self.assert_refused(&signed(genuine, &self.secret, -TOO_FAR_SECONDS), "too old");
        // Seconds have passed since.
        self.assert_refused(&signed(genuine, &self.secret, 2 * TOO_FAR_SECONDS), "too new");
    }

    /// Acknowledged, and nothing done.
    fn assert_passes_tests_over(&mut self) {
        let path = format!("/webhooks/{}/test", self.webhook);
        self.post(&path, &json!({ "event": { "name": "order.filled", "data": {} } }));
        let test = self.relay.next();
        assert_eq!(test.status, 204);
        let passed_over = format!("test {} order.filled: nothing has happened", test.header("webhook-id"));
        assert_eq!(self.example.next_deed(), passed_over);
    }
}

/// The same as sent so many seconds later, and signed with this secret.
fn signed(delivery: &Captured, secret: &str, later: i64) -> Captured {
    let sent: i64 = delivery.header("webhook-timestamp").parse().unwrap();
    let (id, at) = (delivery.header("webhook-id"), sent + later);
    let signature = Webhook::new(secret).unwrap().sign(id, at, &delivery.body).unwrap();
    delivery
        .with("Webhook-Timestamp", &at.to_string())
        .with("Webhook-Signature", &signature)
}

fn exercise(start: impl FnOnce(&Site, &str) -> Example) {
    let mut stage = Stage::new(start);
    let first = stage.deliver();
    stage.assert_refuses_strangers(&first);
    stage.assert_refuses_stale(&first);
    // A repeat, once as it was, and once as a retry comes: at a time of its own.
    assert_eq!(stage.relay.send(&first), 204);
    assert_eq!(stage.relay.send(&signed(&first, &stage.secret, 1)), 204);
    stage.assert_passes_tests_over();
    // That the next delivery is worked next shows that nothing of all that was.
    stage.deliver();
    // What was refused for its age was refused for nothing else: the same is taken when it is fresh.
    let fresh = signed(&first.with("Webhook-Id", "whd_fresh"), &stage.secret, 0);
    assert_eq!(stage.relay.send(&fresh), 204);
    stage.assert_works_next(&fresh);

    stage.rotate();
    let rotated = stage.deliver();
    assert_eq!(rotated.header("webhook-signature").split(' ').count(), 2);
    let by_next = signed(&rotated.with("Webhook-Id", "whd_next"), NEXT_SECRET, 0);
    assert_eq!(stage.relay.send(&by_next), 204);
    stage.assert_works_next(&by_next);
}

#[test]
fn django_works_each_genuine_delivery_once() {
    exercise(Example::django);
}

#[test]
fn fastapi_works_each_genuine_delivery_once() {
    exercise(Example::fastapi);
}

#[test]
fn express_works_each_genuine_delivery_once() {
    exercise(Example::express);
}

#[test]
fn axum_works_each_genuine_delivery_once() {
    exercise(|_, secrets| Example::axum(secrets));
}
