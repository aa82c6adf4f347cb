//! Reading the bodies of requests, within limits of size, time and memory.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use postrider_ports::Clock;
use postrider_ports::clock::Sleep;

use crate::code::Code;
use crate::error::ApiError;

/// How long a body may take to arrive.
pub(crate) const BODY_TIME_MAX: Duration = Duration::from_secs(60);
/// How much of a body that is too large is read and thrown away, so that its sender gets to read the answer.
const DISCARDED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// When to come again where all memory for bodies is taken.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The bytes that bodies may take in memory, all requests together.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Written by `Held`, nobody else reads it.
    used: AtomicUsize,
    bytes_max: usize,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicUsize::new(0),
            bytes_max,
        })
    }
}

/// A share of the budget, given back when it is dropped.
#[derive(Debug)]
struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Held {
    fn add(&mut self, bytes: usize) -> Result<(), ApiError> {
        let before = self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if before.saturating_add(bytes) > self.budget.bytes_max {
            return Err(ApiError::overloaded(RETRY_AFTER));
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A body that has arrived. It counts against the budget while it lives.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) bytes: Bytes,
    _held: Option<Held>,
}

/// How a body is to be read.
pub(crate) struct Reading<'a> {
    pub(crate) bytes_max: usize,
    pub(crate) budget: &'a Arc<Budget>,
    pub(crate) clock: &'a dyn Clock,
    /// Whether the sender waits for our word before it sends the body (RFC 9110 §10.1.1).
    pub(crate) expects_continue: bool,
}

/// Reads a whole body. One that comes in a single piece is not copied.
///
/// # Errors
/// It is too large, too slow, cut off, or all memory for bodies is taken.
pub(crate) async fn collect<B>(mut body: B, reading: Reading<'_>) -> Result<Collected, ApiError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut source = Source {
        body: &mut body,
        clock: reading.clock,
        deadline: None,
    };
    let declared = source.body.size_hint().lower();
    let result = if declared > reading.bytes_max as u64 {
        Err(ApiError::body_too_large(reading.bytes_max))
    } else {
        gather(&mut source, &reading).await
    };
    if let Err(error) = &result
        && error.code() == Code::BodyTooLarge
        && !(reading.expects_continue && source.deadline.is_none())
    {
        discard(&mut source).await;
    }
    result
}

async fn gather<B>(source: &mut Source<'_, B>, reading: &Reading<'_>) -> Result<Collected, ApiError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut held = Held {
        budget: Arc::clone(reading.budget),
        bytes: 0,
    };
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(data) = source.data().await? {
        if held.bytes.saturating_add(data.len()) > reading.bytes_max {
            return Err(ApiError::body_too_large(reading.bytes_max));
        }
        held.add(data.len())?;
        if first.is_empty() {
            first = data;
            continue;
        }
        if rest.is_empty() {
            let expected = usize::try_from(source.body.size_hint().lower()).unwrap_or(0).min(reading.bytes_max);
            rest.reserve(first.len() + data.len() + expected);
            rest.extend_from_slice(&first);
        }
        rest.extend_from_slice(&data);
    }
    Ok(Collected {
        bytes: if rest.is_empty() { first } else { rest.freeze() },
        _held: Some(held),
    })
}

/// Reads and throws away, so that the sender does not find its connection reset before it has read the answer.
async fn discard<B>(source: &mut Source<'_, B>)
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut discarded = 0;
    while let Ok(Some(data)) = source.data().await {
        discarded += data.len();
        if discarded > DISCARDED_BYTES_MAX {
            return;
        }
    }
}

struct Source<'a, B> {
    body: &'a mut B,
    clock: &'a dyn Clock,
    /// Set when the body lets us wait for the first time: most are there already, and cost no timer.
    deadline: Option<Sleep>,
}

impl<B> Source<'_, B>
where
    B: Body<Data = Bytes> + Unpin,
{
    /// The next piece; `None` at the end.
    async fn data(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            let Some(frame) = poll_fn(|context| self.poll_frame(context)).await? else {
                return Ok(None);
            };
            // Trailers say nothing that we read.
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                return Ok(Some(data));
            }
        }
    }

    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, ApiError>> {
        if let Poll::Ready(frame) = Pin::new(&mut *self.body).poll_frame(context) {
            let frame = frame.transpose().map_err(|_| Code::BodyIncomplete.into());
            return Poll::Ready(frame);
        }
        let clock = self.clock;
        let deadline = self.deadline.get_or_insert_with(|| clock.sleep_until(clock.mono() + BODY_TIME_MAX));
        deadline.as_mut().poll(context).map(|()| Err(Code::BodyIncomplete.into()))
    }
}
