//! What becomes of a connection after an acknowledgement. The outcome is told already; the rest of the body is read, within
//! limits, only so that the connection can be used again.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http_body::Body as _;
use hyper::body::Incoming;
use postrider_model::limits::RESPONSE_BYTES_MAX;
use postrider_model::time::Monotonic;

use crate::Shared;
use crate::exchange::{H1, H2Stream};
use crate::pool::Key;
use crate::timer::within;

/// How long the rest of an acknowledgement may take to come.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);
/// Most acknowledgements whose rest is being read. Beyond it connections are closed instead.
const DRAINS_MAX: usize = 1_024;

/// Reads the rest of a body over HTTP/1.1, then keeps the connection.
pub(crate) fn settle_h1(shared: &Arc<Shared>, key: Key, mut connection: Box<H1>, mut body: Incoming, now: Monotonic) {
    let mut left = RESPONSE_BYTES_MAX;
    let mut context = Context::from_waker(Waker::noop());
    match poll_h1(&mut connection, &mut body, &mut left, &mut context) {
        Poll::Ready(true) => shared.pool.put(key, connection, now),
        Poll::Ready(false) => {}
        Poll::Pending => {
            let drains = Arc::clone(&shared.drains);
            let shared = Arc::clone(shared);
            spawn_drain(drains, async move {
                let clock = Arc::clone(&shared.clock);
                let drain = poll_fn(|context| poll_h1(&mut connection, &mut body, &mut left, context));
                if within(&*clock, now + DRAIN_TIME_MAX, drain).await == Some(true) {
                    shared.pool.put(key, connection, clock.mono());
                }
            });
        }
    }
}

/// Reads the rest of a body over HTTP/2: a stream that is reset counts against us at some receivers.
pub(crate) fn settle_h2(shared: &Arc<Shared>, stream: H2Stream, mut body: Incoming, now: Monotonic) {
    let mut left = RESPONSE_BYTES_MAX;
    let mut context = Context::from_waker(Waker::noop());
    if poll_body(&mut body, &mut left, &mut context).is_pending() {
        let clock = Arc::clone(&shared.clock);
        spawn_drain(Arc::clone(&shared.drains), async move {
            let drain = poll_fn(|context| poll_body(&mut body, &mut left, context));
            // Whether it ended or not: the stream is given back.
            let _ = within(&*clock, now + DRAIN_TIME_MAX, drain).await;
            drop(stream);
        });
    }
}

/// Drains on a task, where there are not too many already.
fn spawn_drain(drains: Arc<AtomicUsize>, drain: impl Future<Output = ()> + Send + 'static) {
    let before = drains.fetch_add(1, Ordering::Relaxed);
    let counted = Counted(drains);
    if before < DRAINS_MAX {
        tokio::spawn(async move {
            drain.await;
            drop(counted);
        });
    }
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Ready with whether the connection can be used again.
fn poll_h1(connection: &mut H1, body: &mut Incoming, left: &mut usize, context: &mut Context<'_>) -> Poll<bool> {
    if body.is_end_stream() && connection.is_ready() {
        return Poll::Ready(true);
    }
    loop {
        let before = *left;
        let polled = poll_body(body, left, context);
        // The connection reads on only when it has seen that somebody waits for the body.
        connection.drive(context);
        match polled {
            Poll::Ready(is_whole) => return Poll::Ready(is_whole && connection.is_ready()),
            Poll::Pending => match poll_body(body, left, context) {
                Poll::Ready(is_whole) => {
                    connection.drive(context);
                    return Poll::Ready(is_whole && connection.is_ready());
                }
                Poll::Pending if *left == before => return Poll::Pending,
                Poll::Pending => {}
            },
        }
    }
}

/// Ready with whether the whole body has come.
fn poll_body(body: &mut Incoming, left: &mut usize, context: &mut Context<'_>) -> Poll<bool> {
    loop {
        match std::task::ready!(Pin::new(&mut *body).poll_frame(context)) {
            None => return Poll::Ready(true),
            Some(Err(_)) => return Poll::Ready(false),
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, bytes::Bytes::len);
                match left.checked_sub(bytes) {
                    Some(rest) => *left = rest,
                    None => return Poll::Ready(false),
                }
            }
        }
    }
}
