//! A whole API for a test, and a client that speaks to it without sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use postrider_api::{Api, ApiOptions, Body, router};
use postrider_engine::{Engine, Parts, Settings};
use postrider_model::key::TokenHash;
use postrider_testkit::clock::SimClock;
use postrider_testkit::memory_store::MemoryStore;
use postrider_testkit::random::SeededRandom;
use serde_json::{Value, json};

use crate::described;
use crate::sender::{Script, ScriptedSender};
use crate::store::TestStore;
use crate::watched::WatchedStore;

/// The operator key that the server's configuration gives.
pub(crate) const OPERATOR: &str = "an operator key of at least 32 characters";

/// An API with an engine beneath it.
pub(crate) struct App {
    pub(crate) api: Api,
    pub(crate) engine: Engine,
    pub(crate) store: Arc<WatchedStore>,
    /// Where that is kept.
    kept: TestStore,
    /// The number of the next server on it.
    servers: Arc<AtomicU64>,
    pub(crate) sender: Arc<ScriptedSender>,
    pub(crate) clock: SimClock,
}

/// An account of the app, and the token of its first key.
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) token: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// The answer as JSON, which must have this status.
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// The code of an error with this status.
    pub(crate) fn code(&self, status: u16) -> String {
        let body = self.expect(status);
        assert!(!body["detail"].as_str().unwrap().is_empty());
        body["code"].as_str().unwrap().to_owned()
    }

    /// Path and code of every parameter that a 400 names, in their order.
    pub(crate) fn params(&self) -> Vec<(String, String)> {
        let body = self.expect(400);
        assert_eq!(body["code"], "invalid_request", "{body}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let params = body["params"].as_array().unwrap().iter();
        params.map(|param| (text(&param["path"]), text(&param["code"]))).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Pairs as `Reply::params` gives them.
pub(crate) fn named(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(path, code)| ((*path).to_owned(), (*code).to_owned())).collect()
}

/// A request to be changed before it is sent.
pub(crate) struct Ask<'a> {
    app: &'a App,
    builder: http::request::Builder,
    body: Bytes,
}

impl<'a> Ask<'a> {
    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    /// A body as it is, declared as JSON.
    pub(crate) fn text(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header("content-type", "application/json")
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.text(body.to_string())
    }

    /// Asks for a stream; its body as it comes.
    pub(crate) async fn stream(self) -> Body {
        let request = self
            .builder
            .header("accept", "text/event-stream")
            .body(Full::new(self.body))
            .unwrap();
        let response = self.app.api.handle(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        response.into_body()
    }

    pub(crate) async fn send(self) -> Reply {
        let request = self.builder.body(Full::new(self.body)).unwrap();
        self.app.handle(request).await
    }
}

impl App {
    pub(crate) async fn new() -> Self {
        Self::with(ApiOptions::default(), |_| {}).await
    }

    pub(crate) async fn with(options: ApiOptions, change: impl FnOnce(&mut Settings)) -> Self {
        let clock = SimClock::new();
        let kept = TestStore::of_the_variable(&clock).await;
        Self::over((kept, Arc::default()), clock, (options, change)).await
    }

    /// One whose store is in memory, and can be told to fail.
    pub(crate) async fn in_memory(change: impl FnOnce(&mut Settings)) -> (Self, Arc<MemoryStore>) {
        let memory = Arc::new(MemoryStore::new());
        let kept = TestStore::memory(Arc::clone(&memory));
        let app = Self::over((kept, Arc::default()), SimClock::new(), (ApiOptions::default(), change)).await;
        (app, memory)
    }

    /// Another node on the same store.
    pub(crate) async fn beside(&self) -> Self {
        self.beside_with(ApiOptions::default()).await
    }

    pub(crate) async fn beside_with(&self, options: ApiOptions) -> Self {
        let store = (self.kept.clone(), Arc::clone(&self.servers));
        Self::over(store, self.clock.clone(), (options, |_: &mut Settings| {})).await
    }

    async fn over(store: (TestStore, Arc<AtomicU64>), clock: SimClock, how: (ApiOptions, impl FnOnce(&mut Settings))) -> Self {
        let sender = Arc::new(ScriptedSender::new(Script::Hang));
        let (kept, servers) = store;
        let store = Arc::clone(&kept.watched);
        let parts = Parts {
            store: store.clone(),
            sender: sender.clone(),
            clock: Arc::new(clock.clone()),
            random: Arc::new(SeededRandom::new(1 + servers.fetch_add(1, Ordering::Relaxed))),
            nodes: None,
        };
        let mut settings = Settings {
            operator_keys: vec![TokenHash::of(OPERATOR)],
            ..Settings::default()
        };
        (how.1)(&mut settings);
        let engine = Engine::start(parts, settings).await.unwrap();
        store.calls().settle().await;
        Self {
            api: router(engine.clone(), how.0),
            engine,
            store,
            kept,
            servers,
            sender,
            clock,
        }
    }

    /// Another server on the same store; the one before is dropped.
    pub(crate) async fn start_again(&mut self) {
        // What is dropped while PostgreSQL is at work on it may be done or not, and takes a while to be so.
        self.settle().await;
        let parts = Parts {
            store: self.store.clone(),
            sender: self.sender.clone(),
            clock: Arc::new(self.clock.clone()),
            random: Arc::new(SeededRandom::new(1 + self.servers.fetch_add(1, Ordering::Relaxed))),
            nodes: None,
        };
        let settings = Settings {
            operator_keys: vec![TokenHash::of(OPERATOR)],
            ..Settings::default()
        };
        let engine = Engine::start(parts, settings).await.unwrap();
        self.api = router(engine.clone(), ApiOptions::default());
        self.engine = engine;
    }

    /// Ends when nothing goes on any more before time passes or the test does something.
    pub(crate) async fn settle(&self) {
        self.store.calls().settle().await;
    }

    /// Lets all come to rest, then so much time pass, and all come to rest again.
    pub(crate) async fn pass(&self, time: Duration) {
        self.settle().await;
        self.clock.advance(time);
        self.settle().await;
    }

    /// How many sleep when all has come to rest.
    pub(crate) async fn sleepers(&self) -> usize {
        self.settle().await;
        self.clock.sleepers()
    }

    pub(crate) async fn handle<B>(&self, request: Request<B>) -> Reply
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let (parts, body) = self.api.handle(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let reply = Reply {
            status: parts.status,
            headers: parts.headers,
            body,
        };
        described::check(&method, &path, &reply);
        reply
    }

    pub(crate) fn ask(&self, method: Method, path: &str) -> Ask<'_> {
        Ask {
            app: self,
            builder: Request::builder().method(method).uri(path),
            body: Bytes::new(),
        }
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Reply {
        self.ask(Method::GET, path).token(token).send().await
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: &Value) -> Reply {
        self.ask(Method::POST, path).token(token).json(body).send().await
    }

    pub(crate) async fn put(&self, token: &str, path: &str, body: &Value) -> Reply {
        self.ask(Method::PUT, path).token(token).json(body).send().await
    }

    pub(crate) async fn delete(&self, token: &str, path: &str) -> Reply {
        self.ask(Method::DELETE, path).token(token).send().await
    }

    /// A new account with a key that may do all.
    pub(crate) async fn account(&self) -> Account {
        let account = self.post(OPERATOR, "/accounts", &json!({"name": "Shop"})).await.expect(201);
        let id = account["id"].as_str().unwrap().to_owned();
        let token = self.key(&format!("/accounts/{id}/keys"), &json!({"name": "all"})).await;
        Account { id, token }
    }

    /// The token of a new key.
    pub(crate) async fn key(&self, path: &str, draft: &Value) -> String {
        let key = self.post(OPERATOR, path, draft).await.expect(201);
        key["token"].as_str().unwrap().to_owned()
    }

    /// The id of a new webhook.
    pub(crate) async fn webhook(&self, account: &Account) -> String {
        let draft = json!({"url": "https://example.com/hook"});
        let webhook = self.post(&account.token, "/webhooks", &draft).await.expect(201);
        webhook["id"].as_str().unwrap().to_owned()
    }

    /// A delivery when all has come to rest. Its status must be this.
    pub(crate) async fn delivery(&self, account: &Account, id: &str, status: &str) -> Value {
        self.settle().await;
        let delivery = self.get(&account.token, &format!("/deliveries/{id}")).await.expect(200);
        assert_eq!(delivery["status"], status);
        delivery
    }
}

/// An event of this name.
pub(crate) fn event(name: &str) -> Value {
    json!({"name": name, "resource": {"id": "ord_1", "resource_type": "order"}, "data": {"total": 12}})
}
