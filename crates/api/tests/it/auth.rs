//! Who may ask: tokens, accounts and what is answered to those who may not.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::app::{App, OPERATOR, event, named};

#[tokio::test]
async fn without_a_usable_token_it_is_a_401_that_says_how() {
    let app = App::new().await;
    let account = app.account().await;
    let slip = format!("{}x", account.token);
    for (header, code) in [
        (None, "unauthenticated"),
        (Some("Basic abc".to_owned()), "unauthenticated"),
        (Some("Bearer".to_owned()), "unauthenticated"),
        (Some("Bearer  ".to_owned()), "unauthenticated"),
        (Some(account.token.clone()), "unauthenticated"),
        (Some(format!("Bearer {slip}")), "invalid_token"),
        (Some("Bearer nonsense".to_owned()), "invalid_token"),
    ] {
        let mut ask = app.ask(Method::GET, "/webhooks");
        if let Some(header) = &header {
            ask = ask.header("authorization", header);
        }
        let reply = ask.send().await;
        assert_eq!(reply.code(401), code, "{header:?}");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
    }
    let spelled = format!("bEARER   {}", account.token);
    let reply = app.ask(Method::GET, "/webhooks").header("authorization", &spelled).send().await;
    reply.expect(200);
}

#[tokio::test]
async fn who_may_not_come_in_learns_nothing_of_the_parameters() {
    let app = App::new().await;
    let reply = app
        .ask(Method::POST, "/webhooks?x=1")
        .text("{")
        .header("api-version", "1")
        .send()
        .await;
    assert_eq!(reply.code(401), "unauthenticated");
}

#[tokio::test]
async fn a_key_ends_when_its_time_has_come() {
    let app = App::new().await;
    let account = app.account().await;
    let draft = json!({"name": "short", "expires_at": "2026-01-15T10:31:00Z"});
    let token = app.key(&format!("/accounts/{}/keys", account.id), &draft).await;
    app.clock.advance(Duration::from_millis(59_999));
    app.get(&token, "/me").await.expect(200);
    app.clock.advance(Duration::from_millis(1));
    assert_eq!(app.get(&token, "/me").await.code(401), "expired_token");
}

#[tokio::test]
async fn a_deleted_key_dies_at_once_and_so_do_those_of_a_deleted_account() {
    let app = App::new().await;
    let account = app.account().await;
    let path = format!("/accounts/{}/keys", account.id);
    let token = app.key(&path, &json!({"name": "second"})).await;
    let me = app.get(&token, "/me").await.expect(200);
    let key = me["key"]["id"].as_str().unwrap();
    assert_eq!(app.delete(OPERATOR, &format!("{path}/{key}")).await.status, 204);
    assert_eq!(app.get(&token, "/me").await.code(401), "invalid_token");
    app.get(&account.token, "/me").await.expect(200);
    assert_eq!(app.delete(OPERATOR, &format!("/accounts/{}", account.id)).await.status, 204);
    assert_eq!(app.get(&account.token, "/me").await.code(401), "invalid_token");
}

#[tokio::test]
async fn an_operator_acts_for_the_account_that_it_names() {
    let app = App::new().await;
    let draft = json!({"name": "Café", "external_id": "shop/ü 1"});
    let account = app.post(OPERATOR, "/accounts", &draft).await.expect(201);
    let id = account["id"].as_str().unwrap();
    for name in [id, "shop/ü 1"] {
        let ask = app.ask(Method::POST, "/events").token(OPERATOR).header("account-id", name);
        ask.json(&event("a")).send().await.expect(201);
        let me = app
            .ask(Method::GET, "/me")
            .token(OPERATOR)
            .header("account-id", name)
            .send()
            .await
            .expect(200);
        assert_eq!(me["account"]["id"], id);
    }
    let reply = app.post(OPERATOR, "/events", &event("a")).await.expect(400);
    assert_eq!(reply["code"], "account_required");
    assert_eq!(reply["params"][0]["path"], "header.account-id");
    for name in ["acc_00000000000000000000000000", "nobody"] {
        let ask = app.ask(Method::GET, "/webhooks").token(OPERATOR).header("account-id", name);
        assert_eq!(ask.send().await.code(404), "account_not_found");
    }
    let latin = http::HeaderValue::from_bytes(b"\xff").unwrap();
    let mut request = http::Request::get("/webhooks")
        .body(http_body_util::Full::<bytes::Bytes>::default())
        .unwrap();
    request.headers_mut().insert("account-id", latin);
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {OPERATOR}").parse().unwrap());
    assert_eq!(app.handle(request).await.code(404), "account_not_found");
}

#[tokio::test]
async fn an_account_key_names_no_other_account() {
    let app = App::new().await;
    let (one, other) = (app.account().await, app.account().await);
    let path = format!("/accounts/{}", one.id);
    app.put(OPERATOR, &path, &json!({"external_id": "one"})).await.expect(200);
    for (name, status) in [
        (one.id.as_str(), 200),
        ("one", 200),
        (other.id.as_str(), 403),
        ("two", 403),
        ("", 403),
    ] {
        let reply = app
            .ask(Method::GET, "/webhooks")
            .token(&one.token)
            .header("account-id", name)
            .send()
            .await;
        assert_eq!(reply.status.as_u16(), status, "{name}");
        if status == 403 {
            assert_eq!(reply.code(403), "account_mismatch");
        }
    }
}

#[tokio::test]
async fn an_inactive_account_is_closed_to_its_keys_and_open_to_the_operator() {
    let app = App::new().await;
    let account = app.account().await;
    let path = format!("/accounts/{}", account.id);
    app.get(&account.token, "/webhooks").await.expect(200);
    assert_eq!(
        app.put(OPERATOR, &path, &json!({"is_active": false})).await.expect(200)["is_active"],
        false
    );
    for route in ["/webhooks", "/me"] {
        assert_eq!(app.get(&account.token, route).await.code(403), "account_inactive");
    }
    let ask = app.ask(Method::GET, "/webhooks").token(OPERATOR).header("account-id", &account.id);
    ask.send().await.expect(200);
    app.put(OPERATOR, &path, &json!({"is_active": true})).await.expect(200);
    app.get(&account.token, "/webhooks").await.expect(200);
}

#[tokio::test]
async fn me_tells_a_key_what_it_is() {
    let app = App::new().await;
    let account = app.account().await;
    let me = app.get(&account.token, "/me").await.expect(200);
    assert_eq!((&me["operator"], &me["account"]["id"]), (&json!(false), &json!(account.id)));
    let hint = &account.token[account.token.len() - 4..];
    assert_eq!((&me["key"]["hint"], &me["key"]["name"]), (&json!(hint), &json!("all")));
    let scopes = [
        "webhooks:read",
        "webhooks:write",
        "events:read",
        "events:write",
        "deliveries:read",
        "deliveries:write",
    ];
    assert_eq!(me["scopes"], json!(scopes));
    let me = app.get(OPERATOR, "/me").await.expect(200);
    assert_eq!(
        (&me["operator"], &me["key"], &me["account"]),
        (&json!(true), &json!(null), &json!(null))
    );
    let made = app.key("/keys", &json!({"name": "ops", "scopes": ["accounts:admin"]})).await;
    let me = app.get(&made, "/me").await.expect(200);
    assert_eq!((&me["key"]["name"], &me["scopes"]), (&json!("ops"), &json!(["accounts:admin"])));
    assert_eq!(
        app.get(OPERATOR, "/me?x=1").await.params(),
        named(&[("query.x", "unknown_parameter")])
    );
}
