//! Deliveries: shown, filtered, tested and sent again.

use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{Account, App, event, named};
use crate::sender::Script;

/// Posts an event and waits for its delivery to have this status.
async fn deliver(app: &App, account: &Account, name: &str, status: &str) -> Value {
    let made = app.post(&account.token, "/events", &event(name)).await.expect(201);
    let path = format!("/deliveries?event={}", made["id"].as_str().unwrap());
    let listed = app.get(&account.token, &path).await.expect(200);
    app.delivery(account, listed[0]["id"].as_str().unwrap(), status).await
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|delivery| delivery["id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_delivery_that_failed_once_shows_its_attempt() {
    let app = App::new().await;
    let account = app.account().await;
    let webhook = app.webhook(&account).await;
    app.sender.follow(Script::Fail);
    let shown = deliver(&app, &account, "order.filled", "pending").await;
    assert_eq!(
        (&shown["webhook"], &shown["payload"]["name"]),
        (&json!(webhook), &json!("order.filled"))
    );
    assert_eq!(
        (&shown["failed_reason"], &shown["succeeded_at"], &shown["failed_at"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert!(shown["next_attempt_at"].as_str().unwrap() > "2026-01-15T10:30:04");
    let attempt = &shown["attempts"][0];
    let expected = json!({
        "id": attempt["id"],
        "number": 1,
        "url": "https://example.com/hook",
        "outcome": "failed",
        "duration": 40,
        "response": {"status": 500, "duration": 30, "headers": {"x-one": "1, 1", "x-two": "1"}, "body": "oh \u{fffd} no", "truncated": false},
        "error": {"error_type": "http", "message": "the receiver answered 500"},
        "created_at": "2026-01-15T10:30:00.000Z",
        "modified_at": "2026-01-15T10:30:00.040Z",
    });
    assert_eq!(attempt, &expected);
}

#[tokio::test]
async fn statuses_filter_what_the_store_and_this_node_know() {
    let app = App::new().await;
    let account = app.account().await;
    app.webhook(&account).await;
    let hanging = deliver(&app, &account, "a", "in_progress").await;
    assert_eq!((&hanging["next_attempt_at"], &hanging["attempts"]), (&Value::Null, &json!([])));
    app.sender.follow(Script::Succeed);
    let done = deliver(&app, &account, "b", "succeeded").await;
    assert!(done["succeeded_at"].is_string());
    for (status, expected) in [
        ("in_progress", vec![&hanging]),
        ("succeeded", vec![&done]),
        ("pending", vec![]),
        ("failed", vec![]),
    ] {
        let listed = app.get(&account.token, &format!("/deliveries?status={status}")).await.expect(200);
        assert_eq!(listed.as_array().unwrap().iter().collect::<Vec<_>>(), expected, "{status}");
    }
    let reply = app.get(&account.token, "/deliveries?status=lost").await;
    assert_eq!(reply.params(), named(&[("query.status", "unknown_value")]));
}

#[tokio::test]
async fn each_filter_narrows_the_list() {
    let app = App::new().await;
    let account = app.account().await;
    let (one, two) = (app.webhook(&account).await, app.webhook(&account).await);
    let mut other = event("order.item.added");
    other["resource"]["id"] = json!("ord 2");
    let first = app.post(&account.token, "/events", &event("order.filled")).await.expect(201);
    app.clock.advance(Duration::from_secs(1));
    app.post(&account.token, "/events", &other).await.expect(201);
    let count = async |query: &str| {
        let listed = app.get(&account.token, &format!("/deliveries?{query}")).await.expect(200);
        listed.as_array().unwrap().len()
    };
    let event = first["id"].as_str().unwrap();
    let at = "2026-01-15T10:30:00.000Z";
    for (query, expected) in [
        (String::new(), 4),
        (format!("webhook={one}"), 2),
        (format!("webhook={two}&event={event}"), 1),
        ("webhook=nonsense".to_owned(), 0),
        ("event=evt_nonsense".to_owned(), 0),
        ("name=order.*".to_owned(), 4),
        ("name=order.filled".to_owned(), 2),
        ("resource%5Bid%5D=ord+2".to_owned(), 2),
        ("resource[id]=ord%202&name=order.filled".to_owned(), 0),
        (format!("created[gt]={at}"), 2),
        (format!("created[gte]={at}"), 4),
        (format!("created[lt]={at}"), 0),
        (format!("created[lte]={at}"), 2),
        (
            format!("created[gte]={at}&created[gt]={at}&created[lt]=2027-01-01T00:00:00Z&created[lte]={at}"),
            0,
        ),
    ] {
        let query = query.replace('[', "%5B").replace(']', "%5D");
        assert_eq!(count(&query).await, expected, "{query}");
    }
    let path = format!("/webhooks/{one}/deliveries");
    assert_eq!(ids(&app.get(&account.token, &path).await.expect(200)).len(), 2);
    assert_eq!(
        app.get(&account.token, &format!("{path}?webhook={two}")).await.expect(200),
        json!([])
    );
    let reply = app
        .get(
            &account.token,
            "/deliveries?name=a..b&created%5Bgt%5D=now&resource%5Bid%5D=&name%5B%5D=x",
        )
        .await;
    let faults = [
        ("query.name", "invalid_event_name"),
        ("query.resource[id]", "too_short"),
        ("query.created[gt]", "invalid_timestamp"),
        ("query.name[]", "unknown_parameter"),
    ];
    assert_eq!(reply.params(), named(&faults));
}

#[tokio::test]
async fn deliveries_of_a_deleted_webhook_can_still_be_read() {
    let app = App::new().await;
    let account = app.account().await;
    let webhook = app.webhook(&account).await;
    app.sender.follow(Script::Succeed);
    let done = deliver(&app, &account, "a", "succeeded").await;
    let id = done["id"].as_str().unwrap();
    app.delete(&account.token, &format!("/webhooks/{webhook}")).await;
    app.get(&account.token, &format!("/deliveries/{id}")).await.expect(200);
    let listed = app.get(&account.token, &format!("/deliveries?webhook={webhook}")).await.expect(200);
    assert_eq!(ids(&listed), [id]);
    let reply = app.post(&account.token, &format!("/deliveries/{id}/retry"), &json!({})).await;
    assert_eq!(reply.code(409), "webhook_deleted");
}

#[tokio::test]
async fn a_test_goes_to_one_webhook_and_is_no_event() {
    let app = App::new().await;
    let account = app.account().await;
    let webhook = app.webhook(&account).await;
    let path = format!("/webhooks/{webhook}/test");
    let draft = r#"{"event": {"name": "ping", "data": {"n": 1.00}}}"#;
    let ask = app.ask(http::Method::POST, &path).token(&account.token).text(draft);
    let reply = ask.send().await;
    let shown = reply.expect(202);
    assert_eq!((&shown["event"], &shown["webhook"]), (&Value::Null, &json!(webhook)));
    assert_eq!(shown["payload"]["resource"], json!({"id": webhook, "resource_type": "webhook"}));
    assert!(String::from_utf8_lossy(&reply.body).contains(r#""data":{"n": 1.00}"#));
    let event = shown["payload"]["id"].as_str().unwrap();
    assert!(event.starts_with("evt_test_"));
    assert_eq!(
        app.get(&account.token, &format!("/events/{event}")).await.code(404),
        "event_not_found"
    );
    app.delivery(&account, shown["id"].as_str().unwrap(), "in_progress").await;
    assert!(app.sender.sent()[0].event.is_none());

    let faults = [
        ("body.event.name", "missing_field"),
        ("body.event.data", "wrong_type"),
        ("body.event.id", "unknown_field"),
    ];
    let reply = app.post(&account.token, &path, &json!({"event": {"data": 1, "id": "x"}})).await;
    assert_eq!(reply.params(), named(&faults));
    assert_eq!(
        app.post(&account.token, &path, &json!({})).await.params(),
        named(&[("body.event", "missing_field")])
    );
}

#[tokio::test]
async fn a_retry_of_what_succeeded_is_a_new_delivery() {
    let app = App::new().await;
    let account = app.account().await;
    let webhook = app.webhook(&account).await;
    app.sender.follow(Script::Succeed);
    let done = deliver(&app, &account, "a", "succeeded").await;
    let path = format!("/deliveries/{}/retry", done["id"].as_str().unwrap());
    let ask = app.ask(http::Method::POST, &path).token(&account.token);
    let again = ask.send().await.expect(202);
    assert_ne!(again["id"], done["id"]);
    assert_eq!((&again["event"], &again["payload"]), (&done["event"], &done["payload"]));
    app.delivery(&account, again["id"].as_str().unwrap(), "succeeded").await;
    assert_eq!(app.sender.sent().len(), 2);

    let reply = app.post(&account.token, &path, &json!({"now": true})).await;
    assert_eq!(reply.params(), named(&[("body.now", "unknown_field")]));
    app.put(&account.token, &format!("/webhooks/{webhook}"), &json!({"is_active": false}))
        .await
        .expect(200);
    assert_eq!(app.post(&account.token, &path, &json!({})).await.code(409), "webhook_inactive");
    for unknown in ["whd_none", "whd_00000000000000000000000000"] {
        let reply = app.post(&account.token, &format!("/deliveries/{unknown}/retry"), &json!({})).await;
        assert_eq!(reply.code(404), "delivery_not_found");
        assert_eq!(
            app.get(&account.token, &format!("/deliveries/{unknown}")).await.code(404),
            "delivery_not_found"
        );
    }
}

#[tokio::test]
async fn a_retry_of_what_is_in_progress_adds_nothing() {
    let app = App::new().await;
    let account = app.account().await;
    app.webhook(&account).await;
    let hanging = deliver(&app, &account, "a", "in_progress").await;
    let path = format!("/deliveries/{}/retry", hanging["id"].as_str().unwrap());
    let shown = app.post(&account.token, &path, &json!({})).await.expect(202);
    assert_eq!((&shown["id"], &shown["status"]), (&hanging["id"], &json!("in_progress")));
    assert_eq!(app.sender.sent().len(), 1);
}
