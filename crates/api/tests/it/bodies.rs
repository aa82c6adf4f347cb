//! Bodies: their type, size, time and memory.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body::{Body, Frame, SizeHint};
use postrider_api::ApiOptions;

use crate::app::{App, OPERATOR, event};

/// A body that comes in pieces; behind the last it ends, or hangs.
struct Pieces {
    pieces: VecDeque<Bytes>,
    hangs: bool,
    declared: u64,
}

impl Pieces {
    fn new(pieces: &[&[u8]]) -> Self {
        Self {
            pieces: pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect(),
            hangs: false,
            declared: 0,
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.pieces.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None if self.hangs => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.declared);
        hint
    }
}

fn post<B>(path: &str, token: &str, body: B) -> Request<B> {
    let builder = Request::post(path).header("authorization", format!("Bearer {token}"));
    builder.header("content-type", "application/json").body(body).unwrap()
}

#[tokio::test]
async fn the_content_type_must_be_json_where_there_is_a_body() {
    let app = App::new().await;
    let account = app.account().await;
    let body = event("a").to_string();
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "text/json",
        "",
    ] {
        let ask = app.ask(Method::POST, "/events").token(&account.token).header("content-type", kind);
        assert_eq!(ask.body(body.clone()).send().await.code(415), "unsupported_media_type", "{kind}");
    }
    let ask = app.ask(Method::POST, "/events").token(&account.token).body(body.clone());
    assert_eq!(ask.send().await.code(415), "unsupported_media_type");
    for kind in ["application/json", "Application/JSON; charset=utf-8", "application/json ;x=y"] {
        let ask = app.ask(Method::POST, "/events").token(&account.token).header("content-type", kind);
        ask.body(body.clone()).send().await.expect(201);
    }
    let mut request = post("/events", &account.token, Pieces::new(&[b"{}"]));
    request.headers_mut().remove("content-type");
    assert_eq!(app.handle(request).await.code(415), "unsupported_media_type");
}

#[tokio::test]
async fn a_body_in_pieces_is_one_body() {
    let app = App::new().await;
    let account = app.account().await;
    let body = event("order.filled").to_string();
    let (head, tail) = body.as_bytes().split_at(20);
    let (middle, tail) = tail.split_at(7);
    let reply = app
        .handle(post("/events", &account.token, Pieces::new(&[head, b"", middle, tail])))
        .await;
    assert_eq!(reply.expect(201)["name"], "order.filled");
}

#[tokio::test]
async fn a_body_over_the_limit_is_a_413_whatever_it_declared() {
    let app = App::new().await;
    let account = app.account().await;
    let mib = vec![b' '; 1024 * 1024];
    let batch = event("a").to_string();
    let batch = format!("{{\"events\":[{batch}]}}");
    for (path, whole, over) in [("/events", 1, 2), ("/webhooks", 1, 2), ("/events/batch", 16, 17)] {
        let pieces = vec![mib.as_slice(); over];
        let silent = Pieces::new(&pieces);
        let mut honest = Pieces::new(&pieces);
        honest.declared = (over * mib.len()) as u64;
        let mut liar = Pieces::new(&pieces);
        liar.declared = 10;
        for body in [silent, honest, liar] {
            let reply = app.handle(post(path, &account.token, body)).await;
            assert_eq!(reply.code(413), "body_too_large", "{path}");
            assert_eq!(reply.json()["context"]["bytes_max"], whole * 1024 * 1024);
        }
    }
    let fits = vec![b' '; 16 * 1024 * 1024 - batch.len()];
    let reply = app
        .handle(post("/events/batch", &account.token, Pieces::new(&[batch.as_bytes(), &fits])))
        .await;
    assert_eq!(reply.status, 201);
}

#[tokio::test]
async fn a_body_that_drips_is_given_a_minute() {
    let app = App::new().await;
    let account = app.account().await;
    let mut body = Pieces::new(&[b"{\"na"]);
    body.hangs = true;
    let sleepers = app.sleepers().await;
    let answer = app.handle(post("/events", &account.token, body));
    let advance = async {
        app.clock.wait_for_sleepers(sleepers + 1).await;
        app.clock.advance(Duration::from_secs(60));
    };
    let (reply, ()) = tokio::join!(answer, advance);
    assert_eq!(reply.code(400), "body_incomplete");
}

#[tokio::test]
async fn bodies_of_all_requests_share_one_limit_of_memory() {
    let options = ApiOptions {
        bodies_bytes_max: 100,
        ..ApiOptions::default()
    };
    let app = App::with(options, |_| {}).await;
    let space = [b' '; 60];
    let mut held = Pieces::new(&[&space]);
    held.hangs = true;
    let holding = app.handle(post("/accounts", OPERATOR, held));
    let mut holding = std::pin::pin!(holding);
    assert!(futures_util::poll!(holding.as_mut()).is_pending());
    let reply = app.handle(post("/accounts", OPERATOR, Pieces::new(&[&space]))).await;
    assert_eq!((reply.code(503).as_str(), reply.header("retry-after")), ("overloaded", "1"));
    app.handle(post("/accounts", OPERATOR, Pieces::new(&[b"{\"name\":\"small\"}"])))
        .await
        .expect(201);
    let app_is_free = async {
        app.clock.advance(Duration::from_secs(60));
    };
    let (reply, ()) = tokio::join!(holding, app_is_free);
    assert_eq!(reply.code(400), "body_incomplete");
    let whole = app
        .handle(post("/accounts", OPERATOR, Pieces::new(&[b"{\"name\":\"large\"}", &space])))
        .await;
    whole.expect(201);
}

#[tokio::test]
async fn a_body_where_none_is_read_does_no_harm() {
    let app = App::new().await;
    let account = app.account().await;
    app.ask(Method::GET, "/webhooks")
        .token(&account.token)
        .body("anything")
        .send()
        .await
        .expect(200);
}
