//! The only map from what went wrong to what is answered.

use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};
use postrider_engine::IngestError;
use postrider_model::key::Scope;
use postrider_model::limits::REQUEST_DELIVERIES_MAX;
use postrider_ports::StoreError;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::answer::{self, Response};
use crate::code::Code;
use crate::description::schema::field;
use crate::fault::Fault;

/// When to come again after a fault of the store that names no time.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// Why a request is not answered as it wished. One pointer, so that the `Result` of a handler stays small.
#[derive(Debug)]
pub(crate) struct ApiError(Box<Parts>);

#[derive(Debug)]
struct Parts {
    code: Code,
    detail: Cow<'static, str>,
    params: Vec<Fault>,
    context: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether it is told in the words of RFC 6749 too.
    is_for_clients: bool,
}

/// Why a request was not done as it wished.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(crate) struct ErrorJson<'a> {
    /// At `/auth/token` alone: what went wrong, in the words of RFC 6749 §5.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    /// At `/auth/token` alone: the same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_description: Option<String>,
    /// What went wrong, for programs. A code never changes its meaning; there may be more of them.
    #[schemars(schema_with = "field::code")]
    code: &'static str,
    /// The same for people.
    detail: &'a str,
    /// Where the code is explained.
    docs: String,
    /// Every parameter that is wrong.
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    params: &'a [Fault],
    /// What else programs can use: limits, counts, the scope that is missing.
    #[serde(skip_serializing_if = "Map::is_empty")]
    context: &'a Map<String, Value>,
}

impl From<Code> for ApiError {
    fn from(code: Code) -> Self {
        let challenge = code.status() == http::StatusCode::UNAUTHORIZED;
        // RFC 9110 §11.6.1: a 401 says how to authenticate.
        let headers = challenge.then(|| (header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        Self(Box::new(Parts {
            code,
            detail: Cow::Borrowed(code.detail()),
            params: Vec::new(),
            context: Map::new(),
            headers: headers.into_iter().collect(),
            is_for_clients: false,
        }))
    }
}

impl ApiError {
    fn detailed(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut error = Self::from(code);
        error.0.detail = detail.into();
        error
    }

    fn with_context(mut self, key: &str, value: Value) -> Self {
        self.0.context.insert(key.to_owned(), value);
        self
    }

    fn with_param(mut self, path: impl Into<String>, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.params.push(Fault {
            path: path.into(),
            detail: detail.into(),
            code,
        });
        self
    }

    fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        self.0.headers.extend(HeaderValue::from_str(value).map(|value| (name, value)));
        self
    }

    fn retry_after(self, after: Duration) -> Self {
        // Rounded up: whoever comes too early comes in vain.
        let seconds = after.as_millis().div_ceil(1000).max(1);
        self.with_header(header::RETRY_AFTER, &seconds.to_string())
    }

    /// Parameters are wrong; `left_out` more than are named.
    pub(crate) fn invalid(params: Vec<Fault>, left_out: usize) -> Self {
        let mut error = Self::from(Code::InvalidRequest);
        error.0.params = params;
        if left_out == 0 {
            error
        } else {
            error.with_context("params_left_out", json!(left_out))
        }
    }

    /// The body is no JSON.
    pub(crate) fn malformed_json(error: &serde_json::Error) -> Self {
        Self::detailed(Code::MalformedJson, format!("The body is not valid JSON: {error}."))
            .with_context("line", json!(error.line()))
            .with_context("column", json!(error.column()))
    }

    /// The body is not even text.
    pub(crate) fn not_utf8(valid_up_to: usize) -> Self {
        Self::detailed(
            Code::MalformedJson,
            format!("The body is not valid UTF-8 behind its byte {valid_up_to}."),
        )
        .with_context("byte", json!(valid_up_to))
    }

    /// The body is larger than it may be.
    pub(crate) fn body_too_large(bytes_max: usize) -> Self {
        Self::detailed(
            Code::BodyTooLarge,
            format!("The body is larger than the {bytes_max} bytes that this route takes."),
        )
        .with_context("bytes_max", json!(bytes_max))
    }

    /// An operator key named no account.
    pub(crate) fn account_required() -> Self {
        Self::from(Code::AccountRequired).with_param("header.account-id", "missing_header", "is required with an operator's key")
    }

    /// The key lacks this scope.
    pub(crate) fn insufficient_scope(scope: Scope) -> Self {
        Self::detailed(Code::InsufficientScope, format!("The key lacks the scope {}.", scope.as_str()))
            .with_context("missing_scope", json!(scope.as_str()))
    }

    /// The route has other methods than this.
    pub(crate) fn method_not_allowed(allowed: &[Method]) -> Self {
        let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
        Self::from(Code::MethodNotAllowed).with_header(header::ALLOW, &names.join(", "))
    }

    /// The account has as many webhooks as it may.
    pub(crate) fn too_many_webhooks(webhooks_max: usize) -> Self {
        Self::from(Code::TooManyWebhooks).with_context("webhooks_max", json!(webhooks_max))
    }

    /// As many jobs of the account run as may.
    pub(crate) fn too_many_jobs(jobs_max: usize) -> Self {
        Self::from(Code::TooManyJobs).with_context("jobs_max", json!(jobs_max))
    }

    /// The account has as many streams open as it may.
    pub(crate) fn too_many_streams(streams_max: usize, after: Duration) -> Self {
        Self::from(Code::TooManyStreams)
            .with_context("streams_max", json!(streams_max))
            .retry_after(after)
    }

    /// The event in `Last-Event-ID` is kept no longer.
    pub(crate) fn event_expired() -> Self {
        Self::from(Code::EventIdExpired).with_param("header.last-event-id", "event_id_expired", "names an event that is kept no longer")
    }

    /// The body is of another type than the route reads.
    pub(crate) fn unsupported_media_type(media_type: &str) -> Self {
        Self::detailed(Code::UnsupportedMediaType, format!("The header Content-Type must be {media_type}."))
    }

    /// A key of the configuration has no id, so it is nobody's client.
    pub(crate) fn configured_client() -> Self {
        let detail = "This key is given by the server's configuration and has no id: use it as a bearer token itself, or make a key.";
        Self::detailed(Code::InvalidClient, detail)
    }

    /// The client's key has ended.
    pub(crate) fn expired_client() -> Self {
        Self::detailed(Code::InvalidClient, "The client's key has expired.")
    }

    /// The client says twice who it is (RFC 6749 §2.3).
    pub(crate) fn two_clients() -> Self {
        let detail = "must not be there beside the header Authorization";
        Self::from(Code::InvalidRequest).with_param("body.client_secret", "two_credentials", detail)
    }

    /// The client asks for a scope that its key lacks.
    pub(crate) fn invalid_scope(scope: &str) -> Self {
        Self::from(Code::InvalidScope).with_context("scope", json!(scope))
    }

    /// The same error in the words of RFC 6749 §5.2 too, as `/auth/token` answers it.
    pub(crate) fn for_clients(mut self) -> Self {
        self.0.is_for_clients = true;
        for (name, value) in &mut self.0.headers {
            if *name == header::WWW_AUTHENTICATE {
                *value = HeaderValue::from_static("Basic realm=\"postrider\", charset=\"UTF-8\"");
            }
        }
        self
    }

    /// This node may not send now.
    pub(crate) fn without_lease() -> Self {
        Self::detailed(
            Code::Unavailable,
            "This node holds no lease now: it sends nothing until the store renews it.",
        )
        .retry_after(RETRY_AFTER_DEFAULT)
    }

    /// This node answers no requests.
    pub(crate) fn dispatch_only() -> Self {
        Self::from(Code::DispatchOnly).retry_after(RETRY_AFTER_DEFAULT)
    }

    /// More work waits than is taken.
    pub(crate) fn overloaded(after: Duration) -> Self {
        Self::from(Code::Overloaded).retry_after(after)
    }

    /// Events were not taken in; `path_of` says where the event of that index stands.
    pub(crate) fn ingest(error: IngestError, path_of: impl FnOnce(usize) -> String) -> Self {
        match error {
            IngestError::IdTaken { index } => {
                Self::from(Code::EventIdTaken).with_param(path_of(index), "event_id_taken", "is the id of another event")
            }
            IngestError::TooManyDeliveries { count } => Self::detailed(
                Code::TooManyDeliveries,
                format!("The request would make {count} deliveries, at most {REQUEST_DELIVERIES_MAX} are allowed."),
            )
            .with_context("deliveries", json!(count))
            .with_context("deliveries_max", json!(REQUEST_DELIVERIES_MAX)),
            IngestError::Kept(_) => Self::from(Code::IdempotencyKeyReused),
            IngestError::AccountGone => Self::from(Code::AccountNotFound),
            IngestError::KeyChanged => Self::from(Code::InvalidToken),
            IngestError::Overloaded { retry_after } => Self::overloaded(retry_after),
            IngestError::Stopping => Self::from(Code::Stopping).retry_after(RETRY_AFTER_DEFAULT),
            IngestError::Store(error) => error.into(),
        }
    }

    /// The status of the answer.
    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    /// The answer; `docs` and the code are where that is explained.
    pub(crate) fn into_response(self, docs: &str) -> Response {
        let Parts {
            code,
            detail,
            params,
            context,
            headers,
            is_for_clients,
        } = *self.0;
        let body = ErrorJson {
            error: is_for_clients.then(|| client_word(code)),
            error_description: is_for_clients.then(|| client_text(&detail)),
            code: code.as_str(),
            detail: &detail,
            docs: format!("{docs}{}", code.as_str()),
            params: &params,
            context: &context,
        };
        let rendered = serde_json::to_vec(&body).unwrap_or_else(|_| br#"{"code":"internal_error","detail":""}"#.to_vec());
        let mut response = answer::bytes(code.status(), rendered.into());
        response.headers_mut().extend(headers);
        response
    }
}

/// The words of RFC 6749 §5.2, and for our own faults those of its §4.1.2.1.
const fn client_word(code: Code) -> &'static str {
    match code {
        Code::InvalidClient => "invalid_client",
        Code::UnsupportedGrantType => "unsupported_grant_type",
        Code::InvalidScope => "invalid_scope",
        Code::AccountInactive => "unauthorized_client",
        Code::InternalError => "server_error",
        Code::Overloaded | Code::Unavailable | Code::Stopping => "temporarily_unavailable",
        _ => "invalid_request",
    }
}

/// RFC 6749 §5.2 allows printable ASCII without quotes and backslashes.
fn client_text(detail: &str) -> String {
    let allowed = |letter: char| matches!(letter, ' '..='~') && letter != '"' && letter != '\\';
    detail.chars().map(|letter| if allowed(letter) { letter } else { '\'' }).collect()
}

impl From<StoreError> for ApiError {
    /// Whatever the store lacks, nothing of the request was kept, or nobody knows: the caller asks again. What is damaged is not mended
    /// by asking again. What exactly is wrong is the operator's to know, and goes to the log.
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed a request");
        let after = match &error {
            StoreError::Unavailable { retry_after, .. } => *retry_after,
            StoreError::Corrupt { .. } => return Self::from(Code::InternalError),
            StoreError::Unknown { .. }
            | StoreError::NewerSchema { .. }
            | StoreError::InUse { .. }
            | StoreError::CannotOpen { .. }
            | StoreError::Seal(_) => RETRY_AFTER_DEFAULT,
        };
        Self::from(Code::Unavailable).retry_after(after)
    }
}

impl From<serde_json::Error> for ApiError {
    /// Only from rendering an answer: that cannot fail but by a fault of ours.
    fn from(error: serde_json::Error) -> Self {
        tracing::error!(%error, "an answer could not be rendered");
        Self::from(Code::InternalError)
    }
}
