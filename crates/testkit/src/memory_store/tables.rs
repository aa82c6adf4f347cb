//! What the store holds. It grows with what a test puts in.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use postrider_model::account::Account;
use postrider_model::attempt::Attempt;
use postrider_model::delivery::{Delivery, Status};
use postrider_model::event::Event;
use postrider_model::id::{AccountId, DeliveryId, EventId, JobId, KeyId, WebhookId};
use postrider_model::job::{Job, Recovery};
use postrider_model::key::{Key, KeyOwner, TokenHash};
use postrider_model::queue::Position;
use postrider_model::time::Timestamp;
use postrider_model::webhook::Webhook;
use postrider_ports::once::{AnswerKey, Kept};
use postrider_ports::registry::{AccountVersion, Changed};
use postrider_ports::{Page, PageAsk};

#[derive(Debug)]
pub(super) struct AccountRow {
    pub(super) position: Position,
    pub(super) account: Account,
    pub(super) version: AccountVersion,
    pub(super) is_deleted: bool,
}

#[derive(Debug)]
pub(super) struct KeyRow {
    pub(super) position: Position,
    pub(super) key: Key,
    pub(super) hash: TokenHash,
}

#[derive(Debug)]
pub(super) struct WebhookRow {
    pub(super) position: Position,
    pub(super) webhook: Webhook,
    pub(super) is_deleted: bool,
}

#[derive(Debug)]
pub(super) struct DeliveryRow {
    pub(super) position: Position,
    pub(super) delivery: Delivery,
    pub(super) is_urgent: bool,
    pub(super) body: Bytes,
    pub(super) attempts: BTreeMap<u32, Attempt>,
}

/// A delivery of a large fan-out that is still to be made.
#[derive(Debug)]
pub(super) struct Promised {
    pub(super) event: Arc<Event>,
    pub(super) delivery: DeliveryId,
    pub(super) webhook: WebhookId,
}

#[derive(Debug)]
pub(super) struct KeptRow {
    pub(super) ends_at: Timestamp,
    pub(super) kept: Kept,
}

#[derive(Debug)]
pub(super) struct JobRow {
    pub(super) position: Position,
    pub(super) job: Job,
    pub(super) recovery: Recovery,
    /// Events up to here were dealt with.
    pub(super) through: Position,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Tables {
    last_position: u64,
    pub(super) accounts: BTreeMap<AccountId, AccountRow>,
    pub(super) keys: BTreeMap<KeyId, KeyRow>,
    pub(super) webhooks: BTreeMap<WebhookId, WebhookRow>,
    /// In the order in which they were stored.
    pub(super) events: BTreeMap<Position, Arc<Event>>,
    /// Where each stands in `events`.
    pub(super) event_ids: BTreeMap<(AccountId, EventId), Position>,
    pub(super) deliveries: BTreeMap<DeliveryId, DeliveryRow>,
    /// What is pending, by webhook, earliest due first.
    pub(super) queue: BTreeMap<WebhookId, BTreeSet<(Timestamp, Position, DeliveryId)>>,
    pub(super) fanouts: VecDeque<Promised>,
    pub(super) jobs: BTreeMap<JobId, JobRow>,
    /// All changes of the registry, oldest first.
    pub(super) feed: Vec<Changed>,
    /// Whether the feed tells of deliveries that are wanted now, as where many nodes share a store.
    pub(super) is_shared: bool,
    /// Answers under idempotency keys, those that have ended included.
    pub(super) kept: HashMap<AnswerKey, KeptRow>,
}

impl Tables {
    pub(super) fn next_position(&mut self) -> Position {
        self.last_position += 1;
        self.last_position()
    }

    pub(super) const fn last_position(&self) -> Position {
        Position::counted(self.last_position)
    }

    /// Raises an account's version, and tells the feed.
    pub(super) fn account_changed(&mut self, account: AccountId, webhook: Option<WebhookId>) {
        if let Some(row) = self.accounts.get_mut(&account) {
            row.version.0 += 1;
        }
        self.feed
            .push(webhook.map_or(Changed::Account(account), |webhook| Changed::Webhook(account, webhook)));
    }

    /// An attempt of a delivery is wanted now.
    pub(super) fn delivery_wanted(&mut self, delivery: &Delivery) {
        if self.is_shared {
            let Delivery { id, account, webhook, .. } = delivery;
            self.feed.push(Changed::Delivery(*account, *webhook, *id));
        }
    }

    pub(super) fn owner_changed(&mut self, owner: KeyOwner) {
        match owner {
            KeyOwner::Operator => self.feed.push(Changed::OperatorKeys),
            KeyOwner::Account(account) => self.account_changed(account, None),
        }
    }

    /// Puts a delivery into its place, and into the queue while it is pending.
    pub(super) fn put(&mut self, row: DeliveryRow) {
        let id = row.delivery.id;
        let queue = self.queue.entry(row.delivery.webhook).or_default();
        if let Some(DeliveryRow { position, delivery, .. }) = self.deliveries.get(&id)
            && let Status::Pending { due } = delivery.status
        {
            queue.remove(&(due, *position, id));
        }
        if let Status::Pending { due } = row.delivery.status {
            queue.insert((due, row.position, id));
        }
        if queue.is_empty() {
            self.queue.remove(&row.delivery.webhook);
        }
        self.deliveries.insert(id, row);
    }
}

/// One page of rows, newest first.
pub(super) fn page<T>(rows: impl Iterator<Item = (Position, T)>, ask: PageAsk) -> Page<T> {
    let mut rows: Vec<(Position, T)> = rows
        .filter(|(position, _)| ask.after.is_none_or(|after| *position < after))
        .collect();
    rows.sort_by_key(|(position, _)| std::cmp::Reverse(*position));
    let has_more = rows.len() > ask.limit;
    rows.truncate(ask.limit);
    let next = rows.last().map(|(position, _)| *position).filter(|_| has_more);
    Page {
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        next,
    }
}
