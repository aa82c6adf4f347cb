//! Making responses.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

use crate::error::ApiError;

/// What every route answers with.
pub type Body = Full<Bytes>;
/// An answer.
pub type Response = http::Response<Body>;
/// What a handler gives back.
pub(crate) type Answer = Result<Response, ApiError>;

/// JSON that is rendered already.
pub(crate) fn bytes(status: StatusCode, body: Bytes) -> Response {
    let mut response = http::Response::new(Full::new(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// A resource as JSON.
pub(crate) fn json(status: StatusCode, resource: &impl Serialize) -> Answer {
    Ok(bytes(status, serde_json::to_vec(resource)?.into()))
}

/// The same with a secret in it: nobody on the way is to keep it.
pub(crate) fn secret_json(status: StatusCode, resource: &impl Serialize) -> Answer {
    let mut response = json(status, resource)?;
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    Ok(response)
}

/// It is gone: 204, without a body.
pub(crate) fn deleted() -> Response {
    let mut response = http::Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
