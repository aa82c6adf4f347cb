//! The shapes of resources in JSON. Nothing else is ever shown.

pub(crate) mod account;
pub(crate) mod attempt;
pub(crate) mod delivery;
pub(crate) mod event;
pub(crate) mod job;
pub(crate) mod key;
pub(crate) mod node;
pub(crate) mod webhook;

use std::time::Duration;

/// Durations are shown in whole milliseconds.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
