//! Access tokens: OAuth2's client credentials, and what is done with what they give.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Method;
use postrider_api::{ApiOptions, TokenKey};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::app::{Account, App, OPERATOR, Reply, event, named};

const FORM: &str = "application/x-www-form-urlencoded";
const GRANT: &str = "grant_type=client_credentials";

/// A key of an account, as a client.
struct Client {
    id: String,
    secret: String,
    path: String,
}

async fn client(app: &App, account: &Account, draft: &Value) -> Client {
    let keys = format!("/accounts/{}/keys", account.id);
    let key = app.post(OPERATOR, &keys, draft).await.expect(201);
    let id = key["id"].as_str().unwrap().to_owned();
    Client {
        path: format!("{keys}/{id}"),
        secret: key["token"].as_str().unwrap().to_owned(),
        id,
    }
}

async fn ask(app: &App, form: &str) -> Reply {
    let ask = app.ask(Method::POST, "/auth/token").header("content-type", FORM);
    ask.body(form.to_owned()).send().await
}

async fn ask_by_basic(app: &App, user: &str, form: &str) -> Reply {
    let basic = format!("Basic {}", STANDARD.encode(user));
    let ask = app.ask(Method::POST, "/auth/token").header("content-type", FORM);
    ask.header("authorization", &basic).body(form.to_owned()).send().await
}

fn form(client: &Client, more: &str) -> String {
    format!("{GRANT}&client_id={}&client_secret={}{more}", client.id, client.secret)
}

async fn token(app: &App, client: &Client, more: &str) -> String {
    let reply = ask(app, &form(client, more)).await.expect(200);
    reply["access_token"].as_str().unwrap().to_owned()
}

/// The word of RFC 6749 and our code of an error.
fn words(reply: &Reply, status: u16) -> (String, String) {
    let body = reply.expect(status);
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    assert!(!text("error_description").is_empty() && !text("detail").is_empty(), "{body}");
    assert_eq!(reply.header("www-authenticate").starts_with("Basic"), status == 401);
    (text("error"), text("code"))
}

fn pair(error: &str, code: &str) -> (String, String) {
    (error.to_owned(), code.to_owned())
}

#[tokio::test]
async fn a_key_gets_a_token_that_acts_for_it() {
    let app = App::new().await;
    let account = app.account().await;
    let client = client(&app, &account, &json!({"name": "c"})).await;
    let reply = ask(&app, &form(&client, "")).await;
    let body = reply.expect(200);
    let expected = json!({
        "access_token": body["access_token"],
        "token_type": "bearer",
        "expires_in": 900,
        "scope": "webhooks:read webhooks:write events:read events:write deliveries:read deliveries:write",
        "refresh_token": null,
    });
    assert_eq!(body, expected);
    assert_eq!((reply.header("cache-control"), reply.header("pragma")), ("no-store", "no-cache"));
    let token = body["access_token"].as_str().unwrap();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
    app.post(token, "/events", &event("a")).await.expect(201);
    let me = app.get(token, "/me").await.expect(200);
    assert_eq!((&me["key"]["id"], &me["account"]["id"]), (&json!(client.id), &json!(account.id)));
    assert_eq!(me["operator"], false);
    let other = app.account().await;
    let reply = app
        .ask(Method::GET, "/webhooks")
        .token(token)
        .header("account-id", &other.id)
        .send()
        .await;
    assert_eq!(reply.code(403), "account_mismatch");
}

#[tokio::test]
async fn the_client_may_come_by_http_basic() {
    let app = App::new().await;
    let account = app.account().await;
    let client = client(&app, &account, &json!({"name": "c"})).await;
    let user = format!("{}:{}", client.id, client.secret);
    ask_by_basic(&app, &user, GRANT).await.expect(200);
    // RFC 6749 §2.3.1: both are written like values of a form.
    let encoded = user.replacen('_', "%5F", 1);
    ask_by_basic(&app, &encoded, GRANT).await.expect(200);
    ask_by_basic(&app, &user, &format!("{GRANT}&client_id={}", client.id))
        .await
        .expect(200);
    for twice in [form(&client, ""), format!("{GRANT}&client_id=key_other")] {
        let reply = ask_by_basic(&app, &user, &twice).await;
        assert_eq!(words(&reply, 400), pair("invalid_request", "invalid_request"));
    }
    for (user, form) in [
        ("no colon", GRANT),
        ("a:b", GRANT),
        (&*format!("{}:", client.id), GRANT),
        ("%ff:b", GRANT),
    ] {
        let reply = ask_by_basic(&app, user, form).await;
        assert_eq!(words(&reply, 401), pair("invalid_client", "invalid_client"), "{user}");
    }
    let ask = app.ask(Method::POST, "/auth/token").header("content-type", FORM);
    let bearer = ask.header("authorization", &format!("Bearer {}", client.secret));
    let reply = bearer.body(form(&client, "")).send().await;
    assert_eq!(words(&reply, 401), pair("invalid_client", "invalid_client"));
}

#[tokio::test]
async fn who_is_no_client_is_told_so() {
    let app = App::new().await;
    let account = app.account().await;
    let client = client(&app, &account, &json!({"name": "c", "expires_at": "2026-01-15T11:00:00Z"})).await;
    let other = self::client(&app, &account, &json!({"name": "other"})).await;
    let none = "key_00000000000000000000000000";
    for form in [
        GRANT.to_owned(),
        format!("{GRANT}&client_id={}", client.id),
        format!("{GRANT}&client_secret={}", client.secret),
        format!("{GRANT}&client_id={}&client_secret={}", other.id, client.secret),
        format!("{GRANT}&client_id={}&client_secret={}x", client.id, client.secret),
        format!("{GRANT}&client_id=nobody&client_secret={}", client.secret),
    ] {
        let reply = ask(&app, &form).await;
        assert_eq!(words(&reply, 401), pair("invalid_client", "invalid_client"), "{form}");
    }
    let configured = format!("{GRANT}&client_id={none}&client_secret={}", OPERATOR.replace(' ', "+"));
    let reply = ask(&app, &configured).await;
    assert_eq!(words(&reply, 401), pair("invalid_client", "invalid_client"));
    assert!(reply.json()["detail"].as_str().unwrap().contains("configuration"));
    app.clock.advance(Duration::from_secs(1_800));
    let reply = ask(&app, &form(&client, "")).await;
    assert_eq!(words(&reply, 401), pair("invalid_client", "invalid_client"));
    assert!(reply.json()["detail"].as_str().unwrap().contains("expired"));
    let path = format!("/accounts/{}", account.id);
    app.put(OPERATOR, &path, &json!({"is_active": false})).await.expect(200);
    let reply = ask(&app, &form(&other, "")).await;
    assert_eq!(words(&reply, 403), pair("unauthorized_client", "account_inactive"));
    app.delete(OPERATOR, &path).await;
    assert_eq!(ask(&app, &form(&other, "")).await.status, 401);
}

#[tokio::test]
async fn a_request_that_is_none_says_why() {
    let app = App::new().await;
    let account = app.account().await;
    let client = client(&app, &account, &json!({"name": "c"})).await;
    let credentials = form(&client, "").replace(GRANT, "");
    for (form, path, code) in [
        (credentials.clone(), "body.grant_type", "missing_field"),
        (format!("grant_type={credentials}"), "body.grant_type", "missing_field"),
        (format!("{GRANT}&{GRANT}{credentials}"), "body.grant_type", "duplicate_field"),
        (format!("{GRANT}{credentials}&scope=%ff"), "body.scope", "invalid_encoding"),
    ] {
        let reply = ask(&app, &form).await;
        assert_eq!(words(&reply, 400), pair("invalid_request", "invalid_request"));
        assert_eq!(reply.params(), named(&[(path, code)]), "{form}");
    }
    let reply = ask(&app, &format!("grant_type=password{credentials}")).await;
    assert_eq!(words(&reply, 400), pair("unsupported_grant_type", "unsupported_grant_type"));
    // RFC 6749 §3.2: what is not known is passed over.
    ask(&app, &form(&client, "&audience=x&audience=y&%ff=1")).await.expect(200);
    let asked = app.ask(Method::POST, "/auth/token?x=1").header("content-type", FORM);
    let reply = asked.body(form(&client, "")).send().await;
    assert_eq!(reply.params(), named(&[("query.x", "unknown_parameter")]));
    let asked = app
        .ask(Method::POST, "/auth/token")
        .header("api-version", "1999-12-31")
        .send()
        .await;
    let faults = [("header.api-version", "unknown_version"), ("body.grant_type", "missing_field")];
    assert_eq!(asked.params(), named(&faults));
    for media_type in ["application/json", "text/plain"] {
        let asked = app.ask(Method::POST, "/auth/token").header("content-type", media_type);
        let reply = asked.body(form(&client, "")).send().await;
        assert_eq!(words(&reply, 415), pair("invalid_request", "unsupported_media_type"));
    }
    let huge = form(&client, &"&x=1".repeat(8_192));
    assert_eq!(words(&ask(&app, &huge).await, 413), pair("invalid_request", "body_too_large"));
    let with_charset = app
        .ask(Method::POST, "/auth/token")
        .header("content-type", &format!("{FORM}; charset=UTF-8"));
    with_charset.body(form(&client, "")).send().await.expect(200);
}

#[tokio::test]
async fn a_token_has_the_scopes_that_it_asked_for_and_its_key_still_has() {
    let app = App::new().await;
    let account = app.account().await;
    let draft = json!({"name": "c", "scopes": ["webhooks:read", "events:read", "events:write"]});
    let client = client(&app, &account, &draft).await;
    let reply = ask(&app, &form(&client, "&scope=events:write+webhooks:read")).await.expect(200);
    assert_eq!(reply["scope"], "webhooks:read events:write");
    let token = reply["access_token"].as_str().unwrap();
    app.post(token, "/events", &event("a")).await.expect(201);
    assert_eq!(app.get(token, "/events/none").await.code(403), "insufficient_scope");
    let me = app.get(token, "/me").await.expect(200);
    assert_eq!(me["scopes"], json!(["webhooks:read", "events:write"]));
    assert_eq!(me["key"]["scopes"].as_array().unwrap().len(), 3);
    app.put(OPERATOR, &client.path, &json!({"scopes": ["webhooks:read", "deliveries:read"]}))
        .await
        .expect(200);
    assert_eq!(app.post(token, "/events", &event("a")).await.code(403), "insufficient_scope");
    assert_eq!(app.get(token, "/deliveries").await.code(403), "insufficient_scope");
    app.get(token, "/webhooks").await.expect(200);
    for scope in ["events:write", "deliveries:write", "accounts:admin", "root", "+"] {
        let reply = ask(&app, &form(&client, &format!("&scope=webhooks:read+{scope}"))).await;
        if scope == "+" {
            reply.expect(200);
            continue;
        }
        assert_eq!(words(&reply, 400), pair("invalid_scope", "invalid_scope"));
        assert_eq!(reply.json()["context"]["scope"], scope);
    }
    assert_eq!(
        words(&ask(&app, &form(&client, "&scope=+")).await, 400),
        pair("invalid_scope", "invalid_scope")
    );
    assert_eq!(
        ask(&app, &form(&client, "&scope=")).await.expect(200)["scope"],
        "webhooks:read deliveries:read"
    );
}

#[tokio::test]
async fn a_token_lives_for_a_quarter_of_an_hour_and_no_longer_than_its_key() {
    let app = App::new().await;
    let account = app.account().await;
    let long = client(&app, &account, &json!({"name": "long"})).await;
    app.clock.advance(Duration::from_millis(1));
    let token = token(&app, &long, "").await;
    app.clock.advance(Duration::from_secs(900));
    app.get(&token, "/me").await.expect(200);
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(app.get(&token, "/me").await.code(401), "expired_token");
    let short = client(&app, &account, &json!({"name": "short", "expires_at": "2026-01-15T10:47:00Z"})).await;
    let reply = ask(&app, &form(&short, "")).await.expect(200);
    assert_eq!(reply["expires_in"], 118);
    let token = reply["access_token"].as_str().unwrap();
    app.get(token, "/me").await.expect(200);
    app.clock.advance(Duration::from_secs(119));
    assert_eq!(app.get(token, "/me").await.code(401), "expired_token");
}

#[tokio::test]
async fn a_token_dies_with_its_key_at_once() {
    let app = App::new().await;
    let account = app.account().await;
    let (one, two) = (
        client(&app, &account, &json!({"name": "one"})).await,
        client(&app, &account, &json!({"name": "two"})).await,
    );
    let tokens = [token(&app, &one, "").await, token(&app, &two, "").await];
    for token in &tokens {
        app.get(token, "/webhooks").await.expect(200);
    }
    assert_eq!(app.delete(OPERATOR, &one.path).await.status, 204);
    assert_eq!(app.get(&tokens[0], "/webhooks").await.code(401), "invalid_token");
    app.get(&tokens[1], "/webhooks").await.expect(200);
    let path = format!("/accounts/{}", account.id);
    app.put(OPERATOR, &path, &json!({"is_active": false})).await.expect(200);
    assert_eq!(app.get(&tokens[1], "/webhooks").await.code(403), "account_inactive");
    app.delete(OPERATOR, &path).await;
    assert_eq!(app.get(&tokens[1], "/webhooks").await.code(401), "invalid_token");
}

#[tokio::test]
async fn a_key_of_the_operators_is_a_client_too() {
    let app = App::new().await;
    let account = app.account().await;
    let key = app.post(OPERATOR, "/keys", &json!({"name": "ops"})).await.expect(201);
    let client = Client {
        id: key["id"].as_str().unwrap().to_owned(),
        secret: key["token"].as_str().unwrap().to_owned(),
        path: String::new(),
    };
    let token = token(&app, &client, "&scope=webhooks:read+accounts:admin").await;
    app.get(&token, "/accounts").await.expect(200);
    let acting = app.ask(Method::GET, "/webhooks").token(&token).header("account-id", &account.id);
    acting.send().await.expect(200);
    assert_eq!(app.get(&token, "/me").await.expect(200)["operator"], true);
}

fn app_key(byte: u8) -> ApiOptions {
    ApiOptions {
        token_key: Some(TokenKey::new(Zeroizing::new([byte; 32]))),
        ..ApiOptions::default()
    }
}

#[tokio::test]
async fn a_token_outlives_a_restart_under_the_same_key_alone() {
    let app = App::with(app_key(1), |_| {}).await;
    let account = app.account().await;
    let client = client(&app, &account, &json!({"name": "c"})).await;
    let token = token(&app, &client, "").await;
    app.beside_with(app_key(1)).await.get(&token, "/me").await.expect(200);
    let other = app.beside_with(app_key(2)).await;
    assert_eq!(other.get(&token, "/me").await.code(401), "invalid_token");
}

#[tokio::test]
async fn a_token_that_was_tampered_with_is_none() {
    let app = App::new().await;
    let account = app.account().await;
    let client = client(&app, &account, &json!({"name": "c", "scopes": ["events:read"]})).await;
    let token = token(&app, &client, "").await;
    let parts: Vec<&str> = token.split('.').collect();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let mut more = claims.clone();
    more["scope"] = json!("events:read events:write");
    let more = URL_SAFE_NO_PAD.encode(more.to_string());
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let stronger = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS512","typ":"JWT"}"#);
    for forged in [
        format!("{}.{more}.{}", parts[0], parts[2]),
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{stronger}.{}.{}", parts[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{token}A"),
        token[..token.len() - 1].to_owned(),
        format!("{token}."),
        "..".to_owned(),
        format!("{}.{}.{}", "A".repeat(3_000), parts[1], parts[2]),
    ] {
        assert_eq!(app.get(&forged, "/me").await.code(401), "invalid_token", "{forged}");
    }
    app.get(&token, "/me").await.expect(200);
}

#[tokio::test]
async fn the_same_request_under_an_idempotency_key_gets_the_same_token() {
    let app = App::new().await;
    let account = app.account().await;
    let client = client(&app, &account, &json!({"name": "c"})).await;
    let mut bodies = Vec::new();
    for replayed in ["", "true"] {
        let ask = app.ask(Method::POST, "/auth/token").header("content-type", FORM);
        let reply = ask.header("idempotency-key", "k").body(form(&client, "")).send().await;
        assert_eq!(
            (reply.header("idempotency-replayed"), reply.header("cache-control")),
            (replayed, "no-store")
        );
        bodies.push(reply.expect(200));
        app.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(bodies[0], bodies[1]);
}
