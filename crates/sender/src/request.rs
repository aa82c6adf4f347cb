//! The request of one attempt, as docs/wire.md says it.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::uri::{PathAndQuery, Scheme, Uri};
use http::{Method, Request};
use postrider_model::attempt::Outgoing;
use postrider_model::signature::sign;
use postrider_model::time::Timestamp;

use crate::failure::Failure;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const WEBHOOK_ATTEMPT: HeaderName = HeaderName::from_static("webhook-attempt");
const EVENT_ID: HeaderName = HeaderName::from_static("event-id");
/// All of ours and the two that hyper adds.
const HEADERS: usize = 10;

/// What an attempt sends. Made again where it is repeated on a fresh connection: it says the same each time.
#[derive(Clone, Copy)]
pub(crate) struct Sending<'a> {
    pub(crate) outgoing: &'a Outgoing,
    /// When it was dispatched: what is signed.
    pub(crate) dispatched: Timestamp,
    pub(crate) user_agent: &'a HeaderValue,
}

impl Sending<'_> {
    /// For HTTP/1.1: the path in the request line, the host in a header (RFC 9112 §3.2).
    pub(crate) fn http1<B>(&self, body: impl FnOnce(Bytes) -> B) -> Result<Request<B>, Failure> {
        let url = &self.outgoing.webhook.url;
        let mut values = Values::default();
        values.push(url.authority());
        let mut headers = self.headers(values)?;
        let path = PathAndQuery::try_from(url.path_and_query()).map_err(|_| unwritable())?;
        // `headers` has put the authority, the first value, under Host.
        let mut request = Request::new(body(self.outgoing.body.clone()));
        *request.uri_mut() = Uri::from(path);
        std::mem::swap(request.headers_mut(), &mut headers);
        *request.method_mut() = Method::POST;
        Ok(request)
    }

    /// For HTTP/2: scheme, authority and path are pseudo-headers, there is no Host (RFC 9113 §8.3.1).
    pub(crate) fn http2<B>(&self, body: impl FnOnce(Bytes) -> B) -> Result<Request<B>, Failure> {
        let url = &self.outgoing.webhook.url;
        let mut headers = self.headers(Values::default())?;
        let uri = Uri::builder()
            .scheme(Scheme::HTTPS)
            .authority(url.authority())
            .path_and_query(url.path_and_query());
        let mut request = Request::new(body(self.outgoing.body.clone()));
        *request.uri_mut() = uri.build().map_err(|_| unwritable())?;
        std::mem::swap(request.headers_mut(), &mut headers);
        *request.method_mut() = Method::POST;
        Ok(request)
    }

    /// Our headers, and Host where `values` holds an authority already.
    fn headers(&self, mut values: Values) -> Result<HeaderMap, Failure> {
        let outgoing = self.outgoing;
        let host = values.last();
        outgoing.delivery.push_to(&mut values.text);
        let id = values.end();
        let timestamp = values.push(self.dispatched.as_seconds());
        let attempt = values.push(outgoing.number);
        let event = outgoing.event.as_ref().map(|event| values.push(event));
        let secrets = outgoing.webhook.signing_secrets(self.dispatched);
        let signature = sign(secrets, outgoing.delivery, self.dispatched, &outgoing.body);

        let text = Bytes::from(values.text);
        let part = |(start, end): (usize, usize)| header_value(text.slice(start..end));
        let mut headers = HeaderMap::with_capacity(HEADERS);
        if let Some(host) = host {
            headers.insert(HOST, part(host)?);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, self.user_agent.clone());
        headers.insert(WEBHOOK_ID, part(id)?);
        headers.insert(WEBHOOK_TIMESTAMP, part(timestamp)?);
        headers.insert(WEBHOOK_SIGNATURE, header_value(Bytes::from(signature))?);
        headers.insert(WEBHOOK_ATTEMPT, part(attempt)?);
        if let Some(event) = event {
            headers.insert(EVENT_ID, part(event)?);
        }
        Ok(headers)
    }
}

/// The values of all headers in one allocation.
struct Values {
    text: String,
    start: usize,
    last: Option<(usize, usize)>,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            text: String::with_capacity(192),
            start: 0,
            last: None,
        }
    }
}

impl Values {
    fn push(&mut self, value: impl std::fmt::Display) -> (usize, usize) {
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{value}");
        self.end()
    }

    fn end(&mut self) -> (usize, usize) {
        let part = (self.start, self.text.len());
        self.start = self.text.len();
        self.last = Some(part);
        part
    }

    fn last(&self) -> Option<(usize, usize)> {
        self.last
    }
}

fn header_value(bytes: Bytes) -> Result<HeaderValue, Failure> {
    HeaderValue::from_maybe_shared(bytes).map_err(|_| unwritable())
}

/// Ids and urls are checked when they are made, so this does not happen; if it does, the store holds what no version wrote.
fn unwritable() -> Failure {
    Failure::protocol("the request cannot be written: its url or an id holds what no request may")
}
