//! What of an answer is kept, and what it means.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use http::header::{HeaderMap, RETRY_AFTER};
use http_body::Body as _;
use hyper::body::Incoming;
use postrider_model::limits::{RESPONSE_BODY_KEPT_BYTES_MAX, RESPONSE_BYTES_MAX};
use postrider_model::time::Timestamp;

use crate::exchange::H1;
use crate::timer::Timer;

/// What was read of a failed attempt's body.
pub(crate) struct ReadBody {
    /// Its first 4 KiB.
    pub(crate) kept: Bytes,
    /// Whether there was, or may have been, more.
    pub(crate) is_truncated: bool,
    /// Whether it was read to its end, so that the connection can be used again.
    pub(crate) is_whole: bool,
}

/// Reads at most 16 KiB of a body until the time limit, and keeps its first 4. Over HTTP/1.1 it drives the connection.
pub(crate) async fn read_body(mut connection: Option<&mut H1>, mut body: Incoming, mut timer: Timer<'_>) -> ReadBody {
    let mut reading = Reading::default();
    let is_whole = poll_fn(|context| {
        loop {
            let before = reading.bytes;
            let polled = reading.poll(&mut body, context);
            if polled.is_ready() {
                return polled;
            }
            let Some(connection) = connection.as_deref_mut() else { break };
            connection.drive(context);
            let polled = reading.poll(&mut body, context);
            if polled.is_ready() || reading.bytes == before {
                if polled.is_ready() {
                    connection.drive(context);
                    return polled;
                }
                break;
            }
        }
        timer.poll(context).map(|()| false)
    })
    .await;
    ReadBody {
        is_truncated: !is_whole || reading.bytes > reading.kept.len(),
        kept: reading.kept.freeze(),
        is_whole,
    }
}

#[derive(Default)]
struct Reading {
    kept: BytesMut,
    bytes: usize,
}

impl Reading {
    /// Ready with whether the body has come to its end.
    fn poll(&mut self, body: &mut Incoming, context: &mut Context<'_>) -> Poll<bool> {
        loop {
            match std::task::ready!(Pin::new(&mut *body).poll_frame(context)) {
                None => return Poll::Ready(true),
                Some(Err(_)) => return Poll::Ready(false),
                Some(Ok(frame)) => {
                    let Some(data) = frame.data_ref() else { continue };
                    let room = RESPONSE_BODY_KEPT_BYTES_MAX.saturating_sub(self.kept.len());
                    self.kept.extend_from_slice(data.get(..room).unwrap_or(data));
                    self.bytes += data.len();
                    if self.bytes > RESPONSE_BYTES_MAX {
                        return Poll::Ready(false);
                    }
                }
            }
        }
    }
}

/// Headers as they are kept. What is no UTF-8 is shown with replacement characters.
pub(crate) fn kept_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

/// `Retry-After` (RFC 9110 §10.2.3) as a length of time from `now`: seconds, or a date. What is neither is as if it were not there.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let (is_negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds is a very long time; whoever schedules cuts it.
        let seconds = digits.parse::<u32>().unwrap_or(u32::MAX);
        return Some(Duration::from_secs(if is_negative { 0 } else { seconds.into() }));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let millis = date.duration_since(UNIX_EPOCH).ok()?.as_millis();
    let date = Timestamp::from_millis(i64::try_from(millis).ok()?);
    // A skewed clock can make it negative: then it is zero.
    Some(date.since(now))
}
