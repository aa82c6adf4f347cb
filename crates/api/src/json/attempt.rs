//! An attempt as it is shown.

use std::borrow::Cow;

use postrider_model::attempt::{Attempt, AttemptError, Response};
use postrider_model::id::AttemptId;
use postrider_model::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::millis;
use crate::description::schema::field;

/// One HTTP request of a delivery, and what came of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Attempt")]
pub(crate) struct AttemptJson<'a> {
    /// Its id.
    #[schemars(schema_with = "field::attempt_id")]
    id: AttemptId,
    /// 1 for the first, one more for each further one, as `Webhook-Attempt` says it.
    #[schemars(range(min = 1))]
    number: u32,
    /// Where it went.
    #[schemars(extend("examples" = ["https://example.com/hooks"]))]
    url: &'a str,
    /// Whether the receiver acknowledged it.
    #[schemars(schema_with = "field::outcome")]
    outcome: &'static str,
    /// How long all of it took, in milliseconds.
    #[schemars(schema_with = "field::millis")]
    duration: u64,
    /// What the receiver answered; null where nothing came.
    response: Option<ResponseJson<'a>>,
    /// Why it failed; null where it did not.
    error: Option<ErrorJson<'a>>,
    /// When it began.
    #[schemars(schema_with = "field::moment")]
    created_at: Timestamp,
    /// When it ended.
    #[schemars(schema_with = "field::moment")]
    modified_at: Timestamp,
}

/// What a receiver answered.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AttemptResponse")]
struct ResponseJson<'a> {
    /// The status of HTTP.
    #[schemars(range(min = 100, max = 999))]
    #[schemars(extend("examples" = [503]))]
    status: u16,
    /// How long it took to come, in milliseconds.
    #[schemars(schema_with = "field::millis")]
    duration: u64,
    /// Its headers, kept for failed attempts only.
    #[schemars(schema_with = "field::headers_or_null")]
    headers: Option<Map<String, Value>>,
    /// Its first 4 KiB, kept for failed attempts only.
    #[schemars(extend("examples" = ["try later"]))]
    body: Option<Cow<'a, str>>,
    /// Whether there was more of the body.
    truncated: bool,
}

/// Why an attempt failed.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AttemptError")]
struct ErrorJson<'a> {
    /// `http`: any status but 2xx. `timeout`: a time limit. `dns`: the name could not be resolved. `blocked`: the address may not be
    /// dialled. `connect`: refused or unreachable. `tls`: the handshake failed. `protocol`: reset, closed or garbage after that.
    #[schemars(schema_with = "field::error_type")]
    error_type: &'static str,
    /// The same in words.
    #[schemars(extend("examples" = ["the receiver answered 503 Service Unavailable"]))]
    message: &'a str,
}

impl<'a> From<&'a Attempt> for AttemptJson<'a> {
    fn from(attempt: &'a Attempt) -> Self {
        Self {
            id: attempt.id,
            number: attempt.number,
            url: &attempt.url,
            outcome: if attempt.error.is_none() { "succeeded" } else { "failed" },
            duration: millis(attempt.duration),
            response: attempt.response.as_ref().map(ResponseJson::from),
            error: attempt.error.as_ref().map(ErrorJson::from),
            created_at: attempt.created_at,
            modified_at: attempt.ended_at(),
        }
    }
}

impl<'a> From<&'a Response> for ResponseJson<'a> {
    fn from(response: &'a Response) -> Self {
        Self {
            status: response.status,
            duration: millis(response.duration),
            headers: response.headers.as_deref().map(joined),
            // What is no UTF-8 shows as U+FFFD.
            body: response.body.as_ref().map(|body| String::from_utf8_lossy(body)),
            truncated: response.truncated,
        }
    }
}

/// RFC 9110 §5.2: a header that comes several times is the same as one with all its values, parted by commas.
fn joined(headers: &[(String, String)]) -> Map<String, Value> {
    let mut joined = Map::new();
    for (name, value) in headers {
        match joined.get_mut(name) {
            Some(Value::String(before)) => {
                before.push_str(", ");
                before.push_str(value);
            }
            _ => {
                joined.insert(name.clone(), Value::String(value.clone()));
            }
        }
    }
    joined
}

impl<'a> From<&'a AttemptError> for ErrorJson<'a> {
    fn from(error: &'a AttemptError) -> Self {
        Self {
            error_type: error.kind.as_str(),
            message: &error.message,
        }
    }
}
