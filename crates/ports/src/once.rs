//! Writes that are done once: their answer is kept under the caller's idempotency key, in the transaction of the write itself.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use postrider_model::account::Account;
use postrider_model::delivery::Delivery;
use postrider_model::job::{Job, Recovery};
use postrider_model::key::{Key, KeyOwner, TokenHash};
use postrider_model::time::Timestamp;
use postrider_model::webhook::Webhook;

use crate::registry::{AccountMade, WebhookEdit, WebhookEdited, WebhookMade};
use crate::store::{JobMade, Retried, RetryAsk, StoredEvent};

/// The place of a kept answer: an idempotency key of an account, or of the operator's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AnswerKey {
    /// Whose key space it is: the account that the request acts for, else the operator.
    pub owner: KeyOwner,
    /// The key as the caller sent it: 1 to 255 characters.
    pub key: String,
}

/// An answer of the API, as it was given.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Headers that belong to it, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, byte for byte.
    pub body: Bytes,
    /// Whether a secret is in it: then the store seals it.
    pub is_secret: bool,
}

impl fmt::Debug for KeptAnswer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body: &dyn fmt::Debug = if self.is_secret { &"***" } else { &self.body };
        out.debug_struct("KeptAnswer")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body", body)
            .finish_non_exhaustive()
    }
}

/// What stands under an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What the first request was: another one under the same key is refused.
    pub fingerprint: [u8; 32],
    /// What it was answered.
    pub answer: KeptAnswer,
}

/// Makes the answer of what was written; `None` where it is not one to be kept.
pub type Render = Arc<dyn Fn(&Written) -> Option<KeptAnswer> + Send + Sync>;

/// Asks for the answer of a write to be kept with it.
#[derive(Clone)]
pub struct Keep {
    /// Where.
    pub at: AnswerKey,
    /// Of which request: a hash of its method, path and body.
    pub fingerprint: [u8; 32],
    /// When it was made: the answer is kept for `IDEMPOTENCY_KEPT` from then on.
    pub now: Timestamp,
    /// Makes the answer. It may be called again where the transaction was rolled back.
    pub render: Render,
}

impl fmt::Debug for Keep {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Keep").field("at", &self.at).finish_non_exhaustive()
    }
}

/// A write that a request with an idempotency key asks for. Each does what the call of its name does.
#[derive(Clone, Debug)]
pub enum Write {
    /// Nothing but the answer: of a 404 or a 500, or of what another call has done.
    Nothing,
    /// `Registry::create_account`
    CreateAccount(Account),
    /// `Registry::create_key`
    CreateKey(Key, TokenHash),
    /// `Registry::create_webhook`, where the account has fewer than so many
    CreateWebhook(Webhook, usize),
    /// `Registry::edit_webhook`
    EditWebhook {
        /// Whose, and which.
        webhook: (postrider_model::id::AccountId, postrider_model::id::WebhookId),
        /// How.
        edit: WebhookEdit,
        /// When.
        now: Timestamp,
    },
    /// `Store::create_test`
    CreateTest(Delivery, Bytes),
    /// `Store::retry_delivery`
    RetryDelivery(RetryAsk),
    /// `Store::create_job`
    CreateJob(Job, Recovery),
}

/// What came of a write.
#[derive(Clone, Debug)]
pub enum Written {
    /// Of `Write::Nothing`.
    Nothing,
    /// Of a request's events: one for each.
    Events(Vec<StoredEvent>),
    /// Of an account.
    Account(AccountMade),
    /// Of a key: false where its account is gone.
    Key(bool),
    /// Of a new webhook.
    Webhook(WebhookMade),
    /// Of an edited webhook.
    Edited(WebhookEdited),
    /// Of a test: false where its webhook is gone.
    Test(bool),
    /// Of a retry.
    Retried(Retried),
    /// Of a job.
    Job(JobMade),
}

/// What came of a write under an idempotency key.
#[derive(Clone, Debug)]
pub enum Once {
    /// It was done now, and its answer is kept where there is one to keep.
    Done(Written),
    /// An answer stands under the key already: nothing was done.
    Kept(Kept),
}
