//! Deliveries: one event on its way to one webhook, and the one function that changes a delivery's status.

use crate::attempt::Attempt;
use crate::id::{AccountId, DeliveryId, EventId, WebhookId};
use crate::time::Timestamp;

/// Why a delivery failed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FailedReason {
    /// Every attempt of the schedule failed.
    Exhausted = 1,
    /// Its turn came too late: later than the schedule's length and 24 h after it began.
    Expired = 2,
    /// Its webhook was deleted while it waited.
    WebhookDeleted = 3,
}

impl FailedReason {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::Exhausted, Self::Expired, Self::WebhookDeleted];

    /// As it is written in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Expired => "expired",
            Self::WebhookDeleted => "webhook_deleted",
        }
    }

    /// The reason that a store kept as a number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == code)
    }
}

/// Where a delivery stands. `in_progress` is not among them: only the node that sends it knows that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It waits for its next attempt, which comes not before `due`.
    Pending {
        /// The earliest time of the next attempt.
        due: Timestamp,
    },
    /// A receiver acknowledged it.
    Succeeded {
        /// When.
        at: Timestamp,
    },
    /// It ended without being acknowledged.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        reason: FailedReason,
    },
}

impl Status {
    /// Whether it is over.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Pending { .. })
    }
}

/// Where a delivery stands in its retry schedule. A manual retry begins the schedule anew while attempts go on counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Progress {
    /// Attempts made and recorded, over all schedules.
    pub attempts: u32,
    /// How many had been made when the schedule began.
    pub schedule_base: u32,
    /// When the schedule began.
    pub schedule_began_at: Timestamp,
}

impl Progress {
    /// That of a new delivery.
    pub const fn new(now: Timestamp) -> Self {
        Self {
            attempts: 0,
            schedule_base: 0,
            schedule_began_at: now,
        }
    }

    /// Attempts made in this schedule.
    pub const fn in_schedule(self) -> u32 {
        self.attempts.saturating_sub(self.schedule_base)
    }
}

/// One event on its way to one webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The same on every attempt; receivers drop repeats by it.
    pub id: DeliveryId,
    /// Whose it is.
    pub account: AccountId,
    /// Where it goes.
    pub webhook: WebhookId,
    /// What it carries; `None` for a test.
    pub event: Option<EventId>,
    /// Where it stands.
    pub status: Status,
    /// How far it has come.
    pub progress: Progress,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its status or attempts last changed.
    pub modified_at: Timestamp,
}

/// What happens to a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Attempt `number` was acknowledged.
    Succeeded {
        /// Which attempt.
        number: u32,
    },
    /// Attempt `number` failed; the next is due at `next`, or there is none.
    AttemptFailed {
        /// Which attempt.
        number: u32,
        /// When the next one is due; `None` where the schedule is used up.
        next: Option<Timestamp>,
    },
    /// Its turn came too late.
    Expired,
    /// Its webhook is gone.
    WebhookDeleted,
    /// Its owner wants an attempt now.
    Retried,
}

/// A change that does not fit where the delivery stands: it comes too late, or twice. Nothing is changed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the delivery has moved on: this change no longer applies")]
pub struct Superseded;

impl Delivery {
    /// The delivery after `change` at `now`. This is the only function that changes a status;
    /// docs/concepts.md has the table of all pairs.
    ///
    /// An outcome is compare-and-set on the attempt that it was for: only the next attempt in number counts, except that a
    /// success always wins while the delivery is pending. `Expired` counts only where it came after the schedule began.
    ///
    /// # Errors
    /// `Superseded` where the change does not apply.
    pub fn apply(mut self, change: Change, now: Timestamp) -> Result<Self, Superseded> {
        let next_number = self.progress.attempts.saturating_add(1);
        match (self.status, change) {
            (Status::Pending { .. }, Change::Succeeded { number }) => {
                self.progress.attempts = self.progress.attempts.max(number);
                self.status = Status::Succeeded { at: now };
            }
            (Status::Pending { .. }, Change::AttemptFailed { number, next }) if number == next_number => {
                self.progress.attempts = number;
                self.status = next.map_or(
                    Status::Failed {
                        at: now,
                        reason: FailedReason::Exhausted,
                    },
                    |due| Status::Pending { due },
                );
            }
            // Judged of an earlier schedule, before a retry began it anew, it says nothing of this one.
            (Status::Pending { .. }, Change::Expired) if now > self.progress.schedule_began_at => {
                self.status = Status::Failed {
                    at: now,
                    reason: FailedReason::Expired,
                }
            }
            (Status::Pending { .. }, Change::WebhookDeleted) => {
                self.status = Status::Failed {
                    at: now,
                    reason: FailedReason::WebhookDeleted,
                };
            }
            (Status::Pending { .. }, Change::Retried) => self.status = Status::Pending { due: now },
            (Status::Failed { .. }, Change::Retried) => {
                self.progress.schedule_base = self.progress.attempts;
                self.progress.schedule_began_at = now;
                self.status = Status::Pending { due: now };
            }
            (Status::Pending { .. }, Change::AttemptFailed { .. } | Change::Expired)
            | (Status::Succeeded { .. }, _)
            | (Status::Failed { .. }, Change::Succeeded { .. } | Change::AttemptFailed { .. } | Change::Expired | Change::WebhookDeleted) =>
            {
                return Err(Superseded);
            }
        }
        self.modified_at = now;
        Ok(self)
    }
}

/// A delivery with its attempts and what it carries, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// The delivery.
    pub delivery: Delivery,
    /// The event as JSON, as it goes over the wire.
    pub payload: bytes::Bytes,
    /// All its attempts, oldest first.
    pub attempts: Vec<Attempt>,
}
