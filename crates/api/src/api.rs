//! What happens to every request, in one pass: its id, its version, its route, who asks, its body; then the handler.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use postrider_engine::{Engine, Gauge};
use zeroize::Zeroizing;

use crate::answer::{Answer, Body, Response};
use crate::auth;
use crate::body::{self, Budget, Collected, Reading};
use crate::call::Call;
use crate::description::documents::Documents;
use crate::error::ApiError;
use crate::fault::{Bad, Faults};
use crate::idempotency::{self, InUse};
use crate::metrics::Answers;
use crate::query::Query;
use crate::route::{Access, Args, Reads, Route, Table};
use crate::router::table;
use crate::routes::tokens as token_route;
use crate::serve::CONNECTIONS_MAX;
use crate::stream::Streams;
use crate::tokens::{TOKEN_KEY_BYTES, TokenKey, Tokens};

/// The one version of the API that is served.
pub const API_VERSION: &str = "2026-01-01";
/// Bytes that bodies may take in memory, all requests together, unless told otherwise.
pub const BODIES_BYTES_MAX: usize = 256 * 1024 * 1024;

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");
const VERSION: HeaderName = HeaderName::from_static("api-version");

/// Who may read `/metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetricsAccess {
    /// Anybody who reaches the server, without a token.
    #[default]
    Open,
    /// Keys of the operator's.
    Operator,
    /// Nobody: it is a 404.
    Off,
}

/// How the API is to present itself.
#[derive(Clone, Debug)]
pub struct ApiOptions {
    /// Where the server is reached from outside, as `--public-url` says it: links begin with it. Without it they are paths.
    pub public_url: Option<String>,
    /// Where the error codes are explained: error bodies link to it. Without it that is `/docs` of this server.
    pub docs_url: Option<String>,
    /// The version of this server, as `/healthz` says it.
    pub version: &'static str,
    /// Bytes that bodies of requests may take in memory, all together; what is over it gets a 503.
    pub bodies_bytes_max: usize,
    /// Connections at one time; more wait in the system's queue until one ends.
    pub connections_max: usize,
    /// Who may read `/metrics`.
    pub metrics: MetricsAccess,
    /// What signs access tokens. Without it one is made at random, and they end with the process.
    pub token_key: Option<TokenKey>,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            public_url: None,
            docs_url: None,
            version: env!("CARGO_PKG_VERSION"),
            bodies_bytes_max: BODIES_BYTES_MAX,
            connections_max: CONNECTIONS_MAX,
            metrics: MetricsAccess::default(),
            token_key: None,
        }
    }
}

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) options: ApiOptions,
    pub(crate) documents: Documents,
    /// What stands before a code in the `docs` of an error.
    pub(crate) docs: String,
    pub(crate) in_use: Arc<InUse>,
    pub(crate) tokens: Tokens,
    table: Table,
    /// What requests without a route were answered.
    pub(crate) unmatched: Answers,
    pub(crate) connections: Gauge,
    pub(crate) streams: Arc<Streams>,
    budget: Arc<Budget>,
    ids: RequestIds,
}

impl Shared {
    /// All routes.
    pub(crate) fn routes(&self) -> &[Route] {
        &self.table.0
    }
}

/// The HTTP API. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

/// The API over this engine.
pub fn router(engine: Engine, options: ApiOptions) -> Api {
    let ids = RequestIds::new(engine.random().bits());
    let budget = Budget::new(options.bodies_bytes_max);
    let token_key = options.token_key.clone().unwrap_or_else(|| random_token_key(&engine));
    let documents = Documents::new(options.public_url.as_deref());
    let docs = options
        .docs_url
        .as_ref()
        .map_or_else(|| documents.errors(), |url| format!("{url}#"));
    Api(Arc::new(Shared {
        documents,
        docs,
        engine,
        options,
        in_use: Arc::default(),
        tokens: Tokens::new(&token_key),
        table: table(),
        unmatched: Answers::default(),
        connections: Gauge::default(),
        streams: Arc::default(),
        budget,
        ids,
    }))
}

fn random_token_key(engine: &Engine) -> TokenKey {
    let mut bytes = Zeroizing::new([0u8; TOKEN_KEY_BYTES]);
    engine.random().fill(bytes.as_mut_slice());
    TokenKey::new(bytes)
}

impl Api {
    /// How it is to present itself.
    pub(crate) fn options(&self) -> &ApiOptions {
        &self.0.options
    }

    /// Answers one request, whatever it is.
    pub async fn handle<B>(&self, request: Request<B>) -> Response
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        let (parts, body) = request.into_parts();
        let echo = parts.headers.get(CLIENT_REQUEST_ID).cloned();
        let id = self.0.ids.next();
        let is_head = parts.method == Method::HEAD;
        let found = self.0.table.find(&parts.method, parts.uri.path());
        let answers = found.as_ref().map_or(&self.0.unmatched, |(route, _)| &route.answers);
        let answer = match found {
            Ok((route, args)) => self.answer((route, args), parts, body).await,
            Err(error) => Err(error),
        };
        let mut response = self.0.respond(answer);
        answers.count(response.status());
        if is_head && matches!(response.body(), Body::Stream(_)) {
            *response.body_mut() = Body::default();
        }
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, id);
        headers.insert(VERSION, HeaderValue::from_static(API_VERSION));
        if let Some(echo) = echo {
            headers.insert(CLIENT_REQUEST_ID, echo);
        }
        response
    }

    /// A connection was taken, or has ended.
    pub(crate) fn connections(&self) -> &Gauge {
        &self.0.connections
    }

    /// Ends all streams of events: the server stops.
    pub(crate) fn end_streams(&self) {
        self.0.streams.end();
    }

    async fn answer<B>(&self, (route, args): (&Route, Args), parts: Parts, body: B) -> Answer
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        let answer = self.answer_at(route, args, (parts, body)).await;
        match route.access {
            Access::Client => answer.map_err(ApiError::for_clients),
            Access::Open | Access::AnyKey | Access::Scope(_) => answer,
        }
    }

    async fn answer_at<B>(&self, route: &Route, args: Args, (parts, body): (Parts, B)) -> Answer
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        let shared = &self.0;
        if !route.is_on_every_node && !shared.engine.settings().node.roles.api {
            return Err(ApiError::dispatch_only());
        }
        let mut caller = auth::admit(shared, route.access, &parts.headers).await?;
        let mut faults = Faults::default();
        check_version(&parts.headers, &mut faults);
        let mut query = Query::parse(parts.uri.query(), &mut faults);
        if route.reads != Reads::Query {
            std::mem::take(&mut query).finish(&mut faults);
        }
        let body = match route.reads {
            Reads::Body(bytes_max) => self.collect(&parts.headers, body, (bytes_max, route.media_type())).await?,
            Reads::Nothing | Reads::Query => Collected::default(),
        };
        if route.reads == Reads::Nothing {
            std::mem::take(&mut faults).settle(Some(()))?;
        }
        if route.access == Access::Client {
            let faults = std::mem::take(&mut faults);
            caller = Some(Box::pin(token_route::admit(shared, &parts.headers, &body.bytes, faults)).await?);
        }
        let mut call = Call {
            shared: Arc::clone(shared),
            access: route.access,
            headers: parts.headers,
            uri: parts.uri,
            args,
            caller,
            body,
            faults,
            query,
            keyed: None,
        };
        // What few requests need is boxed: every request carries the room of the largest of these.
        if route.is_replayed()
            && call.headers.contains_key(idempotency::IDEMPOTENCY_KEY)
            && let Some(replayed) = Box::pin(idempotency::begin(&mut call)).await?
        {
            return Ok(replayed);
        }
        let keyed = call.keyed.clone();
        let answer = (route.handler)(call).await;
        match keyed {
            Some(keyed) => Box::pin(keyed.settle(answer)).await,
            None => answer,
        }
    }

    async fn collect<B>(&self, headers: &HeaderMap, body: B, (bytes_max, media_type): (usize, &'static str)) -> Result<Collected, ApiError>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        let is_declared = is_declared(headers, media_type);
        // Known to be wrong before a byte of it is read.
        if !is_declared && body.size_hint().lower() > 0 {
            return Err(ApiError::unsupported_media_type(media_type));
        }
        let reading = Reading {
            bytes_max,
            budget: &self.0.budget,
            clock: &**self.0.engine.clock(),
            expects_continue: headers.contains_key(header::EXPECT),
        };
        let collected = body::collect(body, reading).await?;
        if !is_declared && !collected.bytes.is_empty() {
            return Err(ApiError::unsupported_media_type(media_type));
        }
        Ok(collected)
    }
}

/// Whether the body is declared as of this type; parameters such as a charset say nothing more (RFC 8259 §11).
pub(crate) fn is_declared(headers: &HeaderMap, media_type: &str) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return false;
    };
    let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(media_type.as_bytes())
}

fn check_version(headers: &HeaderMap, faults: &mut Faults) {
    if headers.get(VERSION).is_some_and(|version| version != API_VERSION) {
        let detail = format!("is not a version that this server knows; it serves {API_VERSION}");
        faults.add(&"header.api-version", Bad::new("unknown_version", detail));
    }
}

/// Makes `Request-Id`s: chance once for the process, then a count.
struct RequestIds {
    process: u64,
    /// Written and read by `next` alone.
    count: AtomicU64,
}

impl RequestIds {
    fn new(random: u128) -> Self {
        Self {
            process: random as u64,
            count: AtomicU64::new(1),
        }
    }

    fn next(&self) -> HeaderValue {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut text = *b"req_00000000000000000000000000";
        let number = (u128::from(self.process) << 40) | u128::from(count & 0xff_ffff_ffff);
        for (place, slot) in text.iter_mut().skip(4).rev().enumerate() {
            let digit = (number >> (4 * place)) & 15;
            *slot = DIGITS.get(digit as usize).copied().unwrap_or(b'0');
        }
        HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("req_"))
    }
}
