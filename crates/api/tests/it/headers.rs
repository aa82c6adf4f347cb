//! Headers of every answer.

use std::collections::BTreeSet;

use http::Method;

use crate::app::App;

#[tokio::test]
async fn every_answer_has_an_id_of_its_own_and_the_version_served() {
    let app = App::new().await;
    let account = app.account().await;
    let mut ids = BTreeSet::new();
    for path in ["/healthz", "/nothing", "/webhooks", "/webhooks/wh_1"] {
        for _ in 0..20 {
            let reply = app.get(&account.token, path).await;
            assert_eq!(reply.header("api-version"), "2026-01-01");
            assert_eq!(reply.header("content-type"), "application/json");
            let id = reply.header("request-id").to_owned();
            assert!(id.starts_with("req_") && id.len() == 30, "{id}");
            assert!(ids.insert(id), "an id came twice");
        }
    }
}

#[tokio::test]
async fn a_client_request_id_is_echoed_on_success_and_failure() {
    let app = App::new().await;
    for path in ["/healthz", "/nothing"] {
        let reply = app.ask(Method::GET, path).header("client-request-id", "mine 1").send().await;
        assert_eq!(reply.header("client-request-id"), "mine 1");
    }
    assert_eq!(app.ask(Method::GET, "/healthz").send().await.header("client-request-id"), "");
}

#[tokio::test]
async fn a_known_version_may_be_asked_for_and_an_unknown_one_is_refused() {
    let app = App::new().await;
    app.ask(Method::GET, "/healthz")
        .header("api-version", "2026-01-01")
        .send()
        .await
        .expect(200);
    let reply = app.ask(Method::GET, "/healthz").header("api-version", "2027-01-01").send().await;
    assert_eq!(reply.params(), crate::app::named(&[("header.api-version", "unknown_version")]));
    assert_eq!(reply.header("api-version"), "2026-01-01");
}

#[tokio::test]
async fn a_head_is_answered_like_a_get() {
    let app = App::new().await;
    let reply = app.ask(Method::HEAD, "/healthz").send().await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn health_tells_the_servers_version() {
    let options = postrider_api::ApiOptions {
        version: "9.9.9",
        ..Default::default()
    };
    let app = App::with(options, |_| {}).await;
    assert_eq!(app.ask(Method::GET, "/healthz").send().await.expect(200)["version"], "9.9.9");
}
