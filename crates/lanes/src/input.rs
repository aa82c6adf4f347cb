//! What can happen: all that the engine tells the scheduler.

use std::time::Duration;

use postrider_model::health::Health;
use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::queue::{Position, Queued};
use postrider_model::slot::SlotSet;
use postrider_model::time::Timestamp;

/// Names a host and port: a hash of scheme, host and port of a webhook's url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostKey(pub u64);

/// Whether deliveries of a webhook may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They are sent.
    Active,
    /// The webhook or its account is switched off: they wait in the store.
    Paused,
    /// The webhook is deleted: they end in the store, nothing more is sent.
    Deleted,
}

/// What a lane needs to know of its webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneWebhook {
    /// Whose it is.
    pub account: AccountId,
    /// Which webhook.
    pub webhook: WebhookId,
    /// Where it sends to: webhooks of one host share a limit.
    pub host: HostKey,
    /// What was stored of its receiver's health.
    pub health: Health,
    /// Whether its deliveries may be sent.
    pub standing: Standing,
}

/// How an attempt ended, as far as scheduling cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It was acknowledged, this long after it was sent.
    Succeeded {
        /// From dispatch to the receiver's answer.
        latency: Duration,
    },
    /// It failed.
    Failed {
        /// Whether the receiver could not be reached, kept silent until a limit or broke off (`ErrorKind::is_illness`).
        is_illness: bool,
        /// The receiver's `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The fault is our own: no attempt was made.
    LocalFault,
    /// Nothing was sent: the webhook was found paused or deleted at the last moment.
    Withdrawn {
        /// How the webhook stands.
        standing: Standing,
    },
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// Just stored, and still in memory: goes on from here with no poll, no claim, no read-back.
    Committed {
        /// The delivery.
        queued: Queued,
        /// Its webhook.
        lane: LaneWebhook,
    },
    /// Just stored by another node, which handed it over: goes on from here with no read-back, unless an earlier owner of the slot may have
    /// sent it.
    CommittedElsewhere {
        /// The delivery.
        queued: Queued,
        /// Its webhook.
        lane: LaneWebhook,
    },
    /// A test or a manual retry, just stored: to the head of its lane.
    Urgent {
        /// The delivery.
        queued: Queued,
        /// Its webhook.
        lane: LaneWebhook,
    },
    /// Work for a webhook was stored, but not handed over: it is to be read from the store.
    LeftBehind {
        /// Whose it is.
        account: AccountId,
        /// Which webhook.
        webhook: WebhookId,
        /// Where the last of it stands.
        through: Position,
    },
    /// Another node stored work for a webhook: it is to be read from the store. What this node stores itself goes on from memory beside it.
    StoredElsewhere {
        /// Whose it is.
        account: AccountId,
        /// Which webhook.
        webhook: WebhookId,
        /// Where the last of it stands.
        through: Position,
    },
    /// What is known of a webhook's work may be old: it is to be read from the store.
    Reread {
        /// Whose it is.
        account: AccountId,
        /// Which webhook.
        webhook: WebhookId,
    },
    /// The sweep saw that something is pending for a webhook.
    Waiting {
        /// Whose it is.
        account: AccountId,
        /// Which webhook.
        webhook: WebhookId,
        /// When the first of it is due.
        due: Timestamp,
    },
    /// The answer to `Command::Refill`.
    Refilled {
        /// Its webhook, as it is now.
        lane: LaneWebhook,
        /// Due deliveries, earliest first; where the webhook is paused its tests, and what follows is about these alone.
        rows: Vec<Queued>,
        /// Whether that is all that was due.
        complete: bool,
        /// When the next of what is not due yet becomes due.
        next_due: Option<Timestamp>,
        /// Every write up to this place was seen by the answer.
        through: Position,
        /// No write behind this place was. Of those between the two it may have seen some.
        perhaps: Position,
    },
    /// `Command::Refill` could not be carried out: the store is gone for now.
    RefillFailed {
        /// For which webhook.
        webhook: WebhookId,
    },
    /// An attempt ended.
    Finished {
        /// Of which webhook.
        webhook: WebhookId,
        /// Of which delivery.
        delivery: DeliveryId,
        /// How.
        finish: Finish,
    },
    /// What `Command::Record` asked for is durable.
    Recorded {
        /// Of which webhook.
        webhook: WebhookId,
        /// Of which delivery.
        delivery: DeliveryId,
    },
    /// A webhook was changed, switched on or off, or deleted.
    WebhookChanged {
        /// As it is now.
        lane: LaneWebhook,
    },
    /// These slots are this node's from now on. The sweep tells what waits for their webhooks.
    Own {
        /// Which.
        slots: SlotSet,
    },
    /// These slots are another node's, or are about to be: nothing more is sent for their webhooks, and what waits in memory for them
    /// is forgotten, for it is in the store. What is in flight ends, and its outcome is recorded.
    Disown {
        /// Which.
        slots: SlotSet,
    },
    /// The lease has run out: nothing is sent and nothing is read until `Resume`. What is in flight ends, and its outcome is recorded.
    Suspend,
    /// There is a lease again.
    Resume,
    /// The moment that `next_wake` named has come.
    Tick,
    /// No more is to be sent; what is in flight ends.
    Stop,
}

impl Input {
    /// The webhook for which it brings work: only its owner may take that up. What ends is taken whoever owns it now.
    pub(crate) const fn brings(&self) -> Option<WebhookId> {
        match self {
            Self::Committed { lane, .. }
            | Self::CommittedElsewhere { lane, .. }
            | Self::Urgent { lane, .. }
            | Self::WebhookChanged { lane } => Some(lane.webhook),
            Self::LeftBehind { webhook, .. }
            | Self::StoredElsewhere { webhook, .. }
            | Self::Reread { webhook, .. }
            | Self::Waiting { webhook, .. } => Some(*webhook),
            Self::Refilled { .. }
            | Self::RefillFailed { .. }
            | Self::Finished { .. }
            | Self::Recorded { .. }
            | Self::Own { .. }
            | Self::Disown { .. }
            | Self::Suspend
            | Self::Resume
            | Self::Tick
            | Self::Stop => None,
        }
    }
}
