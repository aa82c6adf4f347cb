//! What is kept more than once (slots, counts, ids, places) is compared with the records that it is of.
//!
//! A move writes it anew, and a comparison of records alone says nothing of it: a delivery in a slot that is not its webhook's would never
//! be sent.

use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use uuid::Uuid;

use super::moved;
use crate::conn::Conn;
use crate::deliveries::slot_column;
use crate::event_reads::id_of;
use crate::fault::Outcome;

/// What was found to be wrong.
type Fault = Option<String>;

/// The first thing that does not agree. `conn` is in a transaction of its own.
pub(crate) async fn first(conn: &Conn) -> Outcome<Fault> {
    // All of it is read at once: it takes as long as it needs, and best in the order in which it lies there.
    conn.batch("SET LOCAL statement_timeout = 0; SET LOCAL enable_sort = on").await?;
    if let Some(fault) = accounts(conn).await? {
        return Ok(Some(fault));
    }
    if let Some(fault) = event_ids(conn).await? {
        return Ok(Some(fault));
    }
    if let Some(fault) = slots(conn).await? {
        return Ok(Some(fault));
    }
    match moved(conn).await? {
        Some(_) => places(conn).await,
        None => Ok(None),
    }
}

async fn accounts(conn: &Conn) -> Outcome<Fault> {
    let wrong = conn
        .query_opt(
            "SELECT a.id FROM postrider.accounts a LEFT JOIN (
                 SELECT account, count(*) AS webhooks FROM postrider.webhooks WHERE deleted_at IS NULL GROUP BY account
             ) AS there ON there.account = a.id
             WHERE a.deleted_at IS NULL AND a.webhooks <> COALESCE(there.webhooks, 0) LIMIT 1",
            &[],
        )
        .await?;
    let told = |id: Uuid| format!("accounts: the webhooks of {} are miscounted", AccountId::from_u128(id.as_u128()));
    wrong.map(|row| Ok(told(row.try_get(0)?))).transpose()
}

async fn event_ids(conn: &Conn) -> Outcome<Fault> {
    // Callers' own ids are free again a little before their events are hidden.
    for sql in [
        "SELECT e.id, e.own_id FROM postrider.events e LEFT JOIN postrider.event_ids i ON i.account = e.account AND i.own_id = e.own_id
         WHERE e.own_id IS NOT NULL AND e.id >= (SELECT floor FROM postrider.retention) AND i.event IS DISTINCT FROM e.id LIMIT 1",
        "SELECT i.event, i.own_id FROM postrider.event_ids i LEFT JOIN postrider.events e ON e.account = i.account AND e.id = i.event
         WHERE e.own_id IS DISTINCT FROM i.own_id LIMIT 1",
    ] {
        if let Some(row) = conn.query_opt(sql, &[]).await? {
            let id = id_of(row.try_get(0)?, row.try_get(1)?)?;
            return Ok(Some(format!("event_ids: {id} does not lead to its event")));
        }
    }
    Ok(None)
}

async fn slots(conn: &Conn) -> Outcome<Fault> {
    let rows = conn.query("SELECT DISTINCT webhook, slot FROM postrider.queue", &[]).await?;
    for row in rows {
        let (webhook, slot): (Uuid, i16) = (row.try_get(0)?, row.try_get(1)?);
        let webhook = WebhookId::from_u128(webhook.as_u128());
        if slot != slot_column(webhook) {
            return Ok(Some(format!(
                "queue: a delivery to {webhook} stands in slot {slot}, which is not its own"
            )));
        }
    }
    Ok(None)
}

/// Of what was moved here, and nobody has used yet: whatever comes stands behind it, and nothing of it is taken for what has just come.
async fn places(conn: &Conn) -> Outcome<Fault> {
    let row = conn
        .query_one(
            "SELECT (SELECT major FROM postrider.pulse), (SELECT delivery FROM postrider.queue WHERE is_fresh LIMIT 1),
                    greatest((SELECT max(major) FROM postrider.accounts), (SELECT max(major) FROM postrider.keys),
                             (SELECT max(major) FROM postrider.webhooks), (SELECT max(major) FROM postrider.events),
                             (SELECT max(major) FROM postrider.queue), (SELECT max(major) FROM postrider.deliveries),
                             (SELECT max(major) FROM postrider.jobs))",
            &[],
        )
        .await?;
    let (pulse, fresh): (i64, Option<Uuid>) = (row.try_get(0)?, row.try_get(1)?);
    if let Some(id) = fresh {
        let id = DeliveryId::from_u128(id.as_u128());
        return Ok(Some(format!("queue: the delivery {id} stands there as if it had just come")));
    }
    let last = row.try_get::<_, Option<i64>>(2)?;
    Ok(last
        .filter(|last| *last > pulse)
        .map(|last| format!("pulse: it is at {pulse}, and places go up to {last}")))
}
