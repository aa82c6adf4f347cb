//! Events: taken in as they were written, once, by all that is said of them.

use http::Method;
use serde_json::{Value, json};

use crate::app::{Account, App, Reply, event, named};

async fn post_text(app: &App, account: &Account, body: impl Into<bytes::Bytes>) -> Reply {
    app.ask(Method::POST, "/events").token(&account.token).text(body).send().await
}

#[tokio::test]
async fn an_event_is_answered_and_read_again_byte_for_byte() {
    let app = App::new().await;
    let account = app.account().await;
    let reply = app.post(&account.token, "/events", &event("order.filled")).await;
    let made = reply.expect(201);
    let id = made["id"].as_str().unwrap();
    assert!(id.starts_with("evt_"));
    let expected = format!(
        r#"{{"id":"{id}","name":"order.filled","resource":{{"id":"ord_1","resource_type":"order"}},"data":{{"total":12}},"created_at":"2026-01-15T10:30:00.000Z"}}"#
    );
    assert_eq!(reply.body, expected);
    let read = app.get(&account.token, &format!("/events/{id}")).await;
    assert_eq!((read.status.as_u16(), read.body), (200, reply.body));
}

#[tokio::test]
async fn data_stays_as_it_was_written() {
    let app = App::new().await;
    let account = app.account().await;
    let deep = format!("{}1{}", "{\"a\":[".repeat(10_000), "]}".repeat(10_000));
    for data in [
        r#"{"n":1234567890123456789012345678901234567890,"f":1.10,"e":1E+2,"z":-0}"#,
        r#"{"b":1,"a":2,"b":3}"#,
        "{ \"spaced\" :\n\t[ 1 , 2 ] }",
        r#"{"escaped":"\u00e9\/\ud83d\ude00","plain":"é😀","half":"\ud800"}"#,
        "{}",
        &deep,
    ] {
        let body = format!(r#"{{"name":"a","resource":{{"id":"1","resource_type":"t"}},"data":{data}}}"#);
        let reply = post_text(&app, &account, body).await;
        assert_eq!(reply.status, 201);
        let text = String::from_utf8(reply.body.to_vec()).unwrap();
        assert!(text.contains(&format!(r#""data":{data},"created_at""#)));
    }
}

#[tokio::test]
async fn data_left_out_is_empty_and_escapes_in_other_fields_are_read() {
    let app = App::new().await;
    let account = app.account().await;
    let body = r#"{"\u006eame":"\u0061.b","resource":{"id":"caf\u00e9 \"1\"","resource_type":"t"}}"#;
    let made = post_text(&app, &account, body).await.expect(201);
    assert_eq!(made["data"], json!({}));
    assert_eq!((&made["name"], &made["resource"]["id"]), (&json!("a.b"), &json!("café \"1\"")));
}

#[tokio::test]
async fn limits_of_fields_are_told_one_by_one() {
    let app = App::new().await;
    let account = app.account().await;
    let draft = |key: &str, value: Value| {
        let mut draft = event("a");
        draft[key] = value;
        draft
    };
    let resource = |id: &str| json!({"id": id, "resource_type": "t"});
    let large = "x".repeat(256 * 1024);
    for (body, path, code) in [
        (draft("name", json!("n".repeat(257))), "body.name", "invalid_event_name"),
        (draft("name", json!(null)), "body.name", "null_not_allowed"),
        (draft("resource", resource(&"é".repeat(256))), "body.resource.id", "too_long"),
        (draft("resource", resource("a\u{0}")), "body.resource.id", "invalid_character"),
        (draft("resource", json!("ord_1")), "body.resource", "wrong_type"),
        (draft("data", json!({ "x": large })), "body.data", "too_large"),
        (draft("data", json!("{}")), "body.data", "wrong_type"),
        (draft("id", json!("-a")), "body.id", "invalid_event_id"),
        (draft("id", json!(null)), "body.id", "null_not_allowed"),
    ] {
        let reply = app.post(&account.token, "/events", &body).await;
        assert_eq!(reply.params(), named(&[(path, code)]));
    }
    let fits = draft("resource", resource(&"é".repeat(255)));
    app.post(&account.token, "/events", &fits).await.expect(201);
    let half = r#"{"name":"\ud800","resource":{"id":"1","resource_type":"t"}}"#;
    assert_eq!(
        post_text(&app, &account, half).await.params(),
        named(&[("body.name", "invalid_string")])
    );
}

#[tokio::test]
async fn an_id_of_the_callers_makes_it_idempotent() {
    let app = App::new().await;
    let account = app.account().await;
    let mut draft = event("order.filled");
    draft["id"] = json!("order-7:filled");
    let first = app.post(&account.token, "/events", &draft).await;
    assert_eq!(first.expect(201)["id"], "order-7:filled");
    let second = app.post(&account.token, "/events", &draft).await;
    assert_eq!((second.status.as_u16(), &second.body), (200, &first.body));
    draft["data"] = json!({"total": 13});
    let reply = app.post(&account.token, "/events", &draft).await;
    assert_eq!(reply.code(409), "event_id_taken");
    assert_eq!(reply.json()["params"][0]["path"], "body.id");
    let read = app.get(&account.token, "/events/order-7%3Afilled").await;
    assert_eq!(read.body, first.body);
}

#[tokio::test]
async fn an_event_may_be_called_batch() {
    let app = App::new().await;
    let account = app.account().await;
    let mut draft = event("a");
    draft["id"] = json!("batch");
    let made = app.post(&account.token, "/events", &draft).await;
    made.expect(201);
    assert_eq!(app.get(&account.token, "/events/batch").await.body, made.body);
}

#[tokio::test]
async fn a_batch_is_all_or_none_in_its_order() {
    let app = App::new().await;
    let account = app.account().await;
    let mut own = event("b");
    own["id"] = json!("mine");
    let made = app
        .post(
            &account.token,
            "/events/batch",
            &json!({"events": [event("a"), own.clone(), event("c")]}),
        )
        .await
        .expect(201);
    let names: Vec<_> = made["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a", "b", "c"]);

    own["data"] = json!({"other": true});
    let mut fresh = event("d");
    fresh["id"] = json!("fresh");
    let reply = app.post(&account.token, "/events/batch", &json!({"events": [fresh, own]})).await;
    assert_eq!(reply.code(409), "event_id_taken");
    assert_eq!(reply.json()["params"][0]["path"], "body.events[1].id");
    assert_eq!(app.get(&account.token, "/events/fresh").await.code(404), "event_not_found");
}

#[tokio::test]
async fn a_batch_has_one_to_a_thousand_events() {
    let app = App::new().await;
    let account = app.account().await;
    let batch = |count: usize| json!({"events": vec![event("a"); count]});
    let refused = |reply: Reply| reply.params();
    let none = app.post(&account.token, "/events/batch", &batch(0)).await;
    assert_eq!(refused(none), named(&[("body.events", "too_short")]));
    let many = app.post(&account.token, "/events/batch", &batch(1_001)).await;
    assert_eq!(many.json()["params"][0]["detail"], "has 1001 items, at most 1000 are allowed");
    assert_eq!(refused(many), named(&[("body.events", "too_many_items")]));
    let made = app.post(&account.token, "/events/batch", &batch(1_000)).await.expect(201);
    assert_eq!(made["events"].as_array().unwrap().len(), 1_000);
}

#[tokio::test]
async fn too_many_deliveries_at_once_are_refused_with_their_number() {
    let app = App::new().await;
    let account = app.account().await;
    for _ in 0..21 {
        app.webhook(&account).await;
    }
    let reply = app
        .post(&account.token, "/events/batch", &json!({"events": vec![event("a"); 1_000]}))
        .await;
    assert_eq!(reply.code(413), "too_many_deliveries");
    assert_eq!(reply.json()["context"], json!({"deliveries": 21_000, "deliveries_max": 20_000}));
}

#[tokio::test]
async fn events_of_another_account_do_not_exist() {
    let app = App::new().await;
    let (one, other) = (app.account().await, app.account().await);
    let made = app.post(&one.token, "/events", &event("a")).await.expect(201);
    let path = format!("/events/{}", made["id"].as_str().unwrap());
    assert_eq!(app.get(&other.token, &path).await.code(404), "event_not_found");
    for unknown in ["evt_", "evt_0", "evt_test_00000000000000000000000000", "%FF", "a%20b"] {
        assert_eq!(
            app.get(&one.token, &format!("/events/{unknown}")).await.code(404),
            "event_not_found"
        );
    }
}

#[tokio::test]
async fn what_was_changed_elsewhere_is_seen_by_the_next_event() {
    let app = App::new().await;
    let account = app.account().await;
    app.post(&account.token, "/events", &event("a")).await.expect(201);
    // Behind the engine's back, as another node or a command would do it.
    let id = account.id.parse().unwrap();
    let change = postrider_model::account::AccountChange {
        is_active: Some(false),
        ..Default::default()
    };
    postrider_ports::Registry::change_account(&*app.store, id, change, Default::default())
        .await
        .unwrap();
    assert_eq!(app.post(&account.token, "/events", &event("b")).await.code(403), "account_inactive");
}

#[tokio::test]
async fn a_webhook_made_elsewhere_is_seen_by_the_next_event() {
    let app = App::new().await;
    let account = app.account().await;
    let webhook = app.webhook(&account).await;
    app.post(&account.token, "/events", &event("a")).await.expect(201);
    // Behind the engine's back: its version is old, so the commit is refused and all begins anew.
    let (id, webhook) = (account.id.parse().unwrap(), webhook.parse().unwrap());
    postrider_ports::Registry::delete_webhook(&*app.store, id, webhook, Default::default())
        .await
        .unwrap();
    let made = app.post(&account.token, "/events", &event("b")).await.expect(201);
    let path = format!("/deliveries?event={}", made["id"].as_str().unwrap());
    assert_eq!(app.get(&account.token, &path).await.expect(200), json!([]));
}
