//! An attempt as it is shown.

use std::borrow::Cow;

use postrider_model::attempt::{Attempt, AttemptError, Response};
use postrider_model::id::AttemptId;
use postrider_model::time::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use super::millis;

#[derive(Serialize)]
pub(crate) struct AttemptJson<'a> {
    id: AttemptId,
    number: u32,
    url: &'a str,
    outcome: &'static str,
    duration: u64,
    response: Option<ResponseJson<'a>>,
    error: Option<ErrorJson<'a>>,
    created_at: Timestamp,
    modified_at: Timestamp,
}

#[derive(Serialize)]
struct ResponseJson<'a> {
    status: u16,
    duration: u64,
    headers: Option<Map<String, Value>>,
    body: Option<Cow<'a, str>>,
    truncated: bool,
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    error_type: &'static str,
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
