//! Webhooks: made, read, changed, rotated, deleted; which urls are allowed.

use http::Method;
use serde_json::{Value, json};

use crate::app::{App, named};

#[tokio::test]
async fn a_webhook_shows_its_secret_once() {
    let app = App::new().await;
    let account = app.account().await;
    let draft = json!({"url": "https://Example.com/a b%20?".replace(' ', ""), "description": null});
    let reply = app.post(&account.token, "/webhooks", &draft).await;
    let made = reply.expect(201);
    assert_eq!(reply.header("cache-control"), "no-store");
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() == 6 + 44);
    let id = made["id"].as_str().unwrap();
    let moment = "2026-01-15T10:30:00.000Z";
    let expected = json!({
        "id": id, "url": draft["url"], "is_active": true, "description": null, "event_names": [], "created_at": moment, "modified_at": moment,
    });
    assert_eq!(app.get(&account.token, &format!("/webhooks/{id}")).await.expect(200), expected);
    assert_eq!(app.get(&account.token, "/webhooks").await.expect(200), json!([expected]));
}

#[tokio::test]
async fn a_callers_own_secret_is_taken_over() {
    let app = App::new().await;
    let account = app.account().await;
    let own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let draft =
        json!({"url": "https://example.com", "secret": own, "is_active": false, "event_names": ["order.*", "paid"], "description": ""});
    let made = app.post(&account.token, "/webhooks", &draft).await.expect(201);
    for (field, value) in draft.as_object().unwrap() {
        assert_eq!(&made[field], value);
    }
    for secret in [
        json!(null),
        json!("whsec_"),
        json!("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        json!("whsec_####"),
    ] {
        let reply = app
            .post(
                &account.token,
                "/webhooks",
                &json!({"url": "https://example.com", "secret": secret}),
            )
            .await;
        let code = if secret.is_null() { "null_not_allowed" } else { "invalid_secret" };
        assert_eq!(reply.params(), named(&[("body.secret", code)]));
    }
}

#[tokio::test]
async fn each_rule_of_urls_has_its_code() {
    let app = App::new().await;
    let account = app.account().await;
    let id = app.webhook(&account).await;
    let long = format!("https://example.com/{}", "x".repeat(2_048));
    for (url, code) in [
        ("http://example.com", "url_not_https"),
        ("https://127.0.0.1/", "url_is_ip"),
        ("https://0x7f000001/", "url_is_ip"),
        ("https://[::1]/", "url_is_ip"),
        ("https://localhost/", "url_special_use_name"),
        ("https://a.internal/", "url_special_use_name"),
        ("https://intranet/", "url_no_dot"),
        ("https://example.com./", "url_trailing_dot"),
        ("https://user@example.com/", "url_userinfo"),
        ("https://example.com/#", "url_fragment"),
        ("https://example.com:0/", "url_port"),
        ("https://example.com/a b", "url_whitespace"),
        ("https://example.com\\", "url_backslash"),
        ("https://ex%61mple.com/", "url_percent_in_host"),
        (&long, "url_too_long"),
    ] {
        let made = app.post(&account.token, "/webhooks", &json!({"url": url})).await;
        let changed = app.put(&account.token, &format!("/webhooks/{id}"), &json!({"url": url})).await;
        for reply in [made, changed] {
            assert_eq!(reply.params(), named(&[("body.url", code)]), "{url}");
        }
    }
}

#[tokio::test]
async fn the_servers_policy_decides_about_urls() {
    let app = App::with(Default::default(), |settings| settings.url_policy.dev = true).await;
    let account = app.account().await;
    app.post(&account.token, "/webhooks", &json!({"url": "http://localhost:3000/hook"}))
        .await
        .expect(201);
}

#[tokio::test]
async fn a_put_changes_what_it_names_and_null_empties_what_may_be_empty() {
    let app = App::new().await;
    let account = app.account().await;
    let path = format!("/webhooks/{}", app.webhook(&account).await);
    let change = json!({"description": "Orders", "event_names": ["order.*"], "is_active": false});
    let changed = app.put(&account.token, &path, &change).await.expect(200);
    assert_eq!(
        (&changed["url"], &changed["description"]),
        (&json!("https://example.com/hook"), &json!("Orders"))
    );
    assert!(changed.get("secret").is_none());
    app.clock.advance(std::time::Duration::from_secs(1));
    let same = app.put(&account.token, &path, &json!({})).await.expect(200);
    assert_eq!((&same["is_active"], &same["event_names"]), (&json!(false), &json!(["order.*"])));
    let emptied = app
        .put(&account.token, &path, &json!({"description": null, "event_names": []}))
        .await
        .expect(200);
    assert_eq!((&emptied["description"], &emptied["event_names"]), (&json!(null), &json!([])));
    assert_eq!(emptied["modified_at"], "2026-01-15T10:30:01.000Z");
    let nulls = json!({"url": null, "is_active": null, "event_names": null, "secret": "whsec_x"});
    let faults = [
        ("body.url", "null_not_allowed"),
        ("body.is_active", "null_not_allowed"),
        ("body.event_names", "null_not_allowed"),
        ("body.secret", "unknown_field"),
    ];
    assert_eq!(app.put(&account.token, &path, &nulls).await.params(), named(&faults));
}

#[tokio::test]
async fn limits_of_a_webhook() {
    let app = App::with(Default::default(), |settings| settings.webhooks_per_account = 2).await;
    let account = app.account().await;
    let draft = |field: &str, value: Value| json!({"url": "https://example.com", field: value});
    let reply = app
        .post(&account.token, "/webhooks", &draft("description", json!("é".repeat(1_025))))
        .await;
    assert_eq!(reply.params(), named(&[("body.description", "too_long")]));
    let reply = app
        .post(&account.token, "/webhooks", &draft("event_names", json!(vec!["a"; 101])))
        .await;
    assert_eq!(reply.params(), named(&[("body.event_names", "too_many_items")]));
    app.post(&account.token, "/webhooks", &draft("description", json!("é".repeat(1_024))))
        .await
        .expect(201);
    app.post(&account.token, "/webhooks", &draft("event_names", json!(vec!["a"; 100])))
        .await
        .expect(201);
    let reply = app.post(&account.token, "/webhooks", &json!({"url": "https://example.com"})).await;
    assert_eq!(
        (reply.code(409).as_str(), &reply.json()["context"]["webhooks_max"]),
        ("too_many_webhooks", &json!(2))
    );
}

#[tokio::test]
async fn a_secret_is_rotated_with_a_grace() {
    let app = App::new().await;
    let account = app.account().await;
    let path = format!("/webhooks/{}/secret/rotate", app.webhook(&account).await);
    let reply = app.ask(Method::POST, &path).token(&account.token).send().await;
    assert!(reply.expect(200)["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!(reply.header("cache-control"), "no-store");
    let own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let rotated = app
        .post(&account.token, &path, &json!({"secret": own, "grace_seconds": 604_800}))
        .await
        .expect(200);
    assert_eq!(rotated["secret"], own);
    for _ in 0..2 {
        app.post(&account.token, &path, &json!({})).await.expect(200);
    }
    assert_eq!(app.post(&account.token, &path, &json!({})).await.code(409), "too_many_secrets");
    app.post(&account.token, &path, &json!({"grace_seconds": 0})).await.expect(200);
    app.post(&account.token, &path, &json!({})).await.expect(200);
    for (grace, code) in [
        (json!(604_801), "out_of_range"),
        (json!(-1), "out_of_range"),
        (json!(1.5), "out_of_range"),
        (json!("60"), "wrong_type"),
        (json!(null), "null_not_allowed"),
    ] {
        let reply = app.post(&account.token, &path, &json!({ "grace_seconds": grace })).await;
        assert_eq!(reply.params(), named(&[("body.grace_seconds", code)]));
    }
}

#[tokio::test]
async fn a_deleted_webhook_is_gone() {
    let app = App::new().await;
    let account = app.account().await;
    let id = app.webhook(&account).await;
    let path = format!("/webhooks/{id}");
    assert_eq!(app.delete(&account.token, &path).await.status, 204);
    let replies = [
        app.get(&account.token, &path).await,
        app.put(&account.token, &path, &json!({})).await,
        app.delete(&account.token, &path).await,
        app.get(&account.token, &format!("{path}/deliveries")).await,
        app.post(&account.token, &format!("{path}/test"), &json!({"event": {"name": "a"}}))
            .await,
        app.post(&account.token, &format!("{path}/secret/rotate"), &json!({})).await,
    ];
    for reply in replies {
        assert_eq!(reply.code(404), "webhook_not_found");
    }
    assert_eq!(app.get(&account.token, "/webhooks/nonsense").await.code(404), "webhook_not_found");
}
