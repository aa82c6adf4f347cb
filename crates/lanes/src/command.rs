//! What the scheduler wants done.

use postrider_model::delivery::Change;
use postrider_model::health::Health;
use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::queue::Queued;

/// Something to be carried out by the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Make an attempt, and hand in `Input::Finished`.
    Send {
        /// Of this delivery; the attempt's number is `progress.attempts + 1`.
        queued: Queued,
    },
    /// Read due deliveries of a webhook, and hand in `Input::Refilled` or `Input::RefillFailed`. At most one is under way for a webhook.
    Refill {
        /// Whose it is.
        account: AccountId,
        /// Which webhook.
        webhook: WebhookId,
        /// At most so many rows.
        rows_max: usize,
        /// About so many bytes.
        bytes_max: usize,
        /// What is in memory already.
        known: Vec<DeliveryId>,
    },
    /// Make a change of a delivery durable, and hand in `Input::Recorded`. Follows `Input::Finished` with the outcome of that attempt, or
    /// stands alone (`Change::Expired`).
    Record {
        /// Whose it is.
        account: AccountId,
        /// Of which webhook.
        webhook: WebhookId,
        /// Which delivery.
        delivery: DeliveryId,
        /// What happened to it.
        change: Change,
    },
    /// Keep with the webhook how its receiver is doing.
    StoreHealth {
        /// Whose it is.
        account: AccountId,
        /// Which webhook.
        webhook: WebhookId,
        /// How.
        health: Health,
    },
    /// Most hosts seem to fail at once, or our own side lacks something: the node is ill, and its failures are not recorded (true), or
    /// it has recovered (false). To be told to the operator.
    NodeIll {
        /// Which of both.
        is_ill: bool,
    },
}
