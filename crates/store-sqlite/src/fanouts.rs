//! Large fan-outs: committed with a durable marker, and brought to the queue in steps.

use std::collections::BTreeSet;

use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::queue::Position;
use postrider_model::time::Timestamp;
use postrider_ports::store::Expanded;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::codec::Reader;
use crate::events::fresh_state;
use crate::fault::{Outcome, corrupt};
use crate::stopping;
use crate::tx::{NewDelivery, Tx, as_integer};

/// Pairs in one row of the marker: a step rewrites at most so many.
const CHUNK_PAIRS: usize = 1_000;
const PAIR_BYTES: usize = 32;

/// Marks deliveries that are still to be made of an event.
pub(crate) fn mark(conn: &Connection, event: u64, deliveries: &[(DeliveryId, WebhookId)]) -> Outcome<()> {
    for (chunk, pairs) in (0i64..).zip(deliveries.chunks(CHUNK_PAIRS)) {
        mark_chunk(conn, as_integer(event), chunk, pairs)?;
    }
    Ok(())
}

/// Marks a part of them.
pub(crate) fn mark_chunk(conn: &Connection, event: i64, chunk: i64, pairs: &[(DeliveryId, WebhookId)]) -> Outcome<()> {
    let mut bytes = Vec::with_capacity(pairs.len() * PAIR_BYTES);
    for (delivery, webhook) in pairs {
        bytes.extend_from_slice(&delivery.as_u128().to_be_bytes());
        bytes.extend_from_slice(&webhook.as_u128().to_be_bytes());
    }
    conn.prepare_cached("INSERT INTO fanouts (event, chunk, pairs) VALUES (?, ?, ?)")?
        .execute(params![event, chunk, bytes])?;
    Ok(())
}

struct Chunk {
    event: i64,
    chunk: i64,
    pairs: Vec<u8>,
}

/// One step: brings at most `rows_max` deliveries to the queue.
pub(crate) fn expand(tx: &mut Tx<'_>, rows_max: usize) -> Outcome<Expanded> {
    let mut room = rows_max;
    let mut webhooks = BTreeSet::new();
    let mut through = Position::default();
    while room > 0
        && let Some(chunk) = first_chunk(tx.conn)?
    {
        let split = chunk.pairs.len().min(room.saturating_mul(PAIR_BYTES));
        let (now, later) = chunk
            .pairs
            .split_at_checked(split)
            .ok_or_else(|| corrupt("a fan-out is cut short"))?;
        room -= now.len() / PAIR_BYTES;
        let (account, created_at) = account_of(tx.conn, chunk.event)?;
        let mut pairs = Reader(now);
        while !pairs.0.is_empty() {
            let delivery = DeliveryId::from_u128(u128::from_be_bytes(pairs.array()?));
            let webhook = WebhookId::from_u128(u128::from_be_bytes(pairs.array()?));
            through = make(tx, chunk.event, (account, created_at), (delivery, webhook))?;
            webhooks.insert((account, webhook));
        }
        put_back(tx.conn, &chunk, later)?;
    }
    Ok(Expanded {
        webhooks: webhooks.into_iter().collect(),
        through,
        more: first_chunk(tx.conn)?.is_some(),
    })
}

fn make(
    tx: &mut Tx<'_>,
    event: i64,
    (account, created_at): (AccountId, Timestamp),
    (id, webhook): (DeliveryId, WebhookId),
) -> Outcome<Position> {
    let state = fresh_state(created_at);
    let delivery = NewDelivery {
        id,
        account,
        webhook,
        event: Some(event.unsigned_abs()),
        state: &state,
    };
    let position = tx.add_delivery(&delivery, created_at.as_millis())?;
    note_later(tx.conn, event, position, id)?;
    // The webhook may have been deleted since: its deliveries end like those that waited then.
    stopping::ask_if_deleted(tx.conn, webhook)?;
    Ok(position)
}

/// Notes that a delivery was made of an event after the event was stored.
pub(crate) fn note_later(conn: &Connection, event: i64, position: Position, delivery: DeliveryId) -> Outcome<()> {
    conn.prepare_cached("INSERT INTO later_deliveries (event, position, delivery) VALUES (?, ?, ?)")?
        .execute(params![event, as_integer(position.major), delivery.as_u128().to_be_bytes()])?;
    Ok(())
}

/// The deliveries that were made of an event later, behind a position.
pub(crate) fn later_of(conn: &Connection, event: u64, after: u64) -> Outcome<Vec<DeliveryId>> {
    let mut statement = conn.prepare_cached("SELECT delivery FROM later_deliveries WHERE event = ? AND position > ? ORDER BY position")?;
    let mut rows = statement.query([as_integer(event), as_integer(after)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(DeliveryId::from_u128(u128::from_be_bytes(row.get(0)?)));
    }
    Ok(found)
}

/// A delivery to a webhook that is still to be made of an event.
pub(crate) fn promised(conn: &Connection, event: u64, webhook: WebhookId) -> Outcome<Option<DeliveryId>> {
    let mut statement = conn.prepare_cached("SELECT pairs FROM fanouts WHERE event = ?")?;
    let mut rows = statement.query([as_integer(event)])?;
    while let Some(row) = rows.next()? {
        let mut pairs = Reader(row.get_ref(0)?.as_blob()?);
        while !pairs.0.is_empty() {
            let delivery = DeliveryId::from_u128(u128::from_be_bytes(pairs.array()?));
            if u128::from_be_bytes(pairs.array()?) == webhook.as_u128() {
                return Ok(Some(delivery));
            }
        }
    }
    Ok(None)
}

/// Whether deliveries of an event are still to be made.
pub(crate) fn is_promised(conn: &Connection, event: i64) -> Outcome<bool> {
    Ok(conn
        .prepare_cached("SELECT 1 FROM fanouts WHERE event = ? LIMIT 1")?
        .exists([event])?)
}

/// Some of the deliveries that were made of an event later, behind a position, with theirs.
pub(crate) fn later_behind(conn: &Connection, event: i64, after: i64, limit: i64) -> Outcome<Vec<(i64, DeliveryId)>> {
    let mut statement =
        conn.prepare_cached("SELECT position, delivery FROM later_deliveries WHERE event = ? AND position > ? ORDER BY position LIMIT ?")?;
    let mut rows = statement.query([event, after, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((row.get(0)?, DeliveryId::from_u128(u128::from_be_bytes(row.get(1)?))));
    }
    Ok(found)
}

/// Forgets that a delivery was made of an event later.
pub(crate) fn forget_later(conn: &Connection, event: i64, position: i64) -> Outcome<()> {
    conn.prepare_cached("DELETE FROM later_deliveries WHERE event = ? AND position = ?")?
        .execute([event, position])?;
    Ok(())
}

fn first_chunk(conn: &Connection) -> Outcome<Option<Chunk>> {
    let chunk = conn
        .prepare_cached("SELECT event, chunk, pairs FROM fanouts ORDER BY event, chunk LIMIT 1")?
        .query_row([], |row| {
            Ok(Chunk {
                event: row.get(0)?,
                chunk: row.get(1)?,
                pairs: row.get(2)?,
            })
        })
        .optional()?;
    Ok(chunk)
}

fn account_of(conn: &Connection, event: i64) -> Outcome<(AccountId, Timestamp)> {
    let (account, created_at): ([u8; 16], i64) = conn
        .prepare_cached("SELECT account, created_at FROM events WHERE position = ?")?
        .query_row([event], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((
        AccountId::from_u128(u128::from_be_bytes(account)),
        Timestamp::from_millis(created_at),
    ))
}

fn put_back(conn: &Connection, chunk: &Chunk, later: &[u8]) -> Outcome<()> {
    if later.is_empty() {
        conn.prepare_cached("DELETE FROM fanouts WHERE event = ? AND chunk = ?")?
            .execute(params![chunk.event, chunk.chunk])?;
    } else {
        conn.prepare_cached("UPDATE fanouts SET pairs = ? WHERE event = ? AND chunk = ?")?
            .execute(params![later, chunk.event, chunk.chunk])?;
    }
    Ok(())
}
