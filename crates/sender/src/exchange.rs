//! One request and its status and headers, over HTTP/1.1 or HTTP/2.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use postrider_model::limits::{READ_TIME_MAX, WRITE_TIME_MAX};
use postrider_model::time::Monotonic;
use postrider_ports::Clock;

use crate::failure::{Failure, Phase};
use crate::timer::Timer;
use crate::wire::{Meter, Wire};

/// A request body is handed to HTTP/2 in pieces of this size, so that the last is taken only when the ones before have gone.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// An HTTP/1.1 connection. No task stands behind it: whoever holds it drives it, and in the pool nobody does.
pub(crate) struct H1 {
    sender: http1::SendRequest<Full<Bytes>>,
    connection: http1::Connection<TokioIo<Wire>, Full<Bytes>>,
    meter: Arc<Meter>,
    is_open: bool,
    is_reused: bool,
    pub(crate) born: Monotonic,
}

/// A stream of an HTTP/2 connection that is shared; the connection has a task of its own.
pub(crate) struct H2 {
    pub(crate) sender: http2::SendRequest<Paced>,
    /// Streams in use. Written by `H2Stream`; the pool reads it.
    pub(crate) streams: AtomicUsize,
    /// Most streams at a time, as the receiver's settings say. Written by the connection's task; the pool reads it.
    pub(crate) streams_max: AtomicUsize,
    /// When the last stream ended, in nanoseconds. Written by `H2Stream`; the pool reads it.
    pub(crate) last_used: AtomicU64,
    pub(crate) born: Monotonic,
}

/// A place on an HTTP/2 connection, given back when dropped.
pub(crate) struct H2Stream {
    pub(crate) connection: Arc<H2>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) is_reused: bool,
}

impl Drop for H2Stream {
    fn drop(&mut self) {
        let now = self.clock.mono().as_nanos();
        self.connection.last_used.store(now, Ordering::Relaxed);
        self.connection.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Status and headers have come.
pub(crate) struct Answered {
    pub(crate) response: Response<Incoming>,
    /// From the request being sent to now.
    pub(crate) took: Duration,
    /// When.
    pub(crate) at: Monotonic,
    /// Until when the body may be read.
    pub(crate) read_by: Monotonic,
}

impl H1 {
    pub(crate) fn new(
        sender: http1::SendRequest<Full<Bytes>>,
        connection: http1::Connection<TokioIo<Wire>, Full<Bytes>>,
        meter: Arc<Meter>,
        born: Monotonic,
    ) -> Self {
        Self {
            sender,
            connection,
            meter,
            is_open: true,
            is_reused: false,
            born,
        }
    }

    /// Lets the connection do what it can.
    pub(crate) fn drive(&mut self, context: &mut Context<'_>) {
        if self.is_open && Pin::new(&mut self.connection).poll(context).is_ready() {
            self.is_open = false;
        }
    }

    /// Whether it can take a request as it stands.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_open && self.sender.is_ready()
    }

    /// Makes ready for the next exchange: it comes from the pool then.
    pub(crate) fn recycle(&mut self) {
        self.is_reused = true;
        self.meter.begin();
    }

    /// Sends the request and waits for status and headers.
    pub(crate) async fn exchange(&mut self, request: Request<Full<Bytes>>, limits: Limits<'_>) -> Result<Answered, Failure> {
        self.meter.begin();
        let meter = Arc::clone(&self.meter);
        let mut phases = Phases::new(limits);
        let mut reply = pin!(self.sender.try_send_request(request));
        let outcome = poll_fn(|context| {
            self.drive(context);
            match reply.as_mut().poll(context) {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
                Poll::Ready(Err(error)) => Poll::Ready(Err(Failure::from_exchange(error.error()))),
                Poll::Pending => phases.poll(meter.is_written(), context).map(Err),
            }
        })
        .await;
        match outcome {
            Ok(response) => Ok(phases.answered(response)),
            // Not a time limit: a receiver that keeps silent does so on a fresh connection too.
            Err(Failure::Receiver(error)) if self.is_reused && !self.meter.has_read() && !phases.is_over => {
                tracing::trace!(error = error.message, "a connection of the pool was closed");
                Err(Failure::Stale)
            }
            Err(failure) => Err(failure),
        }
    }
}

impl H2Stream {
    /// Sends the request and waits for status and headers.
    pub(crate) async fn exchange(&mut self, request: Request<Paced>, limits: Limits<'_>) -> Result<Answered, Failure> {
        let written_at = Arc::clone(&request.body().written_at);
        let mut phases = Phases::new(limits);
        let mut sender = self.connection.sender.clone();
        let mut reply = pin!(sender.try_send_request(request));
        let outcome = poll_fn(|context| match reply.as_mut().poll(context) {
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(Failure::from_exchange(error.error()))),
            Poll::Pending => {
                phases.note_written(written_at.load(Ordering::Relaxed));
                let over = phases.timer.poll(context);
                // The body is taken by the connection's task, which does not wake this one: look again when the limit is reached.
                if over.is_ready() && phases.note_written(written_at.load(Ordering::Relaxed)) {
                    return phases.timer.poll(context).map(|()| Err(phases.timed_out()));
                }
                over.map(|()| Err(phases.timed_out()))
            }
        })
        .await;
        phases.note_written(written_at.load(Ordering::Relaxed));
        match outcome {
            Ok(response) => Ok(phases.answered(response)),
            // GOAWAY, or closed: RFC 9113 §6.8 lets such a request be sent again.
            Err(Failure::Receiver(_)) if self.is_reused && !phases.is_over => Err(Failure::Stale),
            Err(failure) => Err(failure),
        }
    }
}

/// By when what must be done.
#[derive(Clone, Copy)]
pub(crate) struct Limits<'a> {
    pub(crate) clock: &'a dyn Clock,
    /// When the exchange begins.
    pub(crate) now: Monotonic,
    /// The end of all.
    pub(crate) end: Monotonic,
}

/// The write limit, and behind it the read limit.
struct Phases<'a> {
    timer: Timer<'a>,
    limits: Limits<'a>,
    written_at: Option<Monotonic>,
    is_over: bool,
}

impl<'a> Phases<'a> {
    fn new(limits: Limits<'a>) -> Self {
        let write_by = limits.end.min(limits.now + WRITE_TIME_MAX);
        Self {
            timer: Timer::new(limits.clock, write_by),
            limits,
            written_at: None,
            is_over: false,
        }
    }

    fn poll(&mut self, is_written: bool, context: &mut Context<'_>) -> Poll<Failure> {
        if is_written && self.written_at.is_none() {
            self.written(self.limits.clock.mono());
        }
        self.timer.poll(context).map(|()| self.timed_out())
    }

    /// Takes note of when the request was written, where it was (nanoseconds, zero is never). True where that is news.
    fn note_written(&mut self, nanos: u64) -> bool {
        let is_news = nanos > 0 && self.written_at.is_none();
        if is_news {
            self.written(Monotonic::from_nanos(nanos));
        }
        is_news
    }

    fn written(&mut self, at: Monotonic) {
        self.written_at = Some(at);
        self.timer.reset(self.read_by());
    }

    fn read_by(&self) -> Monotonic {
        let from = self.written_at.unwrap_or(self.limits.now);
        self.limits.end.min(from + READ_TIME_MAX)
    }

    fn timed_out(&mut self) -> Failure {
        self.is_over = true;
        Failure::timeout(if self.written_at.is_some() { Phase::Response } else { Phase::Write })
    }

    fn answered(&self, response: Response<Incoming>) -> Answered {
        let at = self.limits.clock.mono();
        Answered {
            response,
            // An answer may come before all of the request was taken: then from the start.
            took: at.since(self.written_at.unwrap_or(self.limits.now)),
            at,
            read_by: self.read_by(),
        }
    }
}

/// A request body for HTTP/2 that notes when its last piece was taken.
pub(crate) struct Paced {
    rest: Bytes,
    clock: Arc<dyn Clock>,
    /// In nanoseconds of the clock; zero while there is more to take.
    written_at: Arc<AtomicU64>,
}

impl Paced {
    pub(crate) fn new(body: Bytes, clock: Arc<dyn Clock>) -> Self {
        Self {
            rest: body,
            clock,
            written_at: Arc::default(),
        }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            return Poll::Ready(None);
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES_MAX));
        if this.rest.is_empty() {
            this.written_at.store(this.clock.mono().as_nanos(), Ordering::Relaxed);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
