//! Test deliveries, and retries that an owner asks for.

use bytes::Bytes;
use postrider_model::delivery::{Change, Delivery, Progress, Status};
use postrider_model::id::DeliveryId;
use postrider_model::time::Timestamp;
use postrider_ports::store::{Retried, RetryAsk};
use rusqlite::params;

use crate::codec::State;
use crate::deliveries::{self, Stored};
use crate::fault::{Outcome, corrupt};
use crate::queue;
use crate::tx::{NewDelivery, Tx};
use crate::webhooks::{Standing, standing};
use crate::{fanouts, tx};

/// Keeps a test delivery with its body. False where its webhook is gone.
pub(crate) fn create_test(tx: &mut Tx<'_>, delivery: &Delivery, body: &Bytes) -> Outcome<bool> {
    if matches!(
        standing(tx.conn, delivery.account, delivery.webhook)?,
        Standing::Gone | Standing::Deleted
    ) {
        return Ok(false);
    }
    let state = State::of(delivery, true);
    let new = NewDelivery {
        id: delivery.id,
        account: delivery.account,
        webhook: delivery.webhook,
        event: None,
        state: &state,
    };
    let Status::Pending { due } = delivery.status else {
        return Ok(false);
    };
    tx.add_delivery(&new, due.as_millis())?;
    tx.conn
        .prepare_cached("INSERT INTO tests (delivery, body) VALUES (?, ?)")?
        .execute(params![delivery.id.as_u128().to_be_bytes(), &**body])?;
    Ok(true)
}

/// Makes a delivery due now.
pub(crate) fn retry(tx: &mut Tx<'_>, ask: RetryAsk) -> Outcome<Retried> {
    let RetryAsk {
        account,
        delivery,
        fresh,
        now,
    } = ask;
    let Some(stored) = deliveries::find(tx.conn, delivery)?.filter(|stored| stored.account == account) else {
        return Ok(Retried::NotFound);
    };
    let Some((event, body)) = deliveries::carried(tx.conn, &stored)? else {
        return Ok(Retried::NotFound);
    };
    match standing(tx.conn, account, stored.webhook)? {
        Standing::Gone | Standing::Deleted => return Ok(Retried::WebhookDeleted),
        // A test goes to an inactive webhook too.
        Standing::Inactive if stored.event.is_some() => return Ok(Retried::WebhookInactive),
        Standing::Inactive | Standing::Active => {}
    }
    let due = match stored.judged().apply(Change::Retried, now) {
        Ok(after) => again(tx, stored, &after)?,
        Err(_) => anew(tx, &stored, fresh, (now, &body))?,
    };
    let queued = queue::queued(&due, event, body).ok_or_else(|| corrupt("a retried delivery is not pending"))?;
    let record = deliveries::record(tx.conn, &due)?.ok_or_else(|| corrupt("a retried delivery carries nothing"))?;
    Ok(Retried::Due {
        queued,
        record: Box::new(record),
    })
}

/// The same delivery, due now.
fn again(tx: &Tx<'_>, mut stored: Stored, after: &Delivery) -> Outcome<Stored> {
    let before = stored.state.status;
    stored.state.take(after);
    stored.state.is_urgent = true;
    deliveries::rewrite(tx, &stored, before)?;
    Ok(stored)
}

/// A new delivery of the same event: a receiver that drops repeats would drop the old id.
fn anew(tx: &mut Tx<'_>, old: &Stored, fresh: DeliveryId, (now, body): (Timestamp, &Bytes)) -> Outcome<Stored> {
    let state = State {
        status: Status::Pending { due: now },
        is_urgent: true,
        progress: Progress::new(now),
        created_at: now,
        modified_at: now,
        success: None,
    };
    let new = NewDelivery {
        id: fresh,
        account: old.account,
        webhook: old.webhook,
        event: old.event.map(i64::unsigned_abs),
        state: &state,
    };
    let position = tx.add_delivery(&new, now.as_millis())?;
    match old.event {
        Some(event) => fanouts::note_later(tx.conn, event, position, fresh)?,
        None => {
            tx.conn
                .prepare_cached("INSERT INTO tests (delivery, body) VALUES (?, ?)")?
                .execute(params![fresh.as_u128().to_be_bytes(), &**body])?;
        }
    }
    Ok(Stored {
        id: fresh,
        account: old.account,
        webhook: old.webhook,
        event: old.event,
        position: position.major,
        state,
    })
}

/// A small durable write.
pub(crate) fn beat(tx: &tx::Tx<'_>) -> Outcome<()> {
    tx.conn.prepare_cached("UPDATE pulse SET beats = beats + 1")?.execute([])?;
    Ok(())
}
