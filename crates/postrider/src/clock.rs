//! The real clock. Nothing else in the server reads it.

use std::time::{Duration, SystemTime};

use postrider_model::time::{Monotonic, Timestamp};
use postrider_ports::clock::{Clock, Sleep};

/// The longest sleep of the runtime's timer at once: it stands still while the machine is suspended, the monotonic face does not.
const NAP_MAX: Duration = Duration::from_secs(10);

/// The system's clock; its monotonic face counts from the moment when this was made, and counts on while the machine is suspended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock {
    began: Duration,
}

impl SystemClock {
    /// A clock that begins now.
    pub(crate) fn new() -> Self {
        Self { began: since_boot() }
    }
}

/// How long the machine has been up: a lease that ends while it sleeps has ended when it wakes.
#[cfg(target_os = "linux")]
fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or_default(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    )
}

/// How long the machine has been up. Elsewhere than on Linux the plain monotonic clock has to do: on macOS it counts suspension, too.
#[cfg(not(target_os = "linux"))]
fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or_default(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    )
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place where the server reads the real clock")]
    fn wall(&self) -> Timestamp {
        // A clock before 1970 is not set at all: then it is 1970.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn mono(&self) -> Monotonic {
        let elapsed = since_boot().saturating_sub(self.began);
        Monotonic::from_nanos(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place where the server sleeps for real")]
    fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        let clock = *self;
        Box::pin(async move {
            loop {
                let left = deadline.since(clock.mono());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(NAP_MAX)).await;
            }
        })
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
