//! What callers were told, to be held against what became of it.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use postrider_model::id::{AccountId, DeliveryId, EventId, WebhookId};

/// An event that was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) account: AccountId,
    pub(crate) event: EventId,
    /// The webhooks that must have got a delivery, and no others; `None` where webhooks were changed at the same time.
    pub(crate) wanted_by: Option<Vec<WebhookId>>,
}

#[derive(Default)]
struct Pages {
    accounts: Vec<AccountId>,
    webhooks: Vec<(AccountId, WebhookId)>,
    acknowledged: Vec<Acknowledged>,
    /// The content that was acknowledged under a caller's own id.
    own: BTreeMap<(AccountId, EventId), u64>,
    /// How often a retry was asked for of deliveries of one event to one webhook.
    retries: BTreeMap<(WebhookId, Option<EventId>), usize>,
    /// Whose, and which.
    tests: Vec<(AccountId, DeliveryId)>,
    /// How often all of a webhook was asked to be sent again, and whether anything was.
    recoveries: BTreeMap<WebhookId, usize>,
    /// Accounts that somebody asked to delete: what they had may be erased.
    given_up: Vec<AccountId>,
    deleted: Vec<WebhookId>,
}

/// All that was answered. It outlives every life.
#[derive(Default)]
pub(crate) struct Book(Mutex<Pages>);

impl Book {
    pub(crate) fn account_made(&self, account: AccountId) {
        self.0.lock().accounts.push(account);
    }

    pub(crate) fn webhook_made(&self, account: AccountId, webhook: WebhookId) {
        self.0.lock().webhooks.push((account, webhook));
    }

    pub(crate) fn webhook_deleted(&self, webhook: WebhookId) {
        self.0.lock().deleted.push(webhook);
    }

    pub(crate) fn test_made(&self, account: AccountId, delivery: DeliveryId) {
        self.0.lock().tests.push((account, delivery));
    }

    pub(crate) fn account_given_up(&self, account: AccountId) {
        self.0.lock().given_up.push(account);
    }

    pub(crate) fn is_given_up(&self, account: AccountId) -> bool {
        self.0.lock().given_up.contains(&account)
    }

    /// A recovery was asked for; `is_of_all` where it sends again what succeeded.
    pub(crate) fn recovery_asked(&self, webhook: WebhookId, is_of_all: bool) {
        *self.0.lock().recoveries.entry(webhook).or_default() += usize::from(is_of_all);
    }

    /// How often all was asked to be sent again; `None` where no recovery was asked for at all.
    pub(crate) fn recoveries_asked(&self, webhook: WebhookId) -> Option<usize> {
        self.0.lock().recoveries.get(&webhook).copied()
    }

    pub(crate) fn acknowledged(&self, acknowledged: Acknowledged) {
        self.0.lock().acknowledged.push(acknowledged);
    }

    /// What was acknowledged under this id before, if anything.
    pub(crate) fn own(&self, account: AccountId, id: &EventId) -> Option<u64> {
        self.0.lock().own.get(&(account, id.clone())).copied()
    }

    pub(crate) fn own_acknowledged(&self, account: AccountId, id: EventId, content: u64) {
        self.0.lock().own.entry((account, id)).or_insert(content);
    }

    pub(crate) fn retry_asked(&self, webhook: WebhookId, event: Option<EventId>) {
        *self.0.lock().retries.entry((webhook, event)).or_default() += 1;
    }

    pub(crate) fn retries_asked(&self, webhook: WebhookId, event: Option<EventId>) -> usize {
        self.0.lock().retries.get(&(webhook, event)).copied().unwrap_or(0)
    }

    pub(crate) fn accounts(&self) -> Vec<AccountId> {
        self.0.lock().accounts.clone()
    }

    pub(crate) fn webhooks(&self) -> Vec<(AccountId, WebhookId)> {
        self.0.lock().webhooks.clone()
    }

    pub(crate) fn all_acknowledged(&self) -> Vec<Acknowledged> {
        self.0.lock().acknowledged.clone()
    }

    pub(crate) fn tests(&self) -> Vec<(AccountId, DeliveryId)> {
        self.0.lock().tests.clone()
    }

    pub(crate) fn deleted(&self) -> Vec<WebhookId> {
        self.0.lock().deleted.clone()
    }
}
