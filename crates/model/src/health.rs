//! What is known of a webhook's receiver, kept with the webhook so that a restart does not make all healthy again.

use crate::time::Timestamp;

/// How a webhook's receiver has been doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Health {
    /// Nothing is known yet.
    #[default]
    Unproven,
    /// Its last attempts reached it.
    Well,
    /// It could not be reached, or kept silent, so many times in a row.
    Ill {
        /// Failures to connect and time limits since the last answer.
        failures: u32,
        /// When the first of them was.
        since: Timestamp,
    },
}

impl Health {
    /// Whether it may use the slots of the proven.
    pub const fn is_well(self) -> bool {
        matches!(self, Self::Well)
    }
}
