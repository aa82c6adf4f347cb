//! What is under way when a store is moved goes on in the one that it was moved to.

use serde_json::{Value, json};

use super::{listed, moved};
use crate::world::{Account, Client, OPERATOR_KEY, Receiver, Server, Site};

/// With so many events in one request, its deliveries are made in steps.
const WIDE_WEBHOOKS: usize = 100;
const WIDE_EVENTS: usize = 51;
/// Retries wait for longer than any test takes.
const PATIENT: [&str; 2] = ["--retry-schedule", "1h"];
const REFUSAL: &str = "HTTP/1.1 503 Busy\r\nX-Reason: full\r\nContent-Length: 8\r\n\r\ntoo busy";

struct Story {
    first: Account,
    wide: Account,
    /// One that was deleted, with its token.
    gone: Account,
    webhook: Value,
    job: String,
}

fn event() -> Value {
    json!({ "name": "order.filled", "resource": { "id": "1", "resource_type": "order" }, "data": { "n": 1 } })
}

fn id(of: &Value) -> &str {
    of["id"].as_str().unwrap()
}

fn end(server: Server) {
    server.terminate();
    assert!(server.wait().success());
}

/// Attempts of all sorts: acknowledged, refused with a body; a secret that was rotated.
fn deliver(site: &Site, receiver: &Receiver) -> (Account, Value) {
    let server = site.start(&PATIENT);
    let account = Account::make(server.address);
    let mut client = account.client(server.address);
    let webhook = client.post("/webhooks", &json!({ "url": receiver.url(), "event_names": ["order.*"] }));
    client.post(&format!("/webhooks/{}/secret/rotate", id(&webhook)), &json!({}));
    for number in 1..=5 {
        receiver.answer(if number == 3 { REFUSAL } else { "HTTP/1.1 204 None\r\n\r\n" });
        client.post("/events", &event());
        receiver.wait(|arrivals| arrivals.len() == number);
    }
    end(server);
    (account, webhook)
}

/// With the answer that was kept, whether it is the first time or not.
fn once(client: &mut Client, path: &str, body: &Value) -> (Value, String) {
    let answer = client.ask_with("POST", path, "Idempotency-Key: k\r\n", Some(body)).unwrap();
    assert!((200..300).contains(&answer.status), "{answer:?}");
    (answer.body, answer.head.get("idempotency-replayed").to_owned())
}

/// Work for a node that sends, of which there is none.
fn leave(site: &Site, (first, webhook): (Account, Value), receiver: &Receiver) -> Story {
    let server = site.start(&["--only", "api"]);
    let mut client = first.client(server.address);
    let doomed = client.post("/webhooks", &json!({ "url": "http://127.0.0.1:9/doomed" }));
    let paused = client.post("/webhooks", &json!({ "url": "http://127.0.0.1:9/paused" }));
    client.post("/events", &event());
    let answer = client.ask("DELETE", &format!("/webhooks/{}", id(&doomed)), None).unwrap();
    assert_eq!(answer.status, 204);
    let inactive = json!({ "is_active": false });
    client.ask("PUT", &format!("/webhooks/{}", id(&paused)), Some(&inactive)).unwrap();
    client.post(
        &format!("/webhooks/{}/test", id(&webhook)),
        &json!({ "event": { "name": "order.filled", "data": {} } }),
    );
    let since = json!({ "since": "2020-01-01T00:00:00.000Z", "status": "all" });
    let job = client.post(&format!("/webhooks/{}/recover", id(&webhook)), &since);

    let gone = Account::make(server.address);
    gone.webhook(server.address, "http://127.0.0.1:9/gone");
    gone.client(server.address).post("/events", &event());
    let account = id(&gone.client(server.address).get("/me")["account"]).to_owned();
    let mut operator = Client::connect(server.address, OPERATOR_KEY).unwrap();
    assert_eq!(operator.ask("DELETE", &format!("/accounts/{account}"), None).unwrap().status, 204);
    once(&mut operator, "/accounts", &json!({ "name": "once", "external_id": "customer-7" }));

    let wide = Account::make(server.address);
    let mut client = wide.client(server.address);
    once(&mut client, "/webhooks", &json!({ "url": receiver.url() }));
    for _ in 1..WIDE_WEBHOOKS {
        wide.webhook(server.address, &receiver.url());
    }
    let events: Vec<Value> = (0..WIDE_EVENTS).map(|_| event()).collect();
    client.post("/events/batch", &json!({ "events": events }));
    end(server);
    Story {
        first,
        wide,
        gone,
        webhook,
        job: id(&job).to_owned(),
    }
}

/// All that the API shows, while nobody sends.
fn seen(site: &Site, story: &Story) -> Vec<Value> {
    let server = site.start(&["--only", "api"]);
    let mut seen = Vec::new();
    for account in [&story.first, &story.wide] {
        for path in ["/events", "/deliveries", "/webhooks", "/jobs"] {
            seen.push(listed(&server, account, path).into());
        }
    }
    let mut operator = Client::connect(server.address, OPERATOR_KEY).unwrap();
    seen.push(operator.get("/accounts"));
    for (client, path, body) in [
        (&mut operator, "/accounts", json!({ "name": "once", "external_id": "customer-7" })),
        (
            &mut story.wide.client(server.address),
            "/webhooks",
            json!({ "url": story.webhook["url"] }),
        ),
    ] {
        let (answer, replayed) = once(client, path, &body);
        assert_eq!(replayed, "true");
        seen.push(answer);
    }
    let refused = story.gone.client(server.address).ask("GET", "/me", None).unwrap();
    assert_eq!(refused.status, 401);
    end(server);
    seen
}

/// Lets a server do what is to be done, and says in which ways deliveries of the first account ended.
fn finish(site: &Site, args: &[&str], story: &Story, receiver: &Receiver) -> Vec<(String, String, u64)> {
    let before = receiver.wait(|_| true).len();
    let server = site.start(&[&PATIENT[..], args].concat());
    let mut client = story.first.client(server.address);
    let path = format!("/jobs/{}", story.job);
    while client.get(&path)["status"] == "running" {}
    assert_eq!(client.get(&path)["status"], "succeeded");
    // The event that nobody has sent yet, the test, what was sent anew by the job; and all of the large fan-out.
    let sent = |deliveries: &[Value]| deliveries.iter().filter(|one| one["status"] == "succeeded").count();
    receiver.wait(|arrivals| arrivals.len() >= before + WIDE_EVENTS * WIDE_WEBHOOKS);
    let is_over = |deliveries: &[Value]| {
        let waits = |one: &&Value| one["attempts"].as_array().unwrap().is_empty() && one["status"] == "pending";
        deliveries.iter().all(|one| one["status"] != "in_progress") && deliveries.iter().filter(waits).count() == 1
    };
    let mut deliveries = listed(&server, &story.first, "/deliveries");
    while !is_over(&deliveries) {
        deliveries = listed(&server, &story.first, "/deliveries");
    }
    assert!(sent(&deliveries) > 5);
    end(server);
    let shape = |one: &Value| {
        let reason = one["failed_reason"].as_str().unwrap_or_default();
        let attempts = one["attempts"].as_array().unwrap().len() as u64;
        (one["webhook"].to_string(), format!("{} {reason}", one["status"]), attempts)
    };
    let mut ends: Vec<_> = deliveries.iter().map(shape).collect();
    ends.sort();
    // A recovery sends what succeeded before it came there: how much that is, is a matter of time.
    ends.dedup();
    ends
}

#[test]
fn what_is_under_way_goes_on_wherever_it_was_moved() {
    let (first, second, third) = (Site::on_postgres(), Site::on_sqlite(), Site::on_postgres());
    let receiver = Receiver::start();
    let story = leave(&first, deliver(&first, &receiver), &receiver);
    let before = seen(&first, &story);

    let key = second.path("key").display().to_string();
    std::fs::write(&key, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
    let key = ["--secret-key-file", key.as_str()];
    let there = moved(&second, &[&["--from", &first.store(), "--to", &second.store()][..], &key].concat());
    for (sort, count) in [
        ("fan-outs", WIDE_EVENTS),
        ("stopping", 2),
        ("jobs", 1),
        ("answers", 2),
        ("accounts", 4),
    ] {
        assert_eq!(there["records"][sort], count, "{there}");
    }
    let back = moved(&second, &[&["--from", &second.store(), "--to", &third.store()][..], &key].concat());
    assert_eq!((&back["digest"], &back["records"]), (&there["digest"], &there["records"]));
    let ends = ["--check-only", "--from", &first.store(), "--to", &third.store()];
    assert_eq!(moved(&first, &ends)["digest"], there["digest"]);

    assert_eq!(seen(&third, &story), before);
    let ended = finish(&second, &key, &story, &receiver);
    assert_eq!(finish(&third, &[], &story, &receiver), ended);
}
