//! The rows that events are stored as: arrays, written by one statement for a whole group.

use std::sync::LazyLock;

use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::limits::TRANSACTION_ROWS_MAX;
use postrider_model::time::Timestamp;
use postrider_ports::registry::AccountVersion;
use postrider_ports::store::{NewEvent, StoredEvent, Submission};
use uuid::Uuid;

use crate::conn::Conn;
use crate::deliveries::slot_column;
use crate::fault::Outcome;
use crate::param::{Array, Blob, Nullable, Param};
use crate::position::{Positions, XID};

/// Pairs in one row of the marker of a large fan-out: a step rewrites at most so many.
pub(crate) const CHUNK_PAIRS: usize = 1_000;

/// Rows to be written, column by column.
#[derive(Default)]
pub(crate) struct EventRows<'a> {
    asked_accounts: Vec<Uuid>,
    asked_versions: Vec<i64>,
    events: Events<'a>,
    queue: Queue,
    fanouts: Fanouts,
    /// The place within the transaction that comes next. Events and deliveries share the count.
    next_minor: i32,
    /// Whether an event has an id of its caller's.
    has_own_ids: bool,
}

#[derive(Default)]
struct Events<'a> {
    accounts: Vec<Uuid>,
    ids: Vec<Uuid>,
    minors: Vec<i32>,
    own_ids: Vec<Option<&'a str>>,
    names: Vec<&'a str>,
    resource_ids: Vec<&'a str>,
    resource_types: Vec<&'a str>,
    created_at: Vec<i64>,
    deliveries: Vec<Vec<u8>>,
    bodies: Vec<Blob<'a>>,
}

#[derive(Default)]
struct Queue {
    accounts: Vec<Uuid>,
    deliveries: Vec<Uuid>,
    webhooks: Vec<Uuid>,
    events: Vec<Uuid>,
    minors: Vec<i32>,
    slots: Vec<i16>,
    created_at: Vec<i64>,
}

#[derive(Default)]
struct Fanouts {
    accounts: Vec<Uuid>,
    events: Vec<Uuid>,
    chunks: Vec<i32>,
    created_at: Vec<i64>,
    pairs: Vec<Vec<u8>>,
}

/// What became of an event's rows: its place within the transaction, and whether its deliveries stand in the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    minor: i32,
    queued: bool,
}

impl Placed {
    /// As the caller is told, once the transaction's id is known.
    pub(crate) fn stored(self, major: i64) -> StoredEvent {
        StoredEvent::New {
            position: Positions::stored(major, self.minor),
            queued: self.queued,
        }
    }
}

/// Rows that a request needs.
pub(crate) fn rows_of(submission: &Submission) -> usize {
    submission.events.iter().map(|event| 1 + event.deliveries.len()).sum()
}

/// Bytes of the bodies of a request.
pub(crate) fn bytes_of(submission: &Submission) -> usize {
    submission.events.iter().map(|event| event.event.body.len()).sum()
}

impl<'a> EventRows<'a> {
    /// Has nothing written unless the account has this version.
    pub(crate) fn ask(&mut self, account: AccountId, version: AccountVersion) {
        let (account, version) = (Uuid::from_u128(account.as_u128()), version_column(version));
        // Requests of one account mostly come together, and it is asked for once.
        if self.asked_accounts.last() != Some(&account) || self.asked_versions.last() != Some(&version) {
            self.asked_accounts.push(account);
            self.asked_versions.push(version);
        }
    }

    /// Adds a request whose events have ids of ours.
    pub(crate) fn add(&mut self, submission: &'a Submission) -> Vec<Placed> {
        self.ask(submission.account, submission.version);
        let in_steps = rows_of(submission) > TRANSACTION_ROWS_MAX;
        let event_id = |new: &NewEvent| match &new.event.id {
            postrider_model::id::EventId::Made(id) => id.as_u128(),
            // Never added so: it has no id of ours.
            _ => 0,
        };
        let events = submission.events.iter();
        events
            .map(|new| self.add_event(new, Uuid::from_u128(event_id(new)), in_steps))
            .collect()
    }

    /// Adds an event under an id of ours.
    pub(crate) fn add_event(&mut self, new: &'a NewEvent, id: Uuid, in_steps: bool) -> Placed {
        let event = &*new.event;
        let account = Uuid::from_u128(event.account.as_u128());
        let minor = self.minor();
        let queued = !in_steps || new.deliveries.is_empty();
        let rows = &mut self.events;
        rows.accounts.push(account);
        rows.ids.push(id);
        rows.minors.push(minor);
        rows.own_ids.push(match &event.id {
            postrider_model::id::EventId::Own(text) => Some(text),
            _ => None,
        });
        self.has_own_ids |= rows.own_ids.last().is_some_and(Option::is_some);
        rows.names.push(event.name.as_str());
        rows.resource_ids.push(&event.resource.id);
        rows.resource_types.push(&event.resource.resource_type);
        rows.created_at.push(event.created_at.as_millis());
        rows.bodies.push(Blob(&event.body));
        rows.deliveries.push(match queued {
            true => new.deliveries.iter().flat_map(|(id, _)| id.as_u128().to_be_bytes()).collect(),
            false => Vec::new(),
        });
        if queued {
            for (delivery, webhook) in &new.deliveries {
                let minor = self.minor();
                self.queue
                    .push((account, id), (*delivery, *webhook), (minor, event.created_at.as_millis()));
            }
        } else {
            self.fanouts.push((account, id), event.created_at, &new.deliveries);
        }
        Placed { minor, queued }
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.ids.is_empty()
    }

    fn minor(&mut self) -> i32 {
        let minor = self.next_minor;
        self.next_minor = minor.saturating_add(1);
        minor
    }

    /// Writes all rows, where every account has the version that was asked for; then gives the transaction's place. `None` where one
    /// has not: nothing was written.
    pub(crate) async fn write(self, conn: &Conn, base: i64) -> Outcome<Option<i64>> {
        let (asked_accounts, asked_versions) = (Array(self.asked_accounts), Array(self.asked_versions));
        let Events {
            accounts,
            ids,
            minors,
            own_ids,
            names,
            resource_ids,
            resource_types,
            created_at,
            deliveries,
            bodies,
        } = self.events;
        let (accounts, ids, minors, created_at) = (Array(accounts), Array(ids), Array(minors), Array(created_at));
        let (names, resource_ids, resource_types) = (Array(names), Array(resource_ids), Array(resource_types));
        let (own_ids, deliveries, bodies) = (Nullable(own_ids), Array(deliveries), Array(bodies));
        let queue = self.queue;
        let (of_accounts, of_webhooks, of_events) = (Array(queue.accounts), Array(queue.webhooks), Array(queue.events));
        let (queued, queue_minors, slots) = (Array(queue.deliveries), Array(queue.minors), Array(queue.slots));
        let due = Array(queue.created_at);
        let mut params: Vec<&dyn Param> = vec![
            &base,
            &asked_accounts,
            &asked_versions,
            &accounts,
            &ids,
            &minors,
            &names,
            &resource_ids,
            &resource_types,
            &created_at,
            &deliveries,
            &bodies,
            &of_accounts,
            &queued,
            &of_webhooks,
            &of_events,
            &queue_minors,
            &slots,
            &due,
        ];
        let fanouts = self.fanouts;
        let (fanout_accounts, fanout_events) = (Array(fanouts.accounts), Array(fanouts.events));
        let (chunks, fanned_at, pairs) = (Array(fanouts.chunks), Array(fanouts.created_at), Array(fanouts.pairs));
        let has_more = self.has_own_ids || !chunks.0.is_empty();
        if has_more {
            let more: [&dyn Param; 6] = [&own_ids, &fanout_accounts, &fanout_events, &chunks, &fanned_at, &pairs];
            params.extend(more);
        }
        let row = conn.query_opt(if has_more { &WITH_MORE } else { &PLAIN }, &params).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }
}

impl Queue {
    fn push(&mut self, (account, event): (Uuid, Uuid), (delivery, webhook): (DeliveryId, WebhookId), (minor, created_at): (i32, i64)) {
        self.accounts.push(account);
        self.deliveries.push(Uuid::from_u128(delivery.as_u128()));
        self.webhooks.push(Uuid::from_u128(webhook.as_u128()));
        self.events.push(event);
        self.minors.push(minor);
        self.slots.push(slot_column(webhook));
        self.created_at.push(created_at);
    }
}

impl Fanouts {
    fn push(&mut self, (account, event): (Uuid, Uuid), created_at: Timestamp, deliveries: &[(DeliveryId, WebhookId)]) {
        for (chunk, pairs) in (0i32..).zip(deliveries.chunks(CHUNK_PAIRS)) {
            self.accounts.push(account);
            self.events.push(event);
            self.chunks.push(chunk);
            self.created_at.push(created_at.as_millis());
            self.pairs.push(pairs_of(pairs));
        }
    }
}

fn pairs_of(deliveries: &[(DeliveryId, WebhookId)]) -> Vec<u8> {
    let pair = |(delivery, webhook): &(DeliveryId, WebhookId)| [delivery.as_u128().to_be_bytes(), webhook.as_u128().to_be_bytes()];
    deliveries.iter().flat_map(pair).flatten().collect()
}

/// A version as its column has it. It counts changes: it never comes near the sign.
pub(crate) fn version_column(version: AccountVersion) -> i64 {
    i64::try_from(version.0).unwrap_or(i64::MAX)
}

static PLAIN: LazyLock<String> = LazyLock::new(|| statement(false));
static WITH_MORE: LazyLock<String> = LazyLock::new(|| statement(true));

/// One statement for all rows. `tx` has a row only where every account has the version asked for, in the snapshot that all of it reads:
/// else nothing is written. The transaction's id is asked for once, and not for each row.
fn statement(has_more: bool) -> String {
    let (own_id, own_ids) = if has_more { (", own_id", ", $20::text[]") } else { ("", "") };
    let fanouts = if has_more {
        ", chunks AS (
             INSERT INTO postrider.fanouts (account, event, chunk, created_at, pairs)
             SELECT f.* FROM tx CROSS JOIN unnest($21::uuid[], $22::uuid[], $23::integer[], $24::bigint[], $25::bytea[]) AS f)"
    } else {
        ""
    };
    format!(
        "WITH tx AS MATERIALIZED (
             SELECT {XID} + $1 AS major
             WHERE NOT EXISTS (
                 SELECT FROM unnest($2::uuid[], $3::bigint[]) AS asked (account, version)
                 WHERE asked.version IS DISTINCT FROM
                       (SELECT a.version FROM postrider.accounts a WHERE a.id = asked.account AND a.deleted_at IS NULL))
         ), stored AS (
             INSERT INTO postrider.events
                 (major, account, id, minor, name, resource_id, resource_type, created_at, deliveries, body{own_id})
             SELECT tx.major, e.*
             FROM tx CROSS JOIN unnest($4::uuid[], $5::uuid[], $6::integer[], $7::text[], $8::text[], $9::text[], $10::bigint[],
                                       $11::bytea[], $12::bytea[]{own_ids}) AS e
         ), queued AS (
             INSERT INTO postrider.queue
                 (major, account, delivery, webhook, event, minor, slot, due, schedule_began_at, created_at, modified_at, is_fresh)
             SELECT tx.major, q.account, q.delivery, q.webhook, q.event, q.minor, q.slot, q.at, q.at, q.at, q.at, true
             FROM tx CROSS JOIN unnest($13::uuid[], $14::uuid[], $15::uuid[], $16::uuid[], $17::integer[], $18::smallint[], $19::bigint[])
                  AS q (account, delivery, webhook, event, minor, slot, at)
         ){fanouts}
         SELECT major FROM tx"
    )
}
