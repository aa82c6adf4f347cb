//! The error body: every offending parameter at once, and never plain text.

use http::Method;
use serde_json::json;

use crate::app::{App, event, named};

#[tokio::test]
async fn every_wrong_parameter_of_a_request_is_named_at_once() {
    let app = App::new().await;
    let account = app.account().await;
    let body = json!({
        "url": "http://10.0.0.1/",
        "description": 5,
        "is_active": "yes",
        "event_names": ["order.*", "", 7, "a..b"],
        "secret": "whsec_short",
        "colour": "red",
    });
    let ask = app.ask(Method::POST, "/webhooks?verbose=1&x").token(&account.token).json(&body);
    let reply = ask.header("api-version", "1999-01-01").send().await;
    let expected = [
        ("header.api-version", "unknown_version"),
        ("query.verbose", "unknown_parameter"),
        ("query.x", "unknown_parameter"),
        ("body.url", "url_not_https"),
        ("body.description", "wrong_type"),
        ("body.is_active", "wrong_type"),
        ("body.event_names[1]", "invalid_event_name"),
        ("body.event_names[2]", "wrong_type"),
        ("body.event_names[3]", "invalid_event_name"),
        ("body.secret", "invalid_secret"),
        ("body.colour", "unknown_field"),
    ];
    assert_eq!(reply.params(), named(&expected));
    assert_eq!(reply.header("api-version"), "2026-01-01");
}

#[tokio::test]
async fn every_wrong_event_of_a_batch_is_named_with_its_index() {
    let app = App::new().await;
    let account = app.account().await;
    let body = json!({"events": [
        event("order.filled"),
        {"name": "order.filled", "resource": {"id": "", "resource_type": 1, "more": 1}, "data": null, "id": "evt_mine"},
        7,
        {"name": "no good", "resource": null, "data": []},
        {},
    ]});
    let reply = app.post(&account.token, "/events/batch", &body).await;
    let expected = [
        ("body.events[1].resource.id", "too_short"),
        ("body.events[1].resource.resource_type", "wrong_type"),
        ("body.events[1].resource.more", "unknown_field"),
        ("body.events[1].data", "null_not_allowed"),
        ("body.events[1].id", "invalid_event_id"),
        ("body.events[2]", "wrong_type"),
        ("body.events[3].name", "invalid_event_name"),
        ("body.events[3].resource", "null_not_allowed"),
        ("body.events[3].data", "wrong_type"),
        ("body.events[4].name", "missing_field"),
        ("body.events[4].resource", "missing_field"),
    ];
    assert_eq!(reply.params(), named(&expected));
}

#[tokio::test]
async fn a_key_twice_in_an_object_that_is_read_is_refused() {
    let app = App::new().await;
    let account = app.account().await;
    let body = r#"{"name":"a","name":"b","resource":{"id":"1","\u0069d":"2","resource_type":"t"},"data":{"x":1,"x":2},"odd":1,"odd":2}"#;
    let reply = app.ask(Method::POST, "/events").token(&account.token).text(body).send().await;
    let expected = [
        ("body.name", "duplicate_field"),
        ("body.resource.id", "duplicate_field"),
        ("body.odd", "unknown_field"),
        ("body.odd", "unknown_field"),
    ];
    assert_eq!(reply.params(), named(&expected));
}

#[tokio::test]
async fn malformed_json_says_where_it_breaks() {
    let app = App::new().await;
    let account = app.account().await;
    let post = async |body: &'static [u8]| app.ask(Method::POST, "/webhooks").token(&account.token).text(body).send().await;
    let reply = post(b"{\n  \"url\": \"https://example.com\",\n  oops}").await.expect(400);
    assert_eq!(reply["code"], "malformed_json");
    assert_eq!((&reply["context"]["line"], &reply["context"]["column"]), (&json!(3), &json!(3)));
    for body in [
        &b"{"[..],
        b"{\"url\": \"x\"} {}",
        b"{\"a\" 1}",
        b"[1,",
        b"nul",
        b"{\"a\": \"\x01\"}",
        b"{\"a\": 01}",
        b"\xef\xbb\xbf{}",
        b"{1: 2}",
    ] {
        assert_eq!(post(body).await.code(400), "malformed_json", "{}", String::from_utf8_lossy(body));
    }
    let reply = post(b"{\"url\": \"\xff\"}").await.expect(400);
    assert_eq!((&reply["code"], &reply["context"]["byte"]), (&json!("malformed_json"), &json!(9)));
}

#[tokio::test]
async fn a_body_that_is_json_but_no_object_is_of_the_wrong_type() {
    let app = App::new().await;
    let account = app.account().await;
    for body in ["[]", "null", "5", "\"x\"", " true "] {
        let reply = app.ask(Method::POST, "/events").token(&account.token).text(body).send().await;
        assert_eq!(reply.params(), named(&[("body", "wrong_type")]), "{body}");
    }
}

#[tokio::test]
async fn an_empty_body_is_malformed_where_one_is_needed() {
    let app = App::new().await;
    let account = app.account().await;
    let reply = app.ask(Method::POST, "/events").token(&account.token).send().await;
    assert_eq!(reply.code(400), "malformed_json");
}

#[tokio::test]
async fn faults_and_fields_beyond_the_limits_are_counted() {
    let app = App::new().await;
    let account = app.account().await;
    let many: serde_json::Map<_, _> = (0..5_000).map(|index| (format!("field_{index}"), json!(1))).collect();
    let params = app.post(&account.token, "/events", &json!(many)).await.params();
    assert_eq!(params.first().unwrap(), &("body".to_owned(), "too_many_fields".to_owned()));
    assert_eq!(params.len(), 1 + 2 + 64, "{params:?}");

    let events: Vec<_> = (0..1_000).map(|_| json!({"wrong": 1})).collect();
    let body = app
        .post(&account.token, "/events/batch", &json!({"events": events}))
        .await
        .expect(400);
    assert_eq!(body["params"].as_array().unwrap().len(), 1_000);
    assert_eq!(body["context"]["params_left_out"], 2_000);
}

#[tokio::test]
async fn a_long_or_strange_field_name_is_shown_cut_and_escaped() {
    let app = App::new().await;
    let account = app.account().await;
    let name = format!("\"\n{}", "é".repeat(1_000));
    let params = app.post(&account.token, "/events", &json!({ name.clone(): 1 })).await.params();
    let shown: String = name.chars().take(100).collect();
    assert!(
        params.contains(&(format!("body.{shown}"), "unknown_field".to_owned())),
        "{params:?}"
    );
}

#[tokio::test]
async fn unknown_routes_and_methods_get_the_same_body() {
    let app = App::new().await;
    for path in [
        "/",
        "/nothing",
        "/webhooks/",
        "/webhooks//test",
        "/webhooks/wh_1/nothing",
        "//events",
        "/EVENTS",
    ] {
        assert_eq!(app.ask(Method::GET, path).send().await.code(404), "route_not_found", "{path}");
    }
    let allows = |path: &'static str, method| {
        let ask = app.ask(method, path);
        async { ask.send().await }
    };
    let reply = allows("/webhooks", Method::PATCH).await;
    assert_eq!(reply.code(405), "method_not_allowed");
    assert_eq!(reply.header("allow"), "POST, GET, HEAD");
    let reply = allows("/webhooks/wh_1", Method::POST).await;
    assert_eq!(
        (reply.code(405).as_str(), reply.header("allow")),
        ("method_not_allowed", "GET, PUT, DELETE, HEAD")
    );
    assert_eq!(allows("/events", Method::OPTIONS).await.header("allow"), "POST, GET, HEAD");
    assert_eq!(allows("/webhooks/wh_1/test", Method::GET).await.header("allow"), "POST");
}

#[tokio::test]
async fn a_store_that_is_gone_is_a_503_that_says_when_to_come_again() {
    let (app, store) = App::in_memory(|_| {}).await;
    let account = app.account().await;
    store.refuse_writes(u32::MAX);
    store.refuse_reads(u32::MAX);
    let reply = app.post(&account.token, "/events", &event("order.filled")).await;
    assert_eq!((reply.code(503).as_str(), reply.header("retry-after")), ("unavailable", "1"));
    assert!(
        !String::from_utf8_lossy(&reply.body).contains("took the store away"),
        "what ails the store is the operator's to know"
    );
    assert_eq!(app.ask(Method::GET, "/readyz").send().await.code(503), "unavailable");
    assert_eq!(app.ask(Method::GET, "/healthz").send().await.expect(200)["status"], "ok");
    store.heal();
    assert_eq!(app.ask(Method::GET, "/readyz").send().await.expect(200)["status"], "ok");
    app.post(&account.token, "/events", &event("order.filled")).await.expect(201);
}

#[tokio::test]
async fn what_is_damaged_is_a_500_and_only_for_whoever_asks_for_it() {
    let (app, store) = App::in_memory(|_| {}).await;
    let account = app.account().await;
    let webhook = format!("/webhooks/{}", app.webhook(&account).await);
    store.damage_reads(0, 1);
    let reply = app.get(&account.token, &webhook).await;
    assert_eq!((reply.code(500).as_str(), reply.header("retry-after")), ("internal_error", ""));
    assert!(!String::from_utf8_lossy(&reply.body).contains("damaged the store"));
    app.get(&account.token, &webhook).await.expect(200);
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_no_success() {
    let (app, store) = App::in_memory(|_| {}).await;
    let account = app.account().await;
    app.webhook(&account).await;
    store.lose_answers(1);
    let reply = app.put(&account.token, "/webhooks/wh_00000000000000000000000000", &json!({})).await;
    assert_eq!((reply.code(503).as_str(), reply.header("retry-after")), ("unavailable", "1"));
}

#[tokio::test]
async fn docs_link_to_the_code_where_the_server_has_docs() {
    let options = postrider_api::ApiOptions {
        docs_url: Some("https://docs.example.com/errors".to_owned()),
        ..Default::default()
    };
    let app = App::with(options, |_| {}).await;
    let body = app.ask(Method::GET, "/nothing").send().await.expect(404);
    assert_eq!(body["docs"], "https://docs.example.com/errors#route_not_found");
}

#[test]
fn every_code_has_its_own_word_and_an_error_status() {
    let words: std::collections::BTreeSet<_> = postrider_api::Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(words.len(), postrider_api::Code::ALL.len());
    for code in postrider_api::Code::ALL {
        assert!(code.status().is_client_error() || code.status().is_server_error());
        assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
        assert!(code.detail().ends_with('.'), "{code:?}");
    }
}
