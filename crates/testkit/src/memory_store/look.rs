//! What a test may look at past all faults, without a call of the port: the truth, to judge others by.

use std::sync::Arc;

use postrider_model::delivery::{Delivery, DeliveryRecord};
use postrider_model::event::Event;
use postrider_model::id::{AccountId, DeliveryId, EventId, WebhookId};
use postrider_model::webhook::Webhook;
use postrider_ports::registry::AccountSnapshot;

use super::MemoryStore;
use super::deliveries::record;

impl MemoryStore {
    /// An account with its webhooks; `None` where there is none.
    pub fn look_account(&self, account: AccountId) -> Option<AccountSnapshot> {
        self.tables.lock().snapshot(account)
    }

    /// A webhook that is not deleted.
    pub fn look_webhook(&self, account: AccountId, webhook: WebhookId) -> Option<Arc<Webhook>> {
        self.tables.lock().webhook(account, webhook)
    }

    /// An event.
    pub fn look_event(&self, account: AccountId, event: &EventId) -> Option<Arc<Event>> {
        self.tables.lock().event(account, event)
    }

    /// A delivery without its attempts.
    pub fn look_delivery(&self, delivery: DeliveryId) -> Option<Delivery> {
        self.tables.lock().deliveries.get(&delivery).map(|row| row.delivery.clone())
    }

    /// All deliveries, of all accounts, in the order of their ids.
    pub fn look_deliveries(&self) -> Vec<DeliveryRecord> {
        self.tables.lock().deliveries.values().map(record).collect()
    }

    /// The ids of all deliveries, in their order.
    pub fn look_ids(&self) -> Vec<(AccountId, DeliveryId)> {
        let tables = self.tables.lock();
        tables
            .deliveries
            .values()
            .map(|row| (row.delivery.account, row.delivery.id))
            .collect()
    }

    /// How many deliveries are pending, or still to be made of a large fan-out.
    pub fn look_pending(&self) -> usize {
        let tables = self.tables.lock();
        tables.queue.values().map(std::collections::BTreeSet::len).sum::<usize>() + tables.fanouts.len()
    }
}
