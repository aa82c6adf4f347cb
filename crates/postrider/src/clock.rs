//! The real clock. Nothing else in the server reads it.

use std::time::{Duration, Instant, SystemTime};

use postrider_model::time::{Monotonic, Timestamp};
use postrider_ports::clock::{Clock, Sleep};

/// The system's clock; its monotonic face counts from the moment when this was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock {
    began: Instant,
}

impl SystemClock {
    /// A clock that begins now.
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the server reads the real clock")]
    pub(crate) fn new() -> Self {
        Self { began: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the server reads the real clock")]
    fn wall(&self) -> Timestamp {
        // A clock before 1970 is not set at all: then it is 1970.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn mono(&self) -> Monotonic {
        Monotonic::from_nanos(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place where the server sleeps for real")]
    fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        let deadline = self.began + Duration::from_nanos(deadline.as_nanos());
        Box::pin(tokio::time::sleep_until(deadline.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_face_never_goes_back() {
        let clock = SystemClock::new();
        let first = clock.mono();
        assert!(clock.mono() >= first);
    }

    #[test]
    fn the_wall_is_in_this_century() {
        assert!(SystemClock::new().wall() > "2020-01-01T00:00:00Z".parse().unwrap());
    }

    #[tokio::test]
    async fn a_deadline_in_the_past_ends_at_once() {
        let clock = SystemClock::new();
        clock.sleep_until(Monotonic::from_nanos(0)).await;
    }
}
