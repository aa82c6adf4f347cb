//! `Idempotency-Key`: the first answer to a POST is replayed, and what it did is done once.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::join;
use http::Method;
use postrider_model::limits::IDEMPOTENCY_KEPT;
use serde_json::{Value, json};

use crate::app::{Account, App, OPERATOR, Reply, event, named};
use crate::sender::Script;

async fn post(app: &App, token: &str, path: &str, (key, body): (&str, &Value)) -> Reply {
    let ask = app.ask(Method::POST, path).token(token).header("idempotency-key", key);
    ask.json(body).send().await
}

fn is_replayed(reply: &Reply) -> bool {
    reply.header("idempotency-replayed") == "true"
}

/// The other is the same answer once more, byte for byte, under a request id of its own.
fn assert_replayed(first: &Reply, again: &Reply) {
    assert!(!is_replayed(first) && is_replayed(again));
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_ne!(first.header("request-id"), again.header("request-id"));
    let mut headers = [first.headers.clone(), again.headers.clone()];
    for headers in &mut headers {
        headers.remove("request-id");
        headers.remove("idempotency-replayed");
    }
    assert_eq!(headers[0], headers[1]);
}

/// A delivery of the account that failed for good, of a webhook that was deleted: so nothing is sent beside the test.
async fn failed_delivery(app: &App, account: &Account) -> String {
    let webhook = app.webhook(account).await;
    app.sender.follow(Script::Succeed);
    let test = json!({"event": {"name": "a"}});
    let made = app
        .post(&account.token, &format!("/webhooks/{webhook}/test"), &test)
        .await
        .expect(202);
    let id = made["id"].as_str().unwrap().to_owned();
    app.delivery(account, &id, "succeeded").await;
    id
}

#[tokio::test]
async fn on_every_post_the_first_answer_is_replayed_byte_for_byte() {
    let app = App::new().await;
    let account = app.account().await;
    let webhook = app.webhook(&account).await;
    let delivery = failed_delivery(&app, &account).await;
    let posts = [
        ("/webhooks", json!({"url": "https://example.com/new"}), 201, "no-store"),
        (&format!("/webhooks/{webhook}/secret/rotate"), json!({}), 200, "no-store"),
        (&format!("/webhooks/{webhook}/test"), json!({"event": {"name": "a"}}), 202, ""),
        (&format!("/deliveries/{delivery}/retry"), json!({}), 202, ""),
        ("/events", event("order.filled"), 201, ""),
        ("/events/batch", json!({"events": [event("a"), event("b")]}), 201, ""),
        ("/accounts", json!({"name": "Other"}), 201, ""),
        (&format!("/accounts/{}/keys", account.id), json!({"name": "ci"}), 201, "no-store"),
        ("/keys", json!({"name": "ops"}), 201, "no-store"),
    ];
    for (index, (path, body, status, cache)) in posts.iter().enumerate() {
        let is_operators = path.starts_with("/accounts") || path.starts_with("/keys");
        let token = if is_operators { OPERATOR } else { account.token.as_str() };
        let key = format!("key {index}");
        let first = post(&app, token, path, (&key, body)).await;
        assert_eq!((first.status.as_u16(), first.header("cache-control")), (*status, *cache), "{path}");
        app.clock.advance(Duration::from_secs(1));
        let again = post(&app, token, path, (&key, body)).await;
        assert_replayed(&first, &again);
        let anew = post(&app, token, path, (&format!("other {index}"), body)).await;
        assert_eq!(anew.status.as_u16(), *status, "{path}");
        assert!(
            !is_replayed(&anew) && anew.body != first.body,
            "{path}: another key, another answer"
        );
    }
}

#[tokio::test]
async fn what_a_post_does_is_done_once() {
    let app = App::new().await;
    let account = app.account().await;
    app.webhook(&account).await;
    for _ in 0..3 {
        post(&app, &account.token, "/events", ("k", &event("a"))).await.expect(201);
        let draft = json!({"url": "https://example.com/second"});
        post(&app, &account.token, "/webhooks", ("w", &draft)).await.expect(201);
    }
    let count = async |path: &str| app.get(&account.token, path).await.expect(200).as_array().unwrap().len();
    assert_eq!((count("/deliveries").await, count("/webhooks").await), (1, 2));
    let replayed = post(&app, &account.token, "/events", ("k", &event("a"))).await;
    let id = replayed.json()["id"].as_str().unwrap().to_owned();
    app.get(&account.token, &format!("/events/{id}")).await.expect(200);
}

#[tokio::test]
async fn a_key_is_one_header_of_1_to_255_characters() {
    let app = App::new().await;
    let account = app.account().await;
    for (key, code) in [("", "too_short"), (&*"k".repeat(256), "too_long"), (&"ü".repeat(256), "too_long")] {
        let reply = post(&app, &account.token, "/events", (key, &event("a"))).await;
        assert_eq!(reply.params(), named(&[("header.idempotency-key", code)]));
    }
    let reply = post(&app, &account.token, "/events", ("", &json!({"name": "a"}))).await;
    let faults = [("header.idempotency-key", "too_short"), ("body.resource", "missing_field")];
    assert_eq!(reply.params(), named(&faults), "all that is wrong is named");
    let twice = app.ask(Method::POST, "/events").token(&account.token).json(&event("a"));
    let twice = twice.header("idempotency-key", "one").header("idempotency-key", "one");
    assert_eq!(
        twice.send().await.params(),
        named(&[("header.idempotency-key", "duplicate_header")])
    );
    for key in ["k".repeat(255), "ü".repeat(255)] {
        let first = post(&app, &account.token, "/events", (&key, &event("a"))).await;
        assert_replayed(&first, &post(&app, &account.token, "/events", (&key, &event("a"))).await);
    }
    for path in ["/webhooks/none/test", "/webhooks/none/secret/rotate", "/deliveries/none/retry"] {
        let reply = post(&app, &account.token, path, ("", &json!({"x": 1}))).await;
        assert_eq!(reply.params()[0], named(&[("header.idempotency-key", "too_short")])[0], "{path}");
    }
}

#[tokio::test]
async fn another_request_under_the_same_key_is_refused() {
    let app = App::new().await;
    let account = app.account().await;
    let webhook = app.webhook(&account).await;
    post(&app, &account.token, "/events", ("k", &event("a"))).await.expect(201);
    let spaced = format!(" {}", event("a"));
    let ask = app
        .ask(Method::POST, "/events")
        .token(&account.token)
        .header("idempotency-key", "k");
    assert_eq!(ask.text(spaced).send().await.code(422), "idempotency_key_reused", "a byte more");
    for (path, body) in [
        ("/events", event("b")),
        ("/webhooks", event("a")),
        (&format!("/webhooks/{webhook}/test"), json!({"event": {"name": "a"}})),
    ] {
        assert_eq!(
            post(&app, &account.token, path, ("k", &body)).await.code(422),
            "idempotency_key_reused",
            "{path}"
        );
    }
    post(&app, &account.token, "/events", ("k", &event("a"))).await.expect(201);
}

#[tokio::test]
async fn only_posts_have_keys() {
    let app = App::new().await;
    let account = app.account().await;
    let webhook = app.webhook(&account).await;
    for is_active in [false, true] {
        let ask = app.ask(Method::PUT, &format!("/webhooks/{webhook}")).token(&account.token);
        let ask = ask.header("idempotency-key", "k").json(&json!({"is_active": is_active}));
        let reply = ask.send().await;
        assert_eq!((&reply.expect(200)["is_active"], is_replayed(&reply)), (&json!(is_active), false));
    }
}

#[tokio::test]
async fn a_404_is_replayed_though_it_could_be_answered_now() {
    let app = App::new().await;
    let draft = json!({"name": "k"});
    let first = post(&app, OPERATOR, "/accounts/shop/keys", ("k", &draft)).await;
    assert_eq!(first.code(404), "account_not_found");
    let account = json!({"name": "Shop", "external_id": "shop"});
    app.post(OPERATOR, "/accounts", &account).await.expect(201);
    assert_replayed(&first, &post(&app, OPERATOR, "/accounts/shop/keys", ("k", &draft)).await);
    post(&app, OPERATOR, "/accounts/shop/keys", ("other", &draft)).await.expect(201);
    let account = app.account().await;
    for path in ["/webhooks/none/test", "/webhooks/wh_00000000000000000000000001/test"] {
        let test = json!({"event": {"name": "a"}});
        let first = post(&app, &account.token, path, (path, &test)).await;
        assert_eq!(first.code(404), "webhook_not_found");
        assert_replayed(&first, &post(&app, &account.token, path, (path, &test)).await);
    }
}

#[tokio::test]
async fn what_was_refused_is_not_kept() {
    let (app, store) = App::in_memory(|settings| settings.webhooks_per_account = 1).await;
    let account = app.account().await;
    let token = &account.token;
    post(&app, token, "/events", ("400", &json!({"name": 5}))).await.expect(400);
    post(&app, token, "/events/batch", ("400", &json!({"events": [event("..")]})))
        .await
        .expect(400);
    post(&app, "nobody", "/events", ("400", &event("a"))).await.expect(401);
    let own = |name: &str| json!({"name": name, "resource": {"id": "1", "resource_type": "o"}, "id": "mine"});
    post(&app, token, "/events", ("409", &own("a"))).await.expect(201);
    post(&app, token, "/events", ("409 too", &own("b"))).await.expect(409);
    let webhook = app.webhook(&account).await;
    let draft = json!({"url": "https://example.com/second"});
    assert_eq!(
        post(&app, token, "/webhooks", ("409 there", &draft)).await.code(409),
        "too_many_webhooks"
    );
    app.delete(token, &format!("/webhooks/{webhook}")).await;
    let plain = app.ask(Method::POST, "/events").token(token).header("idempotency-key", "415");
    plain.body("{}").send().await.expect(415);
    let huge = app.ask(Method::POST, "/events").token(token).header("idempotency-key", "413");
    huge.text(vec![b' '; 1024 * 1024 + 1]).send().await.expect(413);
    store.refuse_writes(100);
    post(&app, token, "/events", ("503", &event("a"))).await.expect(503);
    store.heal();
    post(&app, token, "/webhooks", ("409 there", &draft)).await.expect(201);
    for key in ["400", "409 too", "415", "413", "503"] {
        let reply = post(&app, token, "/events", (key, &event("a"))).await;
        assert_eq!((reply.status.as_u16(), is_replayed(&reply)), (201, false), "{key} was free");
    }
}

#[tokio::test]
async fn a_500_is_kept_and_nothing_but_itself() {
    let (app, store) = App::in_memory(|_| {}).await;
    let keys = format!("/accounts/{}/keys", app.account().await.id);
    let draft = json!({"name": "k"});
    let there = app.get(OPERATOR, &keys).await.expect(200);
    // The first read looks for a kept answer, the next one for the account.
    store.damage_reads(1, 1);
    let first = post(&app, OPERATOR, &keys, ("k", &draft)).await;
    assert_eq!(first.code(500), "internal_error");
    let again = post(&app, OPERATOR, &keys, ("k", &draft)).await;
    assert!(is_replayed(&again));
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(app.get(OPERATOR, &keys).await.expect(200), there);
}

#[tokio::test]
async fn a_403_comes_before_a_replay_and_is_not_kept() {
    let app = App::new().await;
    let account = app.account().await;
    let keys = format!("/accounts/{}/keys", account.id);
    let reader = app.key(&keys, &json!({"name": "k", "scopes": ["events:read"]})).await;
    post(&app, &reader, "/events", ("k", &event("a"))).await.expect(403);
    post(&app, &account.token, "/events", ("k", &event("a"))).await.expect(201);
    assert_eq!(
        post(&app, &reader, "/events", ("k", &event("a"))).await.code(403),
        "insufficient_scope"
    );
    assert_eq!(post(&app, "nobody", "/events", ("k", &event("a"))).await.code(401), "invalid_token");
}

#[tokio::test]
async fn keys_are_apart_by_account_and_shared_by_its_keys_and_who_acts_for_it() {
    let app = App::new().await;
    let (one, other) = (app.account().await, app.account().await);
    let second = app.key(&format!("/accounts/{}/keys", one.id), &json!({"name": "second"})).await;
    let first = post(&app, &one.token, "/events", ("k", &event("a"))).await;
    assert_replayed(&first, &post(&app, &second, "/events", ("k", &event("a"))).await);
    let ask = app.ask(Method::POST, "/events").token(OPERATOR).header("account-id", &one.id);
    assert_replayed(&first, &ask.header("idempotency-key", "k").json(&event("a")).send().await);
    let apart = post(&app, &other.token, "/events", ("k", &event("b"))).await;
    assert_eq!((apart.status.as_u16(), is_replayed(&apart)), (201, false));
    let of_operator = post(&app, OPERATOR, "/accounts", ("k", &json!({"name": "Shop"}))).await;
    assert_eq!((of_operator.status.as_u16(), is_replayed(&of_operator)), (201, false));
}

#[tokio::test]
async fn an_answer_is_kept_for_a_day() {
    let app = App::new().await;
    let account = app.account().await;
    let first = post(&app, &account.token, "/events", ("k", &event("a"))).await;
    app.clock.advance(IDEMPOTENCY_KEPT - Duration::from_millis(1));
    assert_replayed(&first, &post(&app, &account.token, "/events", ("k", &event("a"))).await);
    app.clock.advance(Duration::from_millis(1));
    let anew = post(&app, &account.token, "/events", ("k", &event("b"))).await;
    assert_eq!((anew.status.as_u16(), is_replayed(&anew)), (201, false));
    assert_replayed(&anew, &post(&app, &account.token, "/events", ("k", &event("b"))).await);
}

#[tokio::test]
async fn what_was_there_already_is_kept_as_it_was_answered() {
    let app = App::new().await;
    let account = app.account().await;
    let own = json!({"name": "a", "resource": {"id": "1", "resource_type": "o"}, "id": "mine"});
    app.post(&account.token, "/events", &own).await.expect(201);
    let repeated = post(&app, &account.token, "/events", ("k", &own)).await;
    assert_eq!(repeated.status, 200);
    assert_replayed(&repeated, &post(&app, &account.token, "/events", ("k", &own)).await);
    let draft = json!({"name": "Shop", "external_id": "shop"});
    let made = app.post(OPERATOR, "/accounts", &draft).await.expect(201);
    let exists = post(&app, OPERATOR, "/accounts", ("k", &draft)).await;
    assert_eq!(exists.expect(200), made);
    app.put(OPERATOR, "/accounts/shop", &json!({"name": "Renamed"})).await.expect(200);
    assert_replayed(&exists, &post(&app, OPERATOR, "/accounts", ("k", &draft)).await);
}

#[tokio::test]
async fn a_retry_of_what_is_in_progress_is_kept_too() {
    let app = App::new().await;
    let account = app.account().await;
    app.webhook(&account).await;
    app.post(&account.token, "/events", &event("a")).await.expect(201);
    let listed = app.get(&account.token, "/deliveries").await.expect(200);
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    app.delivery(&account, &id, "in_progress").await;
    let path = format!("/deliveries/{id}/retry");
    let first = post(&app, &account.token, &path, ("k", &json!({}))).await;
    assert_eq!(first.expect(202)["status"], "in_progress");
    assert_replayed(&first, &post(&app, &account.token, &path, ("k", &json!({}))).await);
}

#[tokio::test]
async fn while_the_first_is_at_work_its_key_is_in_use() {
    let (app, store) = App::in_memory(|_| {}).await;
    let account = app.account().await;
    app.get(&account.token, "/me").await.expect(200);
    store.freeze();
    let (body, other) = (event("a"), event("b"));
    {
        let mut first = pin!(post(&app, &account.token, "/events", ("k", &body)));
        assert!(futures_util::poll!(first.as_mut()).is_pending());
        for body in [&body, &other] {
            let reply = post(&app, &account.token, "/events", ("k", body)).await;
            assert_eq!(reply.code(409), "idempotency_key_in_use");
        }
        store.thaw();
        first.await.expect(201);
    }
    assert!(is_replayed(&post(&app, &account.token, "/events", ("k", &body)).await));
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_its_key_free_and_nothing_twice() {
    const STEPS: usize = 16;
    let app = App::new().await;
    let account = app.account().await;
    app.webhook(&account).await;
    let body = event("a");
    for steps in 0..STEPS {
        let key = steps.to_string();
        {
            let mut first = pin!(post(&app, &account.token, "/events", (&key, &body)));
            for _ in 0..=steps {
                if futures_util::poll!(first.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        // Whether the first was stored by then or not: it is done once.
        post(&app, &account.token, "/events", (&key, &body)).await.expect(201);
        assert!(is_replayed(&post(&app, &account.token, "/events", (&key, &body)).await));
    }
    let listed = app.get(&account.token, "/deliveries").await.expect(200);
    assert_eq!(listed.as_array().unwrap().len(), STEPS);
}

#[tokio::test]
async fn of_two_nodes_at_once_one_does_it_and_both_answer_it() {
    let app = App::new().await;
    let account = app.account().await;
    let beside = app.beside().await;
    for (path, body) in [("/events", event("a")), ("/webhooks", json!({"url": "https://example.com/hook"}))] {
        let (here, there) = join(
            post(&app, &account.token, path, (path, &body)),
            post(&beside, &account.token, path, (path, &body)),
        )
        .await;
        assert_eq!((here.status.as_u16(), &here.body), (201, &there.body));
        assert_ne!(is_replayed(&here), is_replayed(&there), "{path}");
    }
    let other = json!({"url": "https://example.com/other"});
    let draft = json!({"url": "https://example.com/hook"});
    let (here, there) = join(
        post(&app, &account.token, "/webhooks", ("race", &draft)),
        post(&beside, &account.token, "/webhooks", ("race", &other)),
    )
    .await;
    let mut statuses = [here.status.as_u16(), there.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 422]);
    let listed = app.get(&account.token, "/webhooks").await.expect(200);
    assert_eq!(listed.as_array().unwrap().len(), 2);
}
