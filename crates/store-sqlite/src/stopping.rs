//! Ends what waits for deleted webhooks and accounts, in steps.

use postrider_model::delivery::Change;
use postrider_model::id::{DeliveryId, WebhookId};
use postrider_model::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::deliveries;
use crate::fault::{Outcome, corrupt};
use crate::tx::Tx;

/// Has a deleted webhook's pending deliveries ended.
pub(crate) fn ask(conn: &Connection, webhook: WebhookId) -> Outcome<()> {
    conn.prepare_cached("INSERT OR IGNORE INTO stopping (webhook) VALUES (?)")?
        .execute([webhook.as_u128().to_be_bytes()])?;
    Ok(())
}

/// The same, where the webhook is deleted.
pub(crate) fn ask_if_deleted(conn: &Connection, webhook: WebhookId) -> Outcome<()> {
    conn.prepare_cached("INSERT OR IGNORE INTO stopping (webhook) SELECT id FROM webhooks WHERE id = ? AND deleted_at IS NOT NULL")?
        .execute([webhook.as_u128().to_be_bytes()])?;
    Ok(())
}

/// One step of at most `rows_max` deliveries. True where there is more to do.
pub(crate) fn step(tx: &Tx<'_>, rows_max: usize, now: Timestamp) -> Outcome<bool> {
    let mut room = rows_max;
    while let Some(webhook) = first(tx.conn)? {
        if room == 0 {
            return Ok(true);
        }
        let pending = pending_of(tx.conn, webhook, room)?;
        for id in &pending {
            stop(tx, *id, now)?;
        }
        // Fewer than there was room for: these were all.
        if pending.len() < room {
            tx.conn
                .prepare_cached("DELETE FROM stopping WHERE webhook = ?")?
                .execute([webhook])?;
        }
        // A webhook without work costs a row too, so that a step stays small.
        room = room.saturating_sub(pending.len().max(1));
    }
    Ok(false)
}

fn first(conn: &Connection) -> Outcome<Option<[u8; 16]>> {
    let webhook = conn
        .prepare_cached("SELECT webhook FROM stopping ORDER BY webhook LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(webhook)
}

fn pending_of(conn: &Connection, webhook: [u8; 16], limit: usize) -> Outcome<Vec<DeliveryId>> {
    let mut statement = conn.prepare_cached("SELECT delivery FROM queue WHERE webhook = ? ORDER BY due, position LIMIT ?")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![webhook, limit], |row| row.get::<_, [u8; 16]>(0))?;
    let mut found = Vec::new();
    for row in rows {
        found.push(DeliveryId::from_u128(u128::from_be_bytes(row?)));
    }
    Ok(found)
}

fn stop(tx: &Tx<'_>, id: DeliveryId, now: Timestamp) -> Outcome<()> {
    let mut stored = deliveries::find(tx.conn, id)?.ok_or_else(|| corrupt("the queue has a delivery that is not there"))?;
    let before = stored.state.status;
    let after = stored
        .judged()
        .apply(Change::WebhookDeleted, now)
        .map_err(|_| corrupt("the queue has a delivery that is over"))?;
    stored.state.take(&after);
    deliveries::rewrite(tx, &stored, before)
}
