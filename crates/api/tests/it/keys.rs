//! Keys: shown once, changed, and gone.

use serde_json::{Value, json};

use crate::app::{App, OPERATOR, named};

fn scopes(key: &Value) -> Vec<&str> {
    key["scopes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|scope| scope.as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_token_is_shown_once_and_kept_from_caches() {
    let app = App::new().await;
    let account = app.account().await;
    let path = format!("/accounts/{}/keys", account.id);
    let reply = app
        .post(OPERATOR, &path, &json!({"name": "ci", "scopes": ["events:write", "events:write"]}))
        .await;
    let made = reply.expect(201);
    assert_eq!(reply.header("cache-control"), "no-store");
    let token = made["token"].as_str().unwrap();
    assert!(postrider_model::key::Token::is_well_formed(token) && token.starts_with("ptr_"));
    assert_eq!(
        (made["hint"].as_str().unwrap(), scopes(&made)),
        (&token[token.len() - 4..], vec!["events:write"])
    );
    let shown = app.get(OPERATOR, &format!("{path}/{}", made["id"].as_str().unwrap())).await;
    let mut expected = made.clone();
    expected.as_object_mut().unwrap().remove("token");
    assert_eq!((shown.expect(200), shown.header("cache-control")), (expected.clone(), ""));
    assert_eq!(app.get(OPERATOR, &path).await.expect(200)[0], expected);
}

#[tokio::test]
async fn the_operators_own_keys_are_apart_from_those_of_accounts() {
    let app = App::new().await;
    let account = app.account().await;
    let made = app
        .post(OPERATOR, "/keys", &json!({"name": "ops", "expires_at": null}))
        .await
        .expect(201);
    assert!(made["token"].as_str().unwrap().starts_with("ptrop_"));
    assert_eq!(scopes(&made).len(), 7);
    let id = made["id"].as_str().unwrap();
    app.get(OPERATOR, &format!("/keys/{id}")).await.expect(200);
    let reply = app.get(OPERATOR, &format!("/accounts/{}/keys/{id}", account.id)).await;
    assert_eq!(reply.code(404), "key_not_found");
    assert_eq!(app.get(OPERATOR, "/accounts/nobody/keys").await.code(404), "account_not_found");
    assert_eq!(app.get(OPERATOR, "/keys").await.expect(200).as_array().unwrap().len(), 1);
    assert_eq!(app.delete(OPERATOR, &format!("/keys/{id}")).await.status, 204);
    assert_eq!(app.delete(OPERATOR, &format!("/keys/{id}")).await.code(404), "key_not_found");
}

#[tokio::test]
async fn a_change_holds_at_once() {
    let app = App::new().await;
    let account = app.account().await;
    let key = app.get(&account.token, "/me").await.expect(200)["key"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/accounts/{}/keys/{key}", account.id);
    let change = json!({"name": "reader", "scopes": ["webhooks:read"], "expires_at": "2026-02-01T00:00:00+01:00"});
    let changed = app.put(OPERATOR, &path, &change).await.expect(200);
    assert_eq!(
        (&changed["name"], &changed["expires_at"]),
        (&json!("reader"), &json!("2026-01-31T23:00:00.000Z"))
    );
    app.get(&account.token, "/webhooks").await.expect(200);
    assert_eq!(app.get(&account.token, "/deliveries").await.code(403), "insufficient_scope");
    let changed = app.put(OPERATOR, &path, &json!({"expires_at": null})).await.expect(200);
    assert_eq!((&changed["expires_at"], scopes(&changed)), (&json!(null), vec!["webhooks:read"]));
    assert_eq!(app.put(OPERATOR, "/keys/key_none", &json!({})).await.code(404), "key_not_found");
}

#[tokio::test]
async fn wrong_fields_are_refused() {
    let app = App::new().await;
    let draft = json!({"scopes": ["events:write", "root", 1], "expires_at": "tomorrow", "token": "x"});
    let faults = [
        ("body.name", "missing_field"),
        ("body.scopes[1]", "unknown_scope"),
        ("body.scopes[2]", "wrong_type"),
        ("body.expires_at", "invalid_timestamp"),
        ("body.token", "unknown_field"),
    ];
    assert_eq!(app.post(OPERATOR, "/keys", &draft).await.params(), named(&faults));
    for (draft, path, code) in [
        (json!({"name": "k", "scopes": []}), "body.scopes", "too_short"),
        (json!({"name": "k", "scopes": "all"}), "body.scopes", "wrong_type"),
        (json!({"name": "k", "scopes": null}), "body.scopes", "null_not_allowed"),
        (
            json!({"name": "k", "expires_at": "2026-01-15T10:30:00Z"}),
            "body.expires_at",
            "not_in_the_future",
        ),
        (json!({"name": "k", "expires_at": 5}), "body.expires_at", "wrong_type"),
    ] {
        assert_eq!(app.post(OPERATOR, "/keys", &draft).await.params(), named(&[(path, code)]));
    }
}
