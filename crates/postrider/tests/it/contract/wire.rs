//! A delivery on the wire: each header, the body, and what counts as acknowledged.

use serde_json::json;

use super::{FAILS, World, id};

/// The arrivals of one event that is refused once and then taken, and its webhook.
fn two_attempts(world: &World) -> (Vec<crate::world::Arrival>, serde_json::Value) {
    let webhook = world.webhook();
    world.receiver.answer(FAILS);
    world.event("order.filled");
    (world.receiver.wait(|arrivals| arrivals.len() == 2), webhook)
}

#[test]
fn content_type_is_json() {
    let world = World::with(&["--retry-schedule", "10ms"]);
    let (arrivals, _) = two_attempts(&world);
    assert!(
        arrivals
            .iter()
            .all(|arrival| arrival.head.get("content-type") == "application/json")
    );
}

#[test]
fn webhook_id_is_the_deliverys_and_the_same_on_each_retry() {
    let world = World::with(&["--retry-schedule", "10ms"]);
    let (arrivals, _) = two_attempts(&world);
    assert_eq!(arrivals[0].delivery, arrivals[1].delivery);
    assert_eq!(arrivals[0].delivery, id(&world.delivery("succeeded")));
}

#[test]
fn webhook_timestamp_is_of_this_dispatch() {
    let world = World::with(&["--retry-schedule", "1100ms"]);
    let (arrivals, _) = two_attempts(&world);
    let seconds = |index: usize| arrivals[index].head.get("webhook-timestamp").parse::<i64>().unwrap();
    assert!(seconds(1) > seconds(0), "{} and {}", seconds(0), seconds(1));
}

#[test]
fn webhook_signature_is_verified_by_the_public_library() {
    let world = World::with(&["--retry-schedule", "10ms"]);
    let (arrivals, webhook) = two_attempts(&world);
    let library = standardwebhooks::Webhook::new(webhook["secret"].as_str().unwrap()).unwrap();
    for arrival in &arrivals {
        assert!(arrival.head.get("webhook-signature").starts_with("v1,"));
        let mut headers = http::HeaderMap::new();
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            headers.insert(name, arrival.head.get(name).parse().unwrap());
        }
        library.verify(&arrival.body, &headers).unwrap();
        let mut changed = arrival.body.clone();
        changed[10] ^= 1;
        library.verify(&changed, &headers).unwrap_err();
    }
}

#[test]
fn webhook_attempt_counts() {
    let world = World::with(&["--retry-schedule", "10ms"]);
    let (arrivals, _) = two_attempts(&world);
    assert_eq!(
        [0, 1].map(|index: usize| arrivals[index].head.get("webhook-attempt").to_owned()),
        ["1", "2"]
    );
}

#[test]
fn event_id_is_the_events() {
    let world = World::with(&["--retry-schedule", "10ms"]);
    let (arrivals, _) = two_attempts(&world);
    assert!(arrivals.iter().all(|arrival| arrival.head.get("event-id") == arrival.event["id"]));
}

#[test]
fn user_agent_names_us_and_our_version() {
    let world = World::with(&["--retry-schedule", "10ms"]);
    let (arrivals, _) = two_attempts(&world);
    assert_eq!(arrivals[0].head.get("user-agent"), concat!("Postrider/", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_body_is_the_event_byte_for_byte_in_this_order() {
    let world = World::with(&["--retry-schedule", "10ms"]);
    let (arrivals, _) = two_attempts(&world);
    assert_eq!(arrivals[0].body, arrivals[1].body);
    let body = String::from_utf8(arrivals[0].body.clone()).unwrap();
    let places = [
        "{\"id\":\"evt_",
        "\"name\":",
        "\"resource\":{\"id\":",
        "\"resource_type\":",
        "\"data\":",
        "\"created_at\":",
    ]
    .map(|part| body.find(part));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{body}");
    assert_eq!(arrivals[0].head.get("content-length"), body.len().to_string());
    assert!(arrivals[0].head.start.starts_with("POST / HTTP/1.1"));
}

#[test]
fn any_2xx_acknowledges_and_nothing_else_does() {
    let world = World::with(&["--retry-schedule", "1h"]);
    let webhook = id(&world.webhook());
    let path = format!("/webhooks/{webhook}/test");
    for (answer, status) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "succeeded"),
        ("HTTP/1.1 204 No Content\r\n\r\n", "succeeded"),
        ("HTTP/1.1 299 Odd\r\nContent-Length: 0\r\n\r\n", "succeeded"),
        // What becomes of the body changes nothing.
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nx", "succeeded"),
        (
            "HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            "pending",
        ),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "pending"),
        ("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", "pending"),
        (FAILS, "pending"),
    ] {
        world.receiver.answer(answer);
        let delivery = world.expect(202, &format!("POST {path}"), Some(&json!({ "event": { "name": "a" } })));
        let ended = world.until(&format!("/deliveries/{}", id(&delivery)), |delivery| {
            delivery["attempts"][0].is_object()
        });
        assert_eq!(ended["status"], status, "{answer}");
    }
}

#[test]
fn a_longer_retry_after_is_obeyed_and_cut_to_a_day() {
    let world = World::with(&["--retry-schedule", "1s"]);
    world.webhook();
    let answer = "HTTP/1.1 503 Later\r\nRetry-After: 999999\r\nContent-Length: 0\r\n\r\n";
    world.receiver.answer(answer);
    world.event("a");
    let list = world.until("/deliveries", |list| list[0]["attempts"][0].is_object());
    let day = |value: &serde_json::Value| value.as_str().unwrap()[..10].to_owned();
    assert_ne!(
        day(&list[0]["next_attempt_at"]),
        day(&list[0]["created_at"]),
        "Retry-After was not obeyed: {list}"
    );
}
