//! What is pending.

use std::collections::BTreeSet;
use std::ops::Bound;

use postrider_model::delivery::{Change, Status};
use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::queue::Queued;
use postrider_model::slot::Slot;
use postrider_model::time::Timestamp;
use postrider_ports::store::{DueAnswer, DueAsk, Waiting, WaitingAsk};

use super::tables::{DeliveryRow, Tables};

impl Tables {
    pub(super) fn fetch_due(&self, ask: &DueAsk, now: Timestamp) -> DueAnswer {
        let mut answer = DueAnswer {
            webhook: ask.webhook,
            rows: Vec::new(),
            complete: true,
            next_due: None,
            through: self.last_position(),
            perhaps: self.last_position(),
        };
        if self.is_gone(ask.webhook) {
            return answer;
        }
        let known: BTreeSet<DeliveryId> = ask.known.iter().copied().collect();
        let mut bytes = 0;
        for (due, _, id) in self.queue.get(&ask.webhook).into_iter().flatten() {
            let row = self.deliveries.get(id).filter(|row| row.delivery.account == ask.account);
            if ask.tests_only && row.is_none_or(|row| row.delivery.event.is_some()) {
                continue;
            }
            if *due > now {
                answer.next_due = Some(*due);
                break;
            }
            let Some(queued) = row.and_then(queued).filter(|_| !known.contains(id)) else {
                continue;
            };
            bytes += queued.body.len();
            if !answer.complete || answer.rows.len() >= ask.rows_max || (bytes > ask.bytes_max && !answer.rows.is_empty()) {
                // The rest is looked through for what is due next only.
                answer.complete = false;
                continue;
            }
            answer.rows.push(queued);
        }
        answer
    }

    pub(super) fn queued(&self, account: AccountId, id: DeliveryId) -> Option<Queued> {
        queued(self.deliveries.get(&id).filter(|row| row.delivery.account == account)?)
    }

    pub(super) fn is_gone(&self, webhook: WebhookId) -> bool {
        self.webhooks.get(&webhook).is_none_or(|row| row.is_deleted)
    }

    pub(super) fn waiting(&self, ask: &WaitingAsk) -> Vec<Waiting> {
        let behind = ask.after.map_or(Bound::Unbounded, |(_, webhook)| Bound::Excluded(webhook));
        let waiting = self.queue.range((behind, Bound::Unbounded)).filter_map(|(webhook, queue)| {
            let (due, ..) = queue.first()?;
            ask.slots.contains(Slot::of(*webhook)).then_some(())?;
            let row = self.webhooks.get(webhook).filter(|row| !row.is_deleted)?;
            Some(Waiting {
                account: row.webhook.account,
                webhook: *webhook,
                due: *due,
            })
        });
        waiting.take(ask.limit).collect()
    }

    pub(super) fn stop_deleted(&mut self, rows_max: usize, now: Timestamp) -> bool {
        let gone = self.queue.iter().filter(|(webhook, _)| self.is_gone(**webhook));
        let mut ids: Vec<DeliveryId> = gone.flat_map(|(_, queue)| queue).map(|(.., id)| *id).take(rows_max + 1).collect();
        let has_more = ids.len() > rows_max;
        ids.truncate(rows_max);
        for id in ids {
            self.change(id, Change::WebhookDeleted, now);
        }
        has_more
    }
}

/// A delivery as it goes to its lane; `None` where it is over.
pub(super) fn queued(row: &DeliveryRow) -> Option<Queued> {
    let Status::Pending { due } = row.delivery.status else {
        return None;
    };
    Some(Queued {
        delivery: row.delivery.id,
        account: row.delivery.account,
        webhook: row.delivery.webhook,
        event: row.delivery.event.clone(),
        progress: row.delivery.progress,
        due,
        is_urgent: row.is_urgent,
        position: row.position,
        body: row.body.clone(),
    })
}
