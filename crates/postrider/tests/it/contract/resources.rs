//! The resources, field by field: what is shown, and nothing else.

use serde_json::{Value, json};

use super::{FAILS, World, expect, fields, id, is_timestamp};

#[test]
fn account() {
    let world = World::new();
    let account = expect(
        201,
        "POST /accounts",
        world.operator("POST /accounts", Some(&json!({ "name": "Shop" }))),
    );
    assert_eq!(
        fields(&account),
        ["created_at", "external_id", "id", "is_active", "modified_at", "name"]
    );
    assert!(id(&account).starts_with("acc_") && is_timestamp(&account["created_at"]) && is_timestamp(&account["modified_at"]));
    assert_eq!((&account["external_id"], &account["is_active"]), (&Value::Null, &json!(true)));
}

#[test]
fn key() {
    let world = World::new();
    let made = expect(201, "POST /keys", world.operator("POST /keys", Some(&json!({ "name": "k" }))));
    let with_token = ["created_at", "expires_at", "hint", "id", "last_used_at", "name", "scopes", "token"];
    assert_eq!(fields(&made), with_token);
    let shown = expect(200, "GET", world.operator(&format!("GET /keys/{}", id(&made)), None));
    assert_eq!(fields(&shown), with_token[..7]);
    assert!(id(&shown).starts_with("key_") && is_timestamp(&shown["created_at"]) && shown["last_used_at"].is_null());
}

#[test]
fn event() {
    let event = World::new().event("a");
    assert_eq!(fields(&event), ["created_at", "data", "id", "name", "resource"]);
    assert_eq!(fields(&event["resource"]), ["id", "resource_type"]);
    assert!(id(&event).starts_with("evt_") && is_timestamp(&event["created_at"]));
}

#[test]
fn webhook() {
    let world = World::new();
    let made = world.webhook();
    let shown = world.expect(200, &format!("GET /webhooks/{}", id(&made)), None);
    assert_eq!(
        fields(&shown),
        ["created_at", "description", "event_names", "id", "is_active", "modified_at", "url"]
    );
    assert!(id(&shown).starts_with("wh_") && is_timestamp(&shown["created_at"]));
    assert_eq!(
        (&shown["event_names"], &shown["description"], &shown["is_active"]),
        (&json!([]), &Value::Null, &json!(true))
    );
}

#[test]
fn delivery_and_attempt() {
    let world = World::with(&["--retry-schedule", "10ms"]);
    world.webhook();
    world.receiver.answer(FAILS);
    world.receiver.answer(FAILS);
    world.event("a");
    let failed = world.delivery("failed");
    let mut wanted = vec![
        "id",
        "webhook",
        "event",
        "status",
        "failed_reason",
        "payload",
        "succeeded_at",
        "failed_at",
        "next_attempt_at",
        "attempts",
        "created_at",
        "modified_at",
    ];
    wanted.sort_unstable();
    assert_eq!(fields(&failed), wanted);
    assert!(id(&failed).starts_with("whd_") && is_timestamp(&failed["failed_at"]) && failed["next_attempt_at"].is_null());
    let attempt = &failed["attempts"][0];
    assert_eq!(
        fields(attempt),
        [
            "created_at",
            "duration",
            "error",
            "id",
            "modified_at",
            "number",
            "outcome",
            "response",
            "url"
        ]
    );
    assert_eq!(fields(&attempt["response"]), ["body", "duration", "headers", "status", "truncated"]);
    assert_eq!(fields(&attempt["error"]), ["error_type", "message"]);
    assert!(id(attempt).starts_with("wha_") && attempt["duration"].is_u64() && attempt["response"]["duration"].is_u64());
    assert_eq!(attempt["url"], world.receiver.url());
}

#[test]
fn a_pending_delivery_says_when_its_next_attempt_comes() {
    let world = World::with(&["--retry-schedule", "1h"]);
    world.webhook();
    world.receiver.answer(FAILS);
    world.event("a");
    let pending = world.until("/deliveries", |list| list[0]["attempts"][0]["outcome"] == "failed");
    assert!(is_timestamp(&pending[0]["next_attempt_at"]), "{pending}");
    assert!(pending[0]["next_attempt_at"].as_str() > pending[0]["created_at"].as_str());
}

#[test]
fn error_types() {
    let world = World::with(&["--retry-schedule", "1h"]);
    let error_of = |url: &str, answer: Option<&'static str>| {
        if let Some(answer) = answer {
            world.receiver.answer(answer);
        }
        let webhook = id(&world.expect(201, "POST /webhooks", Some(&json!({ "url": url }))));
        let draft = json!({ "event": { "name": "a" } });
        let delivery = id(&world.expect(202, &format!("POST /webhooks/{webhook}/test"), Some(&draft)));
        let delivery = world.until(&format!("/deliveries/{delivery}"), |delivery| delivery["attempts"][0].is_object());
        let error = delivery["attempts"][0]["error"].clone();
        assert!(!error["message"].as_str().unwrap().is_empty());
        error["error_type"].as_str().unwrap().to_owned()
    };
    let url = world.receiver.url();
    let tls = url.replace("http://", "https://");
    assert_eq!(
        error_of(
            &url,
            Some("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
        ),
        "http"
    );
    assert_eq!(error_of(&url, Some("garbage\r\n\r\n")), "protocol");
    assert_eq!(error_of("http://127.0.0.1:1/", None), "connect");
    assert_eq!(error_of(&tls, None), "tls");
}
