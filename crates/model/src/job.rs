//! Jobs: long work in the background, with progress.

use crate::delivery::Status;
use crate::id::{AccountId, DeliveryId, JobId, WebhookId};
use crate::time::Timestamp;

/// Due deliveries of a webhook from which on a recovery waits: fresh events never stand behind more of its work than that.
pub const RECOVER_WAITING_MAX: usize = 256;

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum JobKind {
    /// Sends a webhook again what it has missed.
    Recover = 1,
}

impl JobKind {
    /// All kinds.
    pub const ALL: [Self; 1] = [Self::Recover];

    /// As it is written in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recover => "recover",
        }
    }

    /// The kind that a store kept as a number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code)
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum JobStatus {
    /// It works, or waits for its next step.
    Running = 1,
    /// All is done.
    Succeeded = 2,
    /// It could not go on; `Job::error` says why.
    Failed = 3,
    /// Its owner stopped it: what was not done yet is left.
    Cancelled = 4,
}

impl JobStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// As it is written in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status that a store kept as a number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|status| *status as u8 == code)
    }
}

/// Long work of an account. Kept after its end, as long as events are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub account: AccountId,
    /// What it does.
    pub kind: JobKind,
    /// For which webhook, where it is for one.
    pub webhook: Option<WebhookId>,
    /// Where it stands.
    pub status: JobStatus,
    /// Deliveries that it has dealt with.
    pub done: u64,
    /// Deliveries that it will have dealt with at its end; `None` until they are counted.
    pub total: Option<u64>,
    /// Why it failed, in plain words.
    pub error: Option<String>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last came forward.
    pub modified_at: Timestamp,
}

/// Which deliveries a recovery sends again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecoverWhat {
    /// Those that failed: the same deliveries, pending again.
    Failed = 1,
    /// Those that were never made: events that today's filters of the webhook want, also from before it was.
    Missing = 2,
    /// Those that failed or were never made, and new deliveries of what succeeded. What is pending is on its way already.
    All = 3,
}

impl RecoverWhat {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Failed, Self::Missing, Self::All];

    /// As it is written in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Missing => "missing",
            Self::All => "all",
        }
    }

    /// What the text means.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.as_str() == text)
    }

    /// What a store kept as a number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|what| *what as u8 == code)
    }

    /// What a recovery does about one event. `deliveries` are all that the event has to the webhook, oldest first; `is_wanted`
    /// says whether the webhook's filters of today want it. At most one delivery comes of it, however many the event has: one
    /// that is pending is on its way, and where one succeeded a failure beside it is nothing that was missed.
    pub fn judge(self, deliveries: &[(DeliveryId, Status)], is_wanted: bool) -> Resend {
        let is = |matches: fn(Status) -> bool| deliveries.iter().any(|(_, status)| matches(*status));
        let is_pending = is(|status| matches!(status, Status::Pending { .. }));
        let has_succeeded = is(|status| matches!(status, Status::Succeeded { .. }));
        match (self, deliveries.last()) {
            _ if is_pending => Resend::Nothing,
            (Self::All, Some(_)) if has_succeeded => Resend::New,
            (Self::Failed | Self::All, Some((id, _))) if !has_succeeded => Resend::Again(*id),
            (Self::Missing | Self::All, None) if is_wanted => Resend::New,
            (Self::Failed | Self::Missing | Self::All, _) => Resend::Nothing,
        }
    }
}

/// What a recovery does about one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resend {
    /// Nothing.
    Nothing,
    /// This delivery, which failed, is pending again.
    Again(DeliveryId),
    /// A new delivery is made.
    New,
}

/// What a recovery is to do. Tests have no part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// To which webhook.
    pub webhook: WebhookId,
    /// Events made at this time or later, by their `created_at`.
    pub since: Timestamp,
    /// And before this one.
    pub until: Timestamp,
    /// Which deliveries of them.
    pub what: RecoverWhat,
}
