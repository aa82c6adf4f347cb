//! Making responses.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use serde::Serialize;

use crate::error::ApiError;
use crate::stream::Streaming;

/// What every route answers with.
pub enum Body {
    /// All of it.
    Full(Full<Bytes>),
    /// Events as they happen.
    Stream(Streaming),
}

impl Default for Body {
    fn default() -> Self {
        Self::Full(Full::default())
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Full(full) => Pin::new(full).poll_frame(context),
            Self::Stream(stream) => stream.poll_frame(context).map(|frame| frame.map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(full) => full.is_end_stream(),
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(full) => full.size_hint(),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// An answer.
pub type Response = http::Response<Body>;
/// What a handler gives back.
pub(crate) type Answer = Result<Response, ApiError>;

/// JSON that is rendered already.
pub(crate) fn bytes(status: StatusCode, body: Bytes) -> Response {
    let mut response = http::Response::new(Body::Full(Full::new(body)));
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
    let mut response = http::Response::new(Body::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
