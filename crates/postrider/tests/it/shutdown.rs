//! SIGTERM: attempts in flight end and count, the rest waits for the next start.

use std::collections::HashMap;

use serde_json::json;

use crate::world::{Account, Receiver, Site};

#[test]
fn attempts_in_flight_end_and_the_rest_is_left_to_the_next_start() {
    const EVENTS: usize = 12;
    let site = Site::new();
    let receiver = Receiver::start();
    receiver.hold(true);
    let mut server = site.start(&["--in-flight-max", "8"]);
    let account = Account::make(server.address);
    let webhook = account.webhook(server.address, &receiver.url());
    let mut client = account.client(server.address);
    for number in 0..EVENTS {
        client.post(
            "/events",
            &json!({ "name": "order.filled", "resource": { "id": "1", "resource_type": "order" }, "data": { "n": number } }),
        );
    }
    let in_flight = receiver.wait(|arrivals| !arrivals.is_empty()).len();
    assert!(in_flight < EVENTS, "all are in flight: nothing is left to the next start");
    server.terminate();
    // It says so on no channel that it has begun to end: that it waits is seen by what it does with the answers.
    assert!(!server.has_ended(), "it did not wait for its attempts in flight");
    receiver.hold(false);
    assert_eq!(server.wait().code(), Some(0));

    let server = site.start(&[]);
    let arrivals = receiver.wait(|arrivals| arrivals.len() >= EVENTS);
    let mut times: HashMap<String, usize> = HashMap::new();
    arrivals
        .iter()
        .for_each(|arrival| *times.entry(arrival.delivery.clone()).or_default() += 1);
    assert_eq!(times.len(), EVENTS);
    assert!(
        times.values().all(|count| *count == 1),
        "an attempt that had ended was made again: {times:?}"
    );
    let deliveries = account.client(server.address).get(&format!("/webhooks/{webhook}/deliveries"));
    assert_eq!(deliveries.as_array().unwrap().len(), EVENTS);
}

#[test]
fn an_idle_server_ends_at_once_with_0() {
    let server = Site::new().start(&[]);
    server.terminate();
    assert_eq!(server.wait().code(), Some(0));
}
