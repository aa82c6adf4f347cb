//! What waits to be sent.

use bytes::Bytes;

use crate::delivery::Progress;
use crate::id::{AccountId, DeliveryId, EventId, WebhookId};
use crate::time::Timestamp;

/// A place in the order in which a store made things durable: what was answered before another write began comes before it.
///
/// SQLite's writer counts `major`; PostgreSQL gives a transaction id and a count within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// The count, or the transaction.
    pub major: u64,
    /// The place within it.
    pub minor: u32,
}

impl Position {
    /// The place of a store that counts.
    pub const fn counted(major: u64) -> Self {
        Self { major, minor: 0 }
    }
}

/// A pending delivery with all that an attempt of it needs, but its webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Which delivery.
    pub delivery: DeliveryId,
    /// Whose it is.
    pub account: AccountId,
    /// Where it goes.
    pub webhook: WebhookId,
    /// What it carries; `None` for a test.
    pub event: Option<EventId>,
    /// How far it has come.
    pub progress: Progress,
    /// The earliest time of its next attempt.
    pub due: Timestamp,
    /// Whether it goes to the head of its lane: tests, and what its owner asked to retry now.
    pub is_urgent: bool,
    /// Where it stands in the order of the store.
    pub position: Position,
    /// The event as JSON, shared by all its deliveries.
    pub body: Bytes,
}

impl Queued {
    /// Whether it is a test delivery: those have no part in circuit, switching off and statistics.
    pub const fn is_test(&self) -> bool {
        self.event.is_none()
    }
}
