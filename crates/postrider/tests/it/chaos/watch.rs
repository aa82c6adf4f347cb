//! Real time: what the test is about is how long things take.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime};

/// Counts from the beginning of the test.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    began: Instant,
    /// The wall clock then, in milliseconds since 1970.
    wall: i64,
}

impl Watch {
    #[expect(clippy::disallowed_methods, reason = "processes are watched in real time")]
    pub(super) fn start() -> Self {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Self {
            began: Instant::now(),
            wall: i64::try_from(wall.as_millis()).unwrap(),
        }
    }

    /// Since the beginning.
    pub(super) fn now(self) -> Duration {
        self.began.elapsed()
    }

    /// When a second of the wall clock began; zero where that was before the beginning.
    pub(super) fn of_wall(self, second: i64) -> Duration {
        Duration::from_millis(u64::try_from(second * 1_000 - self.wall).unwrap_or(0))
    }

    /// The same moment on the wall clock, in milliseconds since 1970.
    pub(super) fn wall(self, at: Duration) -> i64 {
        self.wall + i64::try_from(at.as_millis()).unwrap()
    }
}

/// A wish that all come to an end, which whoever pauses hears.
#[derive(Default)]
pub(super) struct End {
    is_wished: Mutex<bool>,
    told: Condvar,
}

impl End {
    pub(super) fn wish(&self) {
        *self.is_wished.lock().unwrap() = true;
        self.told.notify_all();
    }

    pub(super) fn is_wished(&self) -> bool {
        *self.is_wished.lock().unwrap()
    }

    /// Waits so long, or until the end is wished.
    pub(super) fn pause(&self, time: Duration) {
        let wished = self.is_wished.lock().unwrap();
        drop(self.told.wait_timeout_while(wished, time, |wished| !*wished).unwrap());
    }
}
