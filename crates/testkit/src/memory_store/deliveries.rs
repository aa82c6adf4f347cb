//! Deliveries: outcomes, tests, retries, reads.

use std::collections::BTreeMap;

use bytes::Bytes;
use postrider_model::account::AccountRef;
use postrider_model::delivery::{Change, Delivery, DeliveryRecord, Progress, Status};
use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::limits::PAGE_BYTES_MAX;
use postrider_model::time::Timestamp;
use postrider_ports::store::{DeliveryFilter, OutcomeRecord, Recorded, Retried, RetryAsk, StatusFilter};
use postrider_ports::{Page, PageAsk, StoreError};

use super::queue::queued;
use super::tables::{DeliveryRow, Tables, page};

impl Tables {
    /// Changes a delivery, where the change applies. False where it does not.
    pub(super) fn change(&mut self, id: DeliveryId, change: Change, now: Timestamp) -> bool {
        let Some(row) = self.deliveries.get(&id) else { return false };
        let Ok(delivery) = row.delivery.clone().apply(change, now) else {
            return false;
        };
        let is_urgent = match change {
            Change::Retried => true,
            // A retry that its owner asked for goes to the head once; a test always does.
            _ => delivery.event.is_none(),
        };
        let row = DeliveryRow {
            position: row.position,
            delivery,
            is_urgent,
            body: row.body.clone(),
            attempts: row.attempts.clone(),
        };
        self.put(row);
        true
    }

    /// `stuck`: what is told of outcomes that concern a webhook, in place of recording them.
    pub(super) fn record(&mut self, outcome: OutcomeRecord, stuck: Option<(WebhookId, Recorded)>) -> Recorded {
        let id = outcome.delivery;
        if let (Some(row), Some((webhook, told))) = (self.deliveries.get(&id), stuck)
            && row.delivery.webhook == webhook
        {
            return told;
        }
        let is_its = self.deliveries.get(&id).is_some_and(|row| row.delivery.account == outcome.account);
        if !is_its || !self.change(id, outcome.change, outcome.at) {
            return Recorded::Superseded;
        }
        if let (Some(row), Some(attempt)) = (self.deliveries.get_mut(&id), outcome.attempt) {
            row.attempts.insert(attempt.number, attempt);
        }
        Recorded::Applied
    }

    pub(super) fn create_test(&mut self, delivery: Delivery, body: Bytes) -> Result<bool, StoreError> {
        if self.webhook(delivery.account, delivery.webhook).is_none() {
            return Ok(false);
        }
        if self.deliveries.contains_key(&delivery.id) {
            return Err(StoreError::Corrupt {
                reason: "a delivery has the id of another".to_owned(),
            });
        }
        let position = self.next_position();
        self.delivery_wanted(&delivery);
        self.put(DeliveryRow {
            position,
            delivery,
            is_urgent: true,
            body,
            attempts: BTreeMap::new(),
        });
        Ok(true)
    }

    pub(super) fn retry(&mut self, ask: RetryAsk) -> Retried {
        let RetryAsk {
            account,
            delivery: id,
            fresh,
            now,
        } = ask;
        let Some(row) = self.deliveries.get(&id).filter(|row| row.delivery.account == account) else {
            return Retried::NotFound;
        };
        let Some(webhook) = self.webhook(account, row.delivery.webhook) else {
            return Retried::WebhookDeleted;
        };
        let is_active = webhook.is_active && self.account(&AccountRef::Id(account)).is_some_and(|account| account.is_active);
        // A test goes to an inactive webhook too.
        if !is_active && row.delivery.event.is_some() {
            return Retried::WebhookInactive;
        }
        let due = if self.change(id, Change::Retried, now) {
            id
        } else {
            self.make_anew(id, fresh, now);
            fresh
        };
        if let Some(delivery) = self.deliveries.get(&due).map(|row| row.delivery.clone()) {
            self.delivery_wanted(&delivery);
        }
        let row = self.deliveries.get(&due);
        row.and_then(|row| Some((queued(row)?, record(row))))
            .map_or(Retried::NotFound, |(queued, record)| Retried::Due {
                queued,
                record: Box::new(record),
            })
    }

    /// A new delivery of the same event: a receiver that drops repeats would drop the old id.
    fn make_anew(&mut self, old: DeliveryId, fresh: DeliveryId, now: Timestamp) {
        let position = self.next_position();
        let Some(row) = self.deliveries.get(&old) else { return };
        let delivery = Delivery {
            id: fresh,
            status: Status::Pending { due: now },
            progress: Progress::new(now),
            created_at: now,
            modified_at: now,
            ..row.delivery.clone()
        };
        let body = row.body.clone();
        self.put(DeliveryRow {
            position,
            delivery,
            is_urgent: true,
            body,
            attempts: BTreeMap::new(),
        });
    }

    pub(super) fn delivery(&self, account: AccountId, id: DeliveryId) -> Option<DeliveryRecord> {
        self.deliveries.get(&id).filter(|row| row.delivery.account == account).map(record)
    }

    pub(super) fn list_deliveries(&self, account: AccountId, filter: &DeliveryFilter, ask: PageAsk) -> Page<DeliveryRecord> {
        let rows = self
            .deliveries
            .values()
            .filter(|row| row.delivery.account == account && self.wants(filter, row));
        let mut bytes = 0;
        let full = page(rows.map(|row| (row.position, row)), ask);
        let mut next = full.next;
        let mut records: Vec<DeliveryRecord> = Vec::new();
        let mut last = None;
        for row in full.rows {
            bytes += row.body.len();
            if bytes > PAGE_BYTES_MAX && !records.is_empty() {
                next = last;
                break;
            }
            last = Some(row.position);
            records.push(record(row));
        }
        Page { rows: records, next }
    }

    fn wants(&self, filter: &DeliveryFilter, row: &DeliveryRow) -> bool {
        let delivery = &row.delivery;
        let has_status = match (filter.status, delivery.status) {
            (None, _)
            | (Some(StatusFilter::Pending), Status::Pending { .. })
            | (Some(StatusFilter::Succeeded), Status::Succeeded { .. })
            | (Some(StatusFilter::Failed), Status::Failed { .. }) => true,
            (Some(_), _) => false,
        };
        let event = delivery.event.as_ref().and_then(|event| self.event(delivery.account, event));
        has_status
            && filter.webhook.is_none_or(|webhook| delivery.webhook == webhook)
            && filter.event.as_ref().is_none_or(|event| delivery.event.as_ref() == Some(event))
            && filter.created.contains(delivery.created_at)
            && filter
                .name
                .as_ref()
                .is_none_or(|name| event.as_ref().is_some_and(|event| name.matches(&event.name)))
            && filter
                .resource_id
                .as_ref()
                .is_none_or(|id| event.as_ref().is_some_and(|event| event.resource.id == *id))
    }
}

pub(super) fn record(row: &DeliveryRow) -> DeliveryRecord {
    DeliveryRecord {
        delivery: row.delivery.clone(),
        payload: row.body.clone(),
        attempts: row.attempts.values().cloned().collect(),
    }
}
