//! The bench's own clock: it measures real time, so it alone, beside `clock.rs`, reads the real clock and sleeps by it.

use std::time::{Duration, Instant};

/// Counts from the moment a bench began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// One that begins now.
    #[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since it began.
    pub(crate) fn nanos(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Waits for real time to pass.
#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
pub(crate) async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}
