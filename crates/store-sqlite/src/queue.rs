//! What is pending: read by webhook, in the order of `due`.

use bytes::Bytes;
use postrider_model::id::{AccountId, DeliveryId, EventId, WebhookId};
use postrider_model::queue::{Position, Queued};
use postrider_model::slot::Slot;
use postrider_model::time::Timestamp;
use postrider_ports::store::{DueAnswer, DueAsk, Waiting, WaitingAsk};
use rusqlite::{Connection, OptionalExtension as _, params};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::deliveries::{self, Stored};
use crate::fault::{Outcome, corrupt};
use crate::history;
use crate::reader::Snapshot;
use crate::webhooks::is_deleted;

/// What events carry, by their positions: one body is shared by all its deliveries of an answer.
type Bodies = FxHashMap<i64, (Option<EventId>, Bytes)>;

/// The due deliveries of many webhooks, in one snapshot.
pub(crate) fn fetch_due(read: &Snapshot<'_>, asks: &[DueAsk], now: Timestamp) -> Outcome<Vec<DueAnswer>> {
    let through = history::last_position(read.conn)?;
    let mut bodies = Bodies::default();
    asks.iter()
        .map(|ask| {
            read.check_time()?;
            fetch_one(read, ask, (now, through), &mut bodies)
        })
        .collect()
}

fn fetch_one(read: &Snapshot<'_>, ask: &DueAsk, (now, through): (Timestamp, Position), bodies: &mut Bodies) -> Outcome<DueAnswer> {
    let mut answer = DueAnswer {
        webhook: ask.webhook,
        rows: Vec::new(),
        complete: true,
        next_due: None,
        through,
        perhaps: through,
    };
    if is_deleted(read.conn, ask.account, ask.webhook)? {
        return Ok(answer);
    }
    let known: FxHashSet<[u8; 16]> = ask.known.iter().map(|id| id.as_u128().to_be_bytes()).collect();
    let webhook = ask.webhook.as_u128().to_be_bytes();
    let mut statement = read.conn.prepare_cached(if ask.tests_only {
        "SELECT delivery FROM queued_tests WHERE webhook = ? AND due <= ? ORDER BY due, position"
    } else {
        "SELECT delivery FROM queue WHERE webhook = ? AND due <= ? ORDER BY due, position"
    })?;
    let mut rows = statement.query(params![webhook, now.as_millis()])?;
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let id: [u8; 16] = row.get(0)?;
        if known.contains(&id) {
            continue;
        }
        if answer.rows.len() >= ask.rows_max || (bytes >= ask.bytes_max && !answer.rows.is_empty()) {
            answer.complete = false;
            break;
        }
        let Some(queued) = load(read.conn, DeliveryId::from_u128(u128::from_be_bytes(id)), bodies)? else {
            continue;
        };
        if queued.account != ask.account {
            continue;
        }
        if !answer.rows.is_empty() && bytes + queued.body.len() > ask.bytes_max {
            answer.complete = false;
            break;
        }
        bytes += queued.body.len();
        answer.rows.push(queued);
        read.check_time()?;
    }
    answer.next_due = next_due(read.conn, webhook, (now, ask.tests_only))?;
    Ok(answer)
}

fn next_due(conn: &Connection, webhook: [u8; 16], (now, tests_only): (Timestamp, bool)) -> Outcome<Option<Timestamp>> {
    let due: Option<i64> = conn
        .prepare_cached(if tests_only {
            "SELECT due FROM queued_tests WHERE webhook = ? AND due > ? ORDER BY due LIMIT 1"
        } else {
            "SELECT due FROM queue WHERE webhook = ? AND due > ? ORDER BY due LIMIT 1"
        })?
        .query_row(params![webhook, now.as_millis()], |row| row.get(0))
        .optional()?;
    Ok(due.map(Timestamp::from_millis))
}

/// One pending delivery of an account.
pub(crate) fn one(conn: &Connection, account: AccountId, id: DeliveryId) -> Outcome<Option<Queued>> {
    if deliveries::find(conn, id)?.is_none_or(|stored| stored.account != account) {
        return Ok(None);
    }
    load(conn, id, &mut Bodies::default())
}

/// A delivery with all that an attempt needs. `None` where what it carries is gone.
fn load(conn: &Connection, id: DeliveryId, bodies: &mut Bodies) -> Outcome<Option<Queued>> {
    let Some(stored) = deliveries::find(conn, id)? else {
        return Err(corrupt("the queue has a delivery that is not there"));
    };
    let carried = match stored.event.and_then(|position| bodies.get(&position).cloned()) {
        Some(carried) => Some(carried),
        None => deliveries::carried(conn, &stored)?,
    };
    let Some((event, body)) = carried else {
        tracing::warn!(delivery = %id, "what a pending delivery carries is gone");
        return Ok(None);
    };
    if let Some(position) = stored.event {
        bodies.insert(position, (event.clone(), body.clone()));
    }
    Ok(queued(&stored, event, body))
}

/// A stored delivery as it goes to its lane; `None` where it is not pending.
pub(crate) fn queued(stored: &Stored, event: Option<EventId>, body: Bytes) -> Option<Queued> {
    let postrider_model::delivery::Status::Pending { due } = stored.state.status else {
        return None;
    };
    Some(Queued {
        delivery: stored.id,
        account: stored.account,
        webhook: stored.webhook,
        event,
        progress: stored.state.progress,
        due,
        is_urgent: stored.state.is_urgent,
        position: Position::counted(stored.position),
        body,
    })
}

/// Webhooks for which something is pending: one step over the queue for each of them.
pub(crate) fn waiting(read: &Snapshot<'_>, ask: &WaitingAsk) -> Outcome<Vec<Waiting>> {
    let mut found = Vec::new();
    let mut first = read
        .conn
        .prepare_cached("SELECT webhook, due, delivery FROM queue WHERE webhook >= ? ORDER BY webhook, due, position LIMIT 1")?;
    let mut next = read
        .conn
        .prepare_cached("SELECT webhook, due, delivery FROM queue WHERE webhook > ? ORDER BY webhook, due, position LIMIT 1")?;
    let mut account_of = read.conn.prepare_cached("SELECT account FROM deliveries WHERE id = ?")?;
    let mut at = ask.after.map(|(_, webhook)| webhook.as_u128().to_be_bytes());
    while found.len() < ask.limit {
        let statement = if at.is_some() { &mut next } else { &mut first };
        let row: Option<([u8; 16], i64, [u8; 16])> = statement
            .query_row([at.unwrap_or([0; 16])], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((webhook, due, delivery)) = row else {
            break;
        };
        at = Some(webhook);
        read.check_time()?;
        if !ask.slots.contains(Slot::of(WebhookId::from_u128(u128::from_be_bytes(webhook)))) {
            continue;
        }
        let account: [u8; 16] = account_of.query_row([delivery], |row| row.get(0))?;
        let (account, webhook) = (
            AccountId::from_u128(u128::from_be_bytes(account)),
            WebhookId::from_u128(u128::from_be_bytes(webhook)),
        );
        if !is_deleted(read.conn, account, webhook)? {
            found.push(Waiting {
                account,
                webhook,
                due: Timestamp::from_millis(due),
            });
        }
    }
    Ok(found)
}
