//! Events: stored with their deliveries, or promised them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use postrider_model::delivery::{Delivery, Progress, Status};
use postrider_model::event::Event;
use postrider_model::id::{AccountId, DeliveryId, EventId, WebhookId};
use postrider_model::limits::{PAGE_BYTES_MAX, TRANSACTION_ROWS_MAX};
use postrider_model::queue::Position;
use postrider_model::time::Timestamp;
use postrider_ports::once::Written;
use postrider_ports::store::{EventFilter, EventsBehind, Expanded, NewEvent, StoredEvent, Submission, Submitted};
use postrider_ports::{Page, PageAsk, StoreError};

use super::tables::{DeliveryRow, Promised, Tables};

impl Tables {
    pub(super) fn submit(&mut self, submission: &Submission) -> Submitted {
        match self.accounts.get(&submission.account).filter(|row| !row.is_deleted) {
            None => return Submitted::NoAccount,
            Some(row) if row.version != submission.version => return Submitted::Stale,
            Some(_) => {}
        }
        if let Some(kept) = submission.keep.as_ref().and_then(|keep| self.kept_answer(&keep.at, keep.now)) {
            return Submitted::Kept(kept);
        }
        if let Some(index) = self.taken_id(submission) {
            return Submitted::IdTaken { index };
        }
        if self.has_delivery_twice(submission) {
            return Submitted::Refused(StoreError::Corrupt {
                reason: "a delivery has the id of another".to_owned(),
            });
        }
        let rows: usize = submission.events.iter().map(|event| 1 + event.deliveries.len()).sum();
        let in_steps = rows > TRANSACTION_ROWS_MAX;
        let stored: Vec<StoredEvent> = submission
            .events
            .iter()
            .map(|new| self.store_event(submission.account, new, in_steps))
            .collect();
        if let Some(keep) = &submission.keep {
            self.keep(keep, &Written::Events(stored.clone()));
        }
        Submitted::Stored(stored)
    }

    /// The first event of a request whose id another one has, with other content.
    fn taken_id(&self, submission: &Submission) -> Option<usize> {
        let mut earlier: BTreeMap<&EventId, &Arc<Event>> = BTreeMap::new();
        submission.events.iter().position(|new| {
            let id = &new.event.id;
            let stored = self.event(submission.account, id);
            let first = stored.as_ref().or_else(|| earlier.get(id).copied());
            let is_taken = first.is_some_and(|first| !first.has_same_content(&new.event));
            earlier.entry(id).or_insert(&new.event);
            is_taken
        })
    }

    fn has_delivery_twice(&self, submission: &Submission) -> bool {
        let mut seen = BTreeSet::new();
        // Of an event that is repeated nothing is delivered.
        let is_new = |new: &&NewEvent| !self.event_ids.contains_key(&(submission.account, new.event.id.clone()));
        let new_events = submission.events.iter().filter(is_new);
        let mut ids = new_events.flat_map(|new| &new.deliveries).map(|(id, _)| *id);
        ids.any(|id| !seen.insert(id) || self.deliveries.contains_key(&id))
    }

    fn store_event(&mut self, account: AccountId, new: &NewEvent, in_steps: bool) -> StoredEvent {
        if let Some(first) = self.event(account, &new.event.id) {
            return StoredEvent::Repeated(first);
        }
        let position = self.next_position();
        self.events.insert(position, Arc::clone(&new.event));
        self.event_ids.insert((account, new.event.id.clone()), position);
        let queued = !in_steps || new.deliveries.is_empty();
        for (delivery, webhook) in &new.deliveries {
            if queued {
                self.make(&new.event, *delivery, *webhook, new.event.created_at);
            } else {
                self.fanouts.push_back(Promised {
                    event: Arc::clone(&new.event),
                    delivery: *delivery,
                    webhook: *webhook,
                });
            }
        }
        StoredEvent::New { position, queued }
    }

    /// A new delivery of an event, due `now`.
    pub(super) fn make(&mut self, event: &Event, id: DeliveryId, webhook: WebhookId, now: Timestamp) -> Position {
        let position = self.next_position();
        self.put(DeliveryRow {
            position,
            delivery: Delivery {
                id,
                account: event.account,
                webhook,
                event: Some(event.id.clone()),
                status: Status::Pending { due: now },
                progress: Progress::new(now),
                created_at: now,
                modified_at: now,
            },
            is_urgent: false,
            body: event.body.clone(),
            attempts: BTreeMap::new(),
        });
        position
    }

    pub(super) fn expand_fanouts(&mut self, rows_max: usize) -> Expanded {
        let mut webhooks = BTreeSet::new();
        let mut through = Position::default();
        for _ in 0..rows_max {
            let Some(promised) = self.fanouts.pop_front() else { break };
            through = self.make(&promised.event, promised.delivery, promised.webhook, promised.event.created_at);
            webhooks.insert((promised.event.account, promised.webhook));
        }
        Expanded {
            webhooks: webhooks.into_iter().collect(),
            through,
            more: !self.fanouts.is_empty(),
        }
    }

    pub(super) fn event(&self, account: AccountId, event: &EventId) -> Option<Arc<Event>> {
        self.events.get(&self.event_position(account, event)?).cloned()
    }

    pub(super) fn event_position(&self, account: AccountId, event: &EventId) -> Option<Position> {
        self.event_ids.get(&(account, event.clone())).copied()
    }

    pub(super) fn list_events(&self, account: AccountId, filter: &EventFilter, ask: PageAsk) -> Page<Arc<Event>> {
        let before = ask.after.map_or(Bound::Unbounded, Bound::Excluded);
        let newest_first = self.events.range((Bound::Unbounded, before)).rev();
        let (rows, end) = chosen(newest_first, account, filter, ask.limit.max(1));
        Page { rows, next: end }
    }

    pub(super) fn events_behind(&self, account: AccountId, filter: &EventFilter, after: Position, limit: usize) -> EventsBehind {
        let oldest_first = self.events.range((Bound::Excluded(after), Bound::Unbounded));
        let (rows, end) = chosen(oldest_first, account, filter, limit.max(1));
        EventsBehind {
            rows,
            next: end.unwrap_or(self.last_position()),
            has_more: end.is_some(),
        }
    }
}

/// The first of these that the filter wants, as many as a page holds. And the last place that was looked at, where there is more.
fn chosen<'a>(
    events: impl Iterator<Item = (&'a Position, &'a Arc<Event>)>,
    account: AccountId,
    filter: &EventFilter,
    limit: usize,
) -> (Vec<Arc<Event>>, Option<Position>) {
    let mut rows: Vec<Arc<Event>> = Vec::new();
    let mut bytes = 0;
    let mut last = None;
    for (position, event) in events.filter(|(_, event)| event.account == account && filter.wants(event)) {
        bytes += event.body.len();
        if rows.len() >= limit || (bytes > PAGE_BYTES_MAX && !rows.is_empty()) {
            return (rows, last);
        }
        rows.push(Arc::clone(event));
        last = Some(*position);
    }
    (rows, None)
}
