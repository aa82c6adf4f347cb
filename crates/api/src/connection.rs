//! When a connection is closed although nobody asked for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use postrider_model::time::Monotonic;
use postrider_ports::Clock;
use tokio::sync::Notify;

/// How long a connection may stay without a complete request head, between its opening or its last answer and the next request. It ends
/// idle connections, those that drip a head byte by byte, and those that do not read their answer.
pub(crate) const IDLE_TIME_MAX: Duration = Duration::from_secs(60);

/// What a connection is doing. Written by its requests, read by the task that watches it: no timer is touched per request.
#[derive(Debug)]
pub(crate) struct Activity {
    /// Requests at work.
    requests: AtomicUsize,
    /// When the last one ended, in nanoseconds of the monotonic clock.
    idle_since: AtomicU64,
    /// Told where a client does not read its stream.
    cut: Notify,
}

/// What is to be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Look again then.
    LookAgain(Monotonic),
    /// It has been idle for too long.
    Close,
}

impl Activity {
    /// That of a new connection.
    pub(crate) fn new(now: Monotonic) -> Self {
        Self {
            requests: AtomicUsize::new(0),
            idle_since: AtomicU64::new(now.as_nanos()),
            cut: Notify::new(),
        }
    }

    /// A request began; it has ended when the guard is dropped.
    pub(crate) fn begin<'a>(&'a self, clock: &'a dyn Clock) -> Busy<'a> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Busy { activity: self, clock }
    }

    /// The same for an answer that goes on after its handler.
    pub(crate) fn hold(self: &Arc<Self>, clock: &Arc<dyn Clock>) -> Hold {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Hold {
            activity: Arc::clone(self),
            clock: Arc::clone(clock),
        }
    }

    /// Ends when the connection is to be cut off.
    pub(crate) async fn cut(&self) {
        self.cut.notified().await;
    }

    fn ended(&self, clock: &dyn Clock) {
        self.idle_since.store(clock.mono().as_nanos(), Ordering::Relaxed);
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether no request is at work.
    pub(crate) fn is_idle(&self) -> bool {
        self.requests.load(Ordering::Relaxed) == 0
    }

    /// What is to be done at this moment.
    pub(crate) fn judge(&self, now: Monotonic) -> Verdict {
        if !self.is_idle() {
            return Verdict::LookAgain(now + IDLE_TIME_MAX);
        }
        let end = Monotonic::from_nanos(self.idle_since.load(Ordering::Relaxed)) + IDLE_TIME_MAX;
        if end <= now { Verdict::Close } else { Verdict::LookAgain(end) }
    }
}

/// A request at work.
pub(crate) struct Busy<'a> {
    activity: &'a Activity,
    clock: &'a dyn Clock,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.activity.ended(self.clock);
    }
}

/// An answer that goes on.
pub(crate) struct Hold {
    activity: Arc<Activity>,
    clock: Arc<dyn Clock>,
}

impl Hold {
    /// The client does not read: its connection ends now.
    pub(crate) fn cut(&self) {
        self.activity.cut.notify_one();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.activity.ended(&*self.clock);
    }
}
