//! What stands in logs: nothing secret, nothing of payloads, not even where everything is logged.

use serde_json::{Value, json};

use crate::world::{Account, Client, OPERATOR_KEY, Receiver, Site};

/// Stands in every payload.
const MARKER: &str = "hush-this-is-in-a-payload";

/// Does one of everything; the secrets and tokens that came up.
fn one_of_everything(server: std::net::SocketAddr, receiver: &Receiver) -> Vec<String> {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_else(|| panic!("no {key}")).to_owned();
    let mut operator = Client::connect(server, OPERATOR_KEY).unwrap();
    let operators = operator.post("/keys", &json!({ "name": "second" }));
    let account = Account::make(server);
    let mut client = account.client(server);
    let webhook = client.post("/webhooks", &json!({ "url": receiver.url(), "description": MARKER }));
    let own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
    let failing = client.post("/webhooks", &json!({ "url": "http://127.0.0.1:1/", "secret": own }));
    let rotated = client.post(&format!("/webhooks/{}/secret/rotate", text(&webhook, "id")), &json!({}));
    let event = json!({ "name": "order.filled", "resource": { "id": MARKER, "resource_type": "order" }, "data": { "note": MARKER } });
    client.post("/events", &event);
    client.post("/events/batch", &json!({ "events": [event] }));
    let test = json!({ "event": { "name": "order.filled", "data": { "note": MARKER } } });
    client.post(&format!("/webhooks/{}/test", text(&failing, "id")), &test);
    // What is wrong is logged, if at all, without what was sent.
    for (path, body) in [
        ("/events", json!({ "name": MARKER, "secret": MARKER })),
        (
            "/webhooks",
            json!({ "url": format!("https://{MARKER}/"), "secret": format!("whsec_{MARKER}") }),
        ),
        ("/nowhere", json!({ "data": MARKER })),
    ] {
        assert!(client.ask("POST", path, Some(&body)).unwrap().status >= 400, "{path}");
    }
    let stranger = format!("ptr_{MARKER}");
    assert_eq!(
        Client::connect(server, &stranger).unwrap().ask("GET", "/me", None).unwrap().status,
        401
    );
    receiver.wait(|arrivals| arrivals.len() >= 2);
    let failed = format!("/webhooks/{}/deliveries", text(&failing, "id"));
    let delivery = text(&client.get(&failed)[0], "id");
    assert_eq!(
        client.ask("POST", &format!("/deliveries/{delivery}/retry"), None).unwrap().status,
        202
    );
    client.ask("DELETE", &format!("/webhooks/{}", text(&failing, "id")), None).unwrap();
    vec![
        OPERATOR_KEY.to_owned(),
        text(&operators, "token"),
        account.token.clone(),
        text(&webhook, "secret"),
        own.to_owned(),
        text(&rotated, "secret"),
        MARKER.to_owned(),
    ]
}

#[test]
fn no_secret_no_token_and_nothing_of_a_payload_is_ever_logged() {
    let (site, receiver) = (Site::new(), Receiver::start());
    let server = site.start_watched(&["--log", "trace", "--retry-schedule", "1s"]);
    let hushed = one_of_everything(server.address, &receiver);
    server.terminate();
    assert_eq!(server.wait().code(), Some(0));
    let key = site.secret_key();
    let log = site.said();
    let is_full = log.contains("\"message\":\"ready\"") && log.contains("attempt");
    assert!(is_full, "little is logged, and this test would see nothing: {log}");
    for secret in hushed.iter().map(String::as_str).chain([key.trim()]) {
        let bare = secret.trim_start_matches("whsec_");
        if let Some(line) = log.lines().find(|line| line.contains(bare)) {
            panic!("{secret} is in the log: {line}");
        }
    }
}
