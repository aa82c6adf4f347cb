//! Test deliveries, and retries that an owner asks for. Each tells the feed of changes, for the owner of the webhook's slot to hear of it.

use bytes::Bytes;
use postrider_model::delivery::{Change, Delivery, Progress, Status};
use postrider_model::id::{AccountId, DeliveryId};
use postrider_model::queue::Position;
use postrider_model::time::Timestamp;
use postrider_ports::store::{Retried, RetryAsk};
use uuid::Uuid;

use crate::changes;
use crate::conn::Conn;
use crate::deliveries::{self, Carried, ENDED, IN_QUEUE, PENDING, Stored};
use crate::fault::{Outcome, corrupt, unavailable};
use crate::moves;
use crate::param::Blob;
use crate::position::{Positions, XID};
use crate::standing::{Standing, held};

/// How often a delivery is looked for that moves while it is.
const TRIES_MAX: usize = 10;

/// Keeps a test delivery with its body. False where its webhook is gone.
pub(crate) async fn create_test(conn: &Conn, positions: Positions, delivery: &Delivery, body: &Bytes) -> Outcome<bool> {
    if matches!(
        held(conn, delivery.account, delivery.webhook).await?,
        Standing::Gone | Standing::Deleted
    ) {
        return Ok(false);
    }
    if delivery.status.is_final() {
        return Ok(false);
    }
    let stored = Stored {
        id: delivery.id,
        account: delivery.account,
        webhook: delivery.webhook,
        event: None,
        position: this_place(conn, positions).await?,
        status: delivery.status,
        progress: delivery.progress,
        is_urgent: true,
        is_later: false,
        created_at: delivery.created_at,
        modified_at: delivery.modified_at,
        success: None,
        is_fresh: false,
    };
    moves::enqueue(conn, std::iter::once(&stored)).await?;
    keep_body(conn, &stored, body).await?;
    tell(conn, positions, &stored).await?;
    Ok(true)
}

/// Makes a delivery due now.
pub(crate) async fn retry(conn: &Conn, positions: Positions, ask: RetryAsk) -> Outcome<Retried> {
    let Some(stored) = hold(conn, ask.account, ask.delivery).await? else {
        return Ok(Retried::NotFound);
    };
    let mut carried = Carried::read(conn, ask.account, std::slice::from_ref(&stored)).await?;
    let Some((event, body)) = carried.of(&stored) else {
        return Ok(Retried::NotFound);
    };
    match held(conn, ask.account, stored.webhook).await? {
        Standing::Gone | Standing::Deleted => return Ok(Retried::WebhookDeleted),
        // A test goes to an inactive webhook too.
        Standing::Inactive if stored.event.is_some() => return Ok(Retried::WebhookInactive),
        Standing::Inactive | Standing::Active => {}
    }
    let due = match stored.judged().apply(Change::Retried, ask.now) {
        Ok(after) => again(conn, stored, &after).await?,
        Err(_) => {
            let new = anew(conn, positions, &stored, (ask.fresh, ask.now)).await?;
            if new.event.is_none() {
                keep_body(conn, &new, &body).await?;
                carried.add_test(&new, body.clone());
            }
            new
        }
    };
    tell(conn, positions, &due).await?;
    let queued = due
        .queued(event, body)
        .ok_or_else(|| corrupt("a retried delivery is not pending"))?;
    let record = carried.record(&due)?.ok_or_else(|| corrupt("a retried delivery carries nothing"))?;
    Ok(Retried::Due {
        queued,
        record: Box::new(record),
    })
}

/// A delivery of an account, whose row is this transaction's until it ends: no outcome changes it meanwhile.
async fn hold(conn: &Conn, account: AccountId, id: DeliveryId) -> Outcome<Option<Stored>> {
    let (owner, key) = (Uuid::from_u128(account.as_u128()), Uuid::from_u128(id.as_u128()));
    for _ in 0..TRIES_MAX {
        let Some(found) = deliveries::find(conn, account, id).await? else {
            return Ok(None);
        };
        let sql = match found.status {
            Status::Pending { .. } => format!("SELECT {PENDING} FROM postrider.queue WHERE {IN_QUEUE} FOR UPDATE"),
            _ => format!("SELECT {ENDED} FROM postrider.deliveries WHERE account = $1 AND id = $2 FOR UPDATE"),
        };
        let rows = conn.query(&sql, &[&owner, &key]).await?;
        // Else it went to the other place before it could be held.
        if let Some(stored) = deliveries::stored_of(account, &rows)?.into_iter().next() {
            return Ok(Some(stored));
        }
    }
    Err(unavailable("the delivery changes all the time").into())
}

/// The same delivery, due now.
async fn again(conn: &Conn, mut stored: Stored, after: &Delivery) -> Outcome<Stored> {
    let was_over = stored.status.is_final();
    stored.take(after);
    stored.is_urgent = true;
    stored.is_fresh = false;
    if was_over {
        moves::bring_back(conn, stored.account, std::slice::from_ref(&stored)).await?;
    } else if let Status::Pending { due } = stored.status {
        moves::hasten(conn, &stored, due).await?;
    }
    Ok(stored)
}

/// A new delivery of the same event: a receiver that drops repeats would drop the old id.
async fn anew(conn: &Conn, positions: Positions, old: &Stored, (fresh, now): (DeliveryId, Timestamp)) -> Outcome<Stored> {
    let new = Stored {
        id: fresh,
        position: this_place(conn, positions).await?,
        status: Status::Pending { due: now },
        progress: Progress::new(now),
        is_urgent: true,
        is_later: old.event.is_some(),
        created_at: now,
        modified_at: now,
        success: None,
        is_fresh: false,
        ..old.clone()
    };
    moves::enqueue(conn, std::iter::once(&new)).await?;
    Ok(new)
}

async fn keep_body(conn: &Conn, test: &Stored, body: &Bytes) -> Outcome<()> {
    conn.execute(
        "INSERT INTO postrider.tests (account, delivery, body) VALUES ($1, $2, $3)",
        &[&Uuid::from_u128(test.account.as_u128()), &test.key(), &Blob(body)],
    )
    .await?;
    Ok(())
}

/// The first place of this transaction.
pub(crate) async fn this_place(conn: &Conn, positions: Positions) -> Outcome<Position> {
    let row = conn.query_one(&format!("SELECT {XID} + $1"), &[&positions.base]).await?;
    Ok(Positions::stored(row.try_get(0)?, 0))
}

async fn tell(conn: &Conn, positions: Positions, stored: &Stored) -> Outcome<()> {
    changes::note_delivery(conn, positions, stored.account, stored.webhook, stored.id).await
}
