//! Looks at other processes until something is so.

use std::time::{Duration, Instant};

use crate::world::PATIENCE;

/// Between two looks: each of them starts a psql, and those that are looked at need the machine too.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits until it is so, and says how long that took. `not_yet` says what is wrong where it is never so.
#[expect(clippy::disallowed_methods, reason = "other processes are watched in real time")]
pub(crate) fn wait_until(not_yet: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        let waited = begun.elapsed();
        assert!(waited < PATIENCE, "after {waited:.1?}: {not_yet}");
        // Nobody unparks it; if it goes on too early, it looks too early.
        std::thread::park_timeout(PAUSE);
    }
    begun.elapsed()
}
