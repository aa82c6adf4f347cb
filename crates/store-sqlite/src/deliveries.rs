//! Deliveries: read, and changed by `Delivery::apply` alone.

use std::sync::Arc;

use bytes::Bytes;
use postrider_model::attempt::Attempt;
use postrider_model::delivery::{Delivery, DeliveryRecord, Status};
use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::codec::{self, State};
use crate::events;
use crate::fault::{Outcome, corrupt};
use crate::tx::{Tx, as_integer};

/// A delivery as its row has it.
pub(crate) struct Stored {
    pub(crate) id: DeliveryId,
    pub(crate) account: AccountId,
    pub(crate) webhook: WebhookId,
    /// The position of its event; `None` for a test.
    pub(crate) event: Option<i64>,
    pub(crate) position: u64,
    pub(crate) state: State,
}

impl Stored {
    /// What `Delivery::apply` judges. It asks nothing of the event, which is left out.
    pub(crate) fn judged(&self) -> Delivery {
        Delivery {
            id: self.id,
            account: self.account,
            webhook: self.webhook,
            event: None,
            status: self.state.status,
            progress: self.state.progress,
            created_at: self.state.created_at,
            modified_at: self.state.modified_at,
        }
    }
}

/// Finds a delivery.
pub(crate) fn find(conn: &Connection, id: DeliveryId) -> Outcome<Option<Stored>> {
    let mut statement = conn.prepare_cached("SELECT account, webhook, event, position, state FROM deliveries WHERE id = ?")?;
    let mut rows = statement.query([id.as_u128().to_be_bytes()])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(Some(Stored {
        id,
        account: AccountId::from_u128(u128::from_be_bytes(row.get(0)?)),
        webhook: WebhookId::from_u128(u128::from_be_bytes(row.get(1)?)),
        event: row.get(2)?,
        position: row.get::<_, i64>(3)?.unsigned_abs(),
        state: State::decode(row.get_ref(4)?.as_blob()?)?,
    }))
}

/// Writes what became of a delivery, and moves it within the queue or out of it. `before` is the status that its row has.
pub(crate) fn rewrite(tx: &Tx<'_>, stored: &Stored, before: Status) -> Outcome<()> {
    tx.conn
        .prepare_cached("UPDATE deliveries SET state = ? WHERE id = ?")?
        .execute(params![stored.state.encode(), stored.id.as_u128().to_be_bytes()])?;
    let due = |status| match status {
        Status::Pending { due } => Some(due.as_millis()),
        Status::Succeeded { .. } | Status::Failed { .. } => None,
    };
    let (was, is) = (due(before), due(stored.state.status));
    if was == is {
        return Ok(());
    }
    let is_test = stored.event.is_none();
    if let Some(was) = was {
        let place = params![stored.webhook.as_u128().to_be_bytes(), was, as_integer(stored.position)];
        tx.conn
            .prepare_cached("DELETE FROM queue WHERE webhook = ? AND due = ? AND position = ?")?
            .execute(place)?;
        if is_test {
            tx.conn
                .prepare_cached("DELETE FROM queued_tests WHERE webhook = ? AND due = ? AND position = ?")?
                .execute(place)?;
        }
    }
    if let Some(is) = is {
        tx.enqueue(stored.webhook, is, stored.position, stored.id)?;
        if is_test {
            tx.enqueue_test(stored.webhook, is, stored.position, stored.id)?;
        }
    }
    Ok(())
}

/// Takes a delivery away with its attempts, its place in the queue and its body, where it is a test. Tells how many rows that were.
pub(crate) fn remove(conn: &Connection, stored: &Stored) -> Outcome<usize> {
    let id = stored.id.as_u128().to_be_bytes();
    let mut rows = conn.prepare_cached("DELETE FROM deliveries WHERE id = ?")?.execute([id])?;
    if stored.state.progress.attempts > 0 {
        rows += conn.prepare_cached("DELETE FROM attempts WHERE delivery = ?")?.execute([id])?;
    }
    if stored.event.is_none() {
        rows += conn.prepare_cached("DELETE FROM tests WHERE delivery = ?")?.execute([id])?;
    }
    if let Status::Pending { due } = stored.state.status {
        let place = params![stored.webhook.as_u128().to_be_bytes(), due.as_millis(), as_integer(stored.position)];
        for table in ["queue", "queued_tests"] {
            rows += conn
                .prepare_cached(&format!("DELETE FROM {table} WHERE webhook = ? AND due = ? AND position = ?"))?
                .execute(place)?;
        }
    }
    Ok(rows)
}

/// What a delivery carries; `None` where it is gone.
pub(crate) fn carried(conn: &Connection, stored: &Stored) -> Outcome<Option<(Option<postrider_model::id::EventId>, Bytes)>> {
    match stored.event {
        Some(position) => Ok(events::carried(conn, position)?.map(|(id, body)| (Some(id), body))),
        None => Ok(test_body(conn, stored.id)?.map(|body| (None, body))),
    }
}

fn test_body(conn: &Connection, delivery: DeliveryId) -> Outcome<Option<Bytes>> {
    let body: Option<Vec<u8>> = conn
        .prepare_cached("SELECT body FROM tests WHERE delivery = ?")?
        .query_row([delivery.as_u128().to_be_bytes()], |row| row.get(0))
        .optional()?;
    Ok(body.map(Bytes::from))
}

/// A delivery with all that is shown of it.
pub(crate) fn record(conn: &Connection, stored: &Stored) -> Outcome<Option<DeliveryRecord>> {
    let Some((event, payload)) = carried(conn, stored)? else {
        return Ok(None);
    };
    let mut delivery = stored.judged();
    delivery.event = event;
    Ok(Some(DeliveryRecord {
        delivery,
        payload,
        attempts: attempts(conn, stored)?,
    }))
}

fn attempts(conn: &Connection, stored: &Stored) -> Outcome<Vec<Attempt>> {
    let mut found = Vec::new();
    // Without an attempt there is none to look for: most of what waits has none.
    if stored.state.progress.attempts == 0 {
        return Ok(found);
    }
    let success = stored.state.success;
    let mut statement = conn.prepare_cached("SELECT number, attempt FROM attempts WHERE delivery = ? ORDER BY number")?;
    let mut rows = statement.query([stored.id.as_u128().to_be_bytes()])?;
    while let Some(row) = rows.next()? {
        let number = row.get(0)?;
        // A success that came twice under one number counts before the failure.
        if success.is_none_or(|success| success.number != number) {
            found.push(codec::decode_attempt(row.get_ref(1)?.as_blob()?, number, |url| url_of(conn, url))?);
        }
    }
    if let Some(success) = success {
        found.push(success.attempt(url_of(conn, success.url)?));
        found.sort_by_key(|attempt| attempt.number);
    }
    Ok(found)
}

fn url_of(conn: &Connection, number: i64) -> Outcome<Arc<str>> {
    conn.prepare_cached("SELECT url FROM urls WHERE number = ?")?
        .query_row([number], |row| row.get(0))
        .optional()?
        .ok_or_else(|| corrupt("an attempt went to an unknown url"))
}
