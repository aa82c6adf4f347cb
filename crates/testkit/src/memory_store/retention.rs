//! Takes away what is kept no longer.

use postrider_model::account::AccountRef;
use postrider_model::delivery::Status;
use postrider_model::event::Event;
use postrider_model::id::{AccountId, DeliveryId, EventId, WebhookId};
use postrider_model::key::KeyOwner;
use postrider_model::queue::Position;
use postrider_ports::store::{Retire, Retired};

use super::tables::{DeliveryRow, Tables};

impl Tables {
    pub(super) fn retire(&mut self, step: &Retire) -> Retired {
        let mut retired = Retired::default();
        let old: Vec<DeliveryId> = self.old_deliveries(step);
        for id in old {
            if retired.deliveries >= step.rows_max {
                retired.has_more = true;
                return retired;
            }
            self.forget(id);
            retired.deliveries += 1;
        }
        for position in self.old_events(step) {
            if retired.events + retired.deliveries >= step.rows_max {
                retired.has_more = true;
                return retired;
            }
            self.forget_event(position);
            retired.events += 1;
        }
        self.kept.retain(|_, row| row.ends_at > step.now);
        self.jobs
            .retain(|_, row| row.job.ended_at.is_none_or(|ended_at| ended_at >= step.before));
        retired
    }

    /// Deliveries that go: those of old events and old tests, but for what is on its way.
    fn old_deliveries(&self, step: &Retire) -> Vec<DeliveryId> {
        let rows = self.deliveries.values().filter(|row| !self.is_on_its_way(row));
        let mut old: Vec<(Position, DeliveryId)> = rows
            .filter(|row| {
                let event = row
                    .delivery
                    .event
                    .as_ref()
                    .and_then(|event| self.event(row.delivery.account, event));
                event.map_or(row.delivery.created_at, |event| event.created_at) < step.before
            })
            .map(|row| (row.position, row.delivery.id))
            .collect();
        old.sort();
        old.into_iter().map(|(_, id)| id).collect()
    }

    /// Events that go: the old ones of which nothing is left, and nothing is promised.
    fn old_events(&self, step: &Retire) -> Vec<Position> {
        let is_held = |event: &Event| {
            let is_of = |account: AccountId, id: &EventId| account == event.account && *id == event.id;
            let mut rows = self.deliveries.values().map(|row| &row.delivery);
            rows.any(|delivery| delivery.event.as_ref().is_some_and(|id| is_of(delivery.account, id)))
                || self
                    .fanouts
                    .iter()
                    .any(|promised| is_of(promised.event.account, &promised.event.id))
        };
        let old = self.events.iter().filter(|(_, event)| event.created_at < step.before);
        old.filter(|(_, event)| !is_held(event)).map(|(position, _)| *position).collect()
    }

    fn is_on_its_way(&self, row: &DeliveryRow) -> bool {
        let account = row.delivery.account;
        let is_active = || {
            self.account(&AccountRef::Id(account)).is_some_and(|account| account.is_active)
                && self.webhook(account, row.delivery.webhook).is_some_and(|webhook| webhook.is_active)
        };
        matches!(row.delivery.status, Status::Pending { .. }) && is_active()
    }

    fn forget(&mut self, id: DeliveryId) {
        let Some(row) = self.deliveries.remove(&id) else { return };
        let Status::Pending { due } = row.delivery.status else { return };
        let webhook = row.delivery.webhook;
        if let Some(queue) = self.queue.get_mut(&webhook) {
            queue.remove(&(due, row.position, id));
        }
        if self.queue.get(&webhook).is_some_and(|queue| queue.is_empty()) {
            self.queue.remove(&webhook);
        }
    }

    fn forget_event(&mut self, position: Position) {
        if let Some(event) = self.events.remove(&position) {
            self.event_ids.remove(&(event.account, event.id.clone()));
        }
    }

    pub(super) fn erase_deleted(&mut self, rows_max: usize) -> bool {
        let deleted: Vec<AccountId> = self.accounts.iter().filter(|(_, row)| row.is_deleted).map(|(id, _)| *id).collect();
        let mut room = rows_max;
        for account in deleted {
            if self.waits_to_end(account) {
                continue;
            }
            if !self.erase(account, &mut room) {
                return true;
            }
        }
        false
    }

    /// Whether something of an account is pending, or still to be made.
    fn waits_to_end(&self, account: AccountId) -> bool {
        let webhooks: Vec<WebhookId> = self.webhooks_of(account);
        webhooks.iter().any(|webhook| self.queue.contains_key(webhook))
            || self.fanouts.iter().any(|promised| promised.event.account == account)
    }

    fn webhooks_of(&self, account: AccountId) -> Vec<WebhookId> {
        let rows = self.webhooks.iter().filter(|(_, row)| row.webhook.account == account);
        rows.map(|(id, _)| *id).collect()
    }

    /// Erases as much of an account as there is room for. True where nothing is left.
    fn erase(&mut self, account: AccountId, room: &mut usize) -> bool {
        let deliveries: Vec<DeliveryId> = {
            let rows = self.deliveries.values().filter(|row| row.delivery.account == account);
            rows.map(|row| row.delivery.id).collect()
        };
        let events: Vec<Position> = {
            let rows = self.events.iter().filter(|(_, event)| event.account == account);
            rows.map(|(position, _)| *position).collect()
        };
        for id in deliveries {
            if !take_one(room) {
                return false;
            }
            self.forget(id);
        }
        for position in events {
            if !take_one(room) {
                return false;
            }
            self.forget_event(position);
        }
        self.webhooks.retain(|_, row| row.webhook.account != account);
        self.jobs.retain(|_, row| row.job.account != account);
        self.kept.retain(|at, _| at.owner != KeyOwner::Account(account));
        self.accounts.remove(&account);
        true
    }
}

fn take_one(room: &mut usize) -> bool {
    let has_room = *room > 0;
    *room = room.saturating_sub(1);
    has_room
}
