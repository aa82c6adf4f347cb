//! Events as they happen: nothing is missed, nothing comes twice, and a stream ends when it must.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use postrider_api::Body;
use postrider_ports::Clock as _;
use postrider_testkit::clock::SimClock;
use postrider_testkit::random::SeededRandom;
use serde_json::{Value, json};

use crate::app::{Account, App, OPERATOR, event};
use crate::watched::Calls;

/// One stream, as a client reads it.
struct Stream {
    body: Body,
    clock: SimClock,
    calls: Calls,
    /// What came and is not a whole block yet.
    rest: String,
    comments: usize,
}

impl Stream {
    /// The next event; `None` where the stream has ended.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some((block, rest)) = self.rest.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.rest = rest;
                if block.starts_with(':') {
                    self.comments += 1;
                    continue;
                }
                let (id, data) = block.split_once('\n').unwrap();
                let data = data.strip_prefix("data: ").unwrap();
                return Some((id.strip_prefix("id: ").unwrap().to_owned(), serde_json::from_str(data).unwrap()));
            }
            let piece = self.body.frame().await?.unwrap().into_data().unwrap();
            self.rest.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    /// The next event, for which a little time passes: who has just read waits a moment before the next read, and what a write that was
    /// still open kept from it is there when it looks again.
    async fn soon(&mut self) -> (String, Value) {
        let until = self.clock.mono() + Duration::from_secs(1);
        loop {
            self.calls.settle().await;
            if let Some(next) = self.next().now_or_never() {
                return next.expect("it goes on");
            }
            assert!(self.clock.mono() < until, "no event came");
            self.clock.advance_to_next();
        }
    }

    /// The ids of so many events.
    async fn ids(&mut self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(self.soon().await.0);
        }
        ids
    }

    /// Whether nothing comes while no time passes.
    async fn is_quiet(&mut self) -> bool {
        self.calls.settle().await;
        self.next().now_or_never().is_none()
    }

    async fn has_ended(&mut self) -> bool {
        self.calls.settle().await;
        self.next().now_or_never() == Some(None)
    }
}

async fn ask(app: &App, token: &str, (path, last): (&str, &str)) -> (StatusCode, HeaderMap, Body) {
    let request = Request::get(path)
        .header("authorization", format!("Bearer {token}"))
        .header("accept", "text/event-stream")
        .header("last-event-id", last);
    let response = app.api.handle(request.body(Full::<Bytes>::default()).unwrap()).await;
    let (parts, body) = response.into_parts();
    (parts.status, parts.headers, body)
}

async fn open(app: &App, token: &str, at: (&str, &str)) -> Stream {
    let (status, headers, body) = ask(app, token, at).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (headers["content-type"].as_bytes(), headers["cache-control"].as_bytes()),
        (&b"text/event-stream"[..], &b"no-store"[..])
    );
    Stream {
        body,
        clock: app.clock.clone(),
        calls: app.store.calls().clone(),
        rest: String::new(),
        comments: 0,
    }
}

/// The status and the body of a refusal.
async fn refused(app: &App, token: &str, at: (&str, &str)) -> (u16, Value) {
    let (status, _, body) = ask(app, token, at).await;
    let body = body.collect().await.unwrap().to_bytes();
    (status.as_u16(), serde_json::from_slice(&body).unwrap())
}

async fn post(app: &App, account: &Account, name: &str) -> String {
    let event = app.post(&account.token, "/events", &event(name)).await.expect(201);
    event["id"].as_str().unwrap().to_owned()
}

async fn post_many(app: &App, account: &Account, (count, bytes): (usize, usize)) -> Vec<String> {
    let mut draft = event("order.filled");
    draft["data"] = json!({"filling": "x".repeat(bytes)});
    let posted = app
        .post(&account.token, "/events/batch", &json!({"events": vec![draft; count]}))
        .await
        .expect(201);
    let ids = posted["events"].as_array().unwrap().iter();
    ids.map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn each_new_event_comes_in_order_as_it_is_shown() {
    let app = App::new().await;
    let (account, other) = (app.account().await, app.account().await);
    post(&app, &account, "before").await;
    let mut stream = open(&app, &account.token, ("/events", "")).await;
    let first = post(&app, &account, "order.filled").await;
    post(&app, &other, "of.another").await;
    let second = post(&app, &account, "order.item.added").await;
    let (id, shown) = stream.soon().await;
    assert_eq!(id, first);
    assert_eq!(shown, app.get(&account.token, &format!("/events/{id}")).await.expect(200));
    assert_eq!(stream.ids(1).await, [second]);
    assert!(stream.is_quiet().await);
}

#[tokio::test]
async fn it_takes_the_filters_of_the_list_and_nothing_else_of_it() {
    let app = App::new().await;
    let account = app.account().await;
    let mut names = open(&app, &account.token, ("/events?name=order.*", "")).await;
    let mut resources = open(&app, &account.token, ("/events?resource%5Btype%5D=user&resource%5Bid%5D=u1", "")).await;
    post(&app, &account, "order").await;
    let filled = post(&app, &account, "order.filled").await;
    let draft = json!({"name": "user.made", "resource": {"id": "u1", "resource_type": "user"}});
    let made = app.post(&account.token, "/events", &draft).await.expect(201);
    assert_eq!(names.ids(1).await, [filled]);
    assert_eq!(resources.ids(1).await, [made["id"].as_str().unwrap()]);
    assert!(names.is_quiet().await && resources.is_quiet().await);
    let (status, body) = refused(&app, &account.token, ("/events?limit=5&name=..", "")).await;
    let params: Vec<_> = body["params"]
        .as_array()
        .unwrap()
        .iter()
        .map(|param| param["path"].as_str().unwrap())
        .collect();
    assert_eq!((status, params), (400, vec!["query.name", "query.limit"]));
}

#[tokio::test]
async fn it_goes_on_behind_the_last_event_that_was_seen() {
    let mut app = App::new().await;
    let account = app.account().await;
    let ids = post_many(&app, &account, (100, 10)).await;
    assert_eq!(open(&app, &account.token, ("/events", &ids[39])).await.ids(60).await, ids[40..]);
    app.start_again().await;
    let mut stream = open(&app, &account.token, ("/events", &ids[97])).await;
    assert_eq!(stream.ids(2).await, ids[98..]);
    let last = post(&app, &account, "order.filled").await;
    assert_eq!(stream.ids(1).await, [last]);
}

#[tokio::test]
async fn a_last_event_that_is_unknown_or_kept_no_longer_is_refused() {
    let app = App::new().await;
    let (account, other) = (app.account().await, app.account().await);
    let of_another = post(&app, &other, "order.filled").await;
    for last in [&*of_another, "own-id", "no id at all", "evt_1", "evt_test_1"] {
        let (status, body) = refused(&app, &account.token, ("/events", last)).await;
        let param = &body["params"][0];
        assert_eq!(
            (status, &body["code"], &param["path"]),
            (400, &json!("invalid_request"), &json!("header.last-event-id"))
        );
    }
    let old = post(&app, &account, "order.filled").await;
    app.pass(Duration::from_secs(31 * 24 * 3_600)).await;
    app.pass(Duration::from_secs(60)).await;
    assert_eq!(
        app.get(&account.token, &format!("/events/{old}")).await.code(404),
        "event_not_found"
    );
    let (status, body) = refused(&app, &account.token, ("/events", &old)).await;
    assert_eq!((status, body["code"].as_str()), (400, Some("event_id_expired")));
}

#[tokio::test]
async fn a_comment_comes_every_fifteen_seconds() {
    let app = App::new().await;
    let account = app.account().await;
    let mut stream = open(&app, &account.token, ("/events", "")).await;
    for expected in 1..4 {
        assert!(stream.is_quiet().await);
        assert_eq!(stream.comments, expected);
        app.pass(Duration::from_secs(14)).await;
        assert!(stream.is_quiet().await);
        assert_eq!(stream.comments, expected);
        app.pass(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn it_ends_within_a_second_of_its_token() {
    let app = App::new().await;
    let account = app.account().await;
    let keys = format!("/accounts/{}/keys", account.id);
    let expiry = "2026-01-15T10:31:00.000Z";
    for case in ["deleted", "expired", "scope", "suspended", "gone"] {
        let draft = match case {
            "expired" => json!({"name": "k", "expires_at": expiry}),
            _ => json!({"name": "k"}),
        };
        let key = app.post(OPERATOR, &keys, &draft).await.expect(201);
        let path = format!("{keys}/{}", key["id"].as_str().unwrap());
        let mut stream = open(&app, key["token"].as_str().unwrap(), ("/events", "")).await;
        let mut acting = app
            .ask(Method::GET, "/events")
            .token(OPERATOR)
            .header("account-id", &account.id)
            .stream()
            .await;
        app.pass(Duration::from_secs(1)).await;
        assert!(stream.is_quiet().await, "{case}");
        match case {
            "deleted" => assert_eq!(app.delete(OPERATOR, &path).await.status, 204),
            "scope" => drop(app.put(OPERATOR, &path, &json!({"scopes": ["events:write"]})).await.expect(200)),
            "suspended" => drop(
                app.put(OPERATOR, &format!("/accounts/{}", account.id), &json!({"is_active": false}))
                    .await
                    .expect(200),
            ),
            "gone" => assert_eq!(app.delete(OPERATOR, &format!("/accounts/{}", account.id)).await.status, 204),
            _ => app.pass(Duration::from_secs(60)).await,
        }
        app.pass(Duration::from_secs(1)).await;
        assert!(stream.has_ended().await, "{case}");
        // The operator's key is as good as before, unless there is nothing left to read.
        app.settle().await;
        let is_over = acting.frame().now_or_never().is_some_and(|frame| frame.is_none());
        assert!(!is_over || case == "gone", "{case}");
        if case == "suspended" {
            drop(
                app.put(OPERATOR, &format!("/accounts/{}", account.id), &json!({"is_active": true}))
                    .await
                    .expect(200),
            );
        }
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_for_a_minute_is_given_up() {
    let app = App::new().await;
    let account = app.account().await;
    let mut stream = open(&app, &account.token, ("/events", "")).await;
    post_many(&app, &account, (30, 100_000)).await;
    for _ in 0..59 {
        app.pass(Duration::from_secs(1)).await;
    }
    app.pass(Duration::from_secs(4)).await;
    let mut left = 0;
    while let Some(Some(frame)) = stream.body.frame().now_or_never() {
        left += frame.unwrap().into_data().unwrap().len();
    }
    assert!(left < 300_000, "{left} bytes waited for it");
    assert!(stream.has_ended().await);
}

#[tokio::test]
async fn a_client_that_is_slow_misses_nothing() {
    let app = App::new().await;
    let account = app.account().await;
    let mut stream = open(&app, &account.token, ("/events", "")).await;
    let ids = post_many(&app, &account, (120, 40_000)).await;
    let mut seen = Vec::new();
    for _ in 0..ids.len() {
        app.pass(Duration::from_millis(1_700)).await;
        seen.extend(stream.ids(1).await);
    }
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn whoever_reconnects_with_the_last_id_sees_each_event_once_in_order() {
    for seed in 0..25 {
        let (app, chance) = (App::new().await, SeededRandom::new(seed));
        let account = app.account().await;
        let (mut posted, mut seen): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
        let mut stream = open(&app, &account.token, ("/events", "")).await;
        for _ in 0..80 {
            match chance.below(6) {
                0 => posted.push(post(&app, &account, "order.filled").await),
                1 => {
                    let (count, bytes) = (1 + chance.below(60) as usize, chance.below(6_000) as usize);
                    posted.extend(post_many(&app, &account, (count, bytes)).await);
                }
                2 => app.clock.advance(Duration::from_millis(chance.below(1_500))),
                3 if !seen.is_empty() => stream = open(&app, &account.token, ("/events", seen.last().unwrap())).await,
                _ => {
                    for _ in 0..chance.below(40) {
                        tokio::task::yield_now().await;
                        if let Some(next) = stream.next().now_or_never() {
                            seen.push(next.expect("it goes on").0);
                        }
                    }
                }
            }
        }
        while seen.len() < posted.len() {
            seen.extend(stream.ids(1).await);
        }
        assert_eq!(seen, posted, "seed {seed}");
        assert!(stream.is_quiet().await, "seed {seed}");
    }
}

#[tokio::test]
async fn an_account_has_so_many_streams_and_gets_the_place_of_one_that_ends() {
    let app = App::new().await;
    let (account, other) = (app.account().await, app.account().await);
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(open(&app, &account.token, ("/events", "")).await);
    }
    let (status, headers, _) = ask(&app, &account.token, ("/events", "")).await;
    assert_eq!((status.as_u16(), headers["retry-after"].as_bytes()), (429, &b"10"[..]));
    open(&app, &other.token, ("/events", "")).await;
    streams.pop();
    app.settle().await;
    open(&app, &account.token, ("/events", "")).await;
}

#[tokio::test]
async fn a_head_tells_of_the_stream_and_opens_none() {
    let app = App::new().await;
    let account = app.account().await;
    for _ in 0..60 {
        let mut body = app.ask(Method::HEAD, "/events").token(&account.token).stream().await;
        assert!(body.frame().await.is_none());
        app.settle().await;
    }
}
