//! Deliveries read: pending in the queue, or ended in the history.

use bytes::Bytes;
use postrider_model::attempt::Attempt;
use postrider_model::delivery::{Delivery, DeliveryRecord, FailedReason, Progress, Status};
use postrider_model::id::{AccountId, DeliveryId, EventId, WebhookId};
use postrider_model::queue::{Position, Queued};
use postrider_model::slot::Slot;
use postrider_model::time::Timestamp;
use rustc_hash::FxHashMap;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::codec;
use crate::conn::Conn;
use crate::event_reads::{self, IdRange};
use crate::fault::{Outcome, corrupt};
use crate::param::Array;
use crate::position::Positions;
use crate::retention::DELIVERY_KEPT;

/// A pending delivery, as both kinds are read.
pub(crate) const PENDING: &str = "delivery AS id, webhook, event, major, minor, 0::smallint AS status, NULL::smallint AS failed_reason,
    due AS moment, attempts, schedule_base, schedule_began_at, is_urgent, is_later, created_at, modified_at, NULL::bytea AS success, is_fresh";
/// One that has ended.
pub(crate) const ENDED: &str = "id, webhook, event, major, minor, status, failed_reason,
    ended_at AS moment, attempts, schedule_base, schedule_began_at, false AS is_urgent, is_later, created_at, modified_at, success,
    false AS is_fresh";
/// How many columns that is.
pub(crate) const COLUMNS: usize = 17;
/// Which row of the queue: `$1` is its account, `$2` its id. The order names the one index that begins with both; another that begins with
/// the account looks as good where the queue was empty when it was last cleaned up.
pub(crate) const IN_QUEUE: &str = "account = $1 AND delivery BETWEEN $2 AND $2 ORDER BY delivery LIMIT 1";

/// `status` of a row that has ended.
pub(crate) const SUCCEEDED: i16 = 1;
pub(crate) const FAILED: i16 = 2;
const WAITS: i16 = 0;

/// A delivery as its row has it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) id: DeliveryId,
    pub(crate) account: AccountId,
    pub(crate) webhook: WebhookId,
    /// The key of its event; `None` for a test.
    pub(crate) event: Option<Uuid>,
    pub(crate) position: Position,
    pub(crate) status: Status,
    pub(crate) progress: Progress,
    pub(crate) is_urgent: bool,
    /// It was made after its event was stored.
    pub(crate) is_later: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) modified_at: Timestamp,
    /// The attempt that was acknowledged, as bytes.
    pub(crate) success: Option<Vec<u8>>,
    /// Due since it came to the queue, with the transaction of its place.
    pub(crate) is_fresh: bool,
}

impl Stored {
    /// What `Delivery::apply` judges. It asks nothing of the event, which is left out.
    pub(crate) const fn judged(&self) -> Delivery {
        Delivery {
            id: self.id,
            account: self.account,
            webhook: self.webhook,
            event: None,
            status: self.status,
            progress: self.progress,
            created_at: self.created_at,
            modified_at: self.modified_at,
        }
    }

    /// Takes over what of a delivery changes.
    pub(crate) const fn take(&mut self, delivery: &Delivery) {
        self.status = delivery.status;
        self.progress = delivery.progress;
        self.modified_at = delivery.modified_at;
    }

    /// As it goes to its lane; `None` where it is not pending.
    pub(crate) fn queued(&self, event: Option<EventId>, body: Bytes) -> Option<Queued> {
        let Status::Pending { due } = self.status else {
            return None;
        };
        Some(Queued {
            delivery: self.id,
            account: self.account,
            webhook: self.webhook,
            event,
            progress: self.progress,
            due,
            is_urgent: self.is_urgent,
            position: self.position,
            body,
        })
    }

    /// Its id as columns have it.
    pub(crate) const fn key(&self) -> Uuid {
        Uuid::from_u128(self.id.as_u128())
    }
}

/// Finds a delivery of an account, wherever it stands: in one snapshot, for it may go from one place to the other.
pub(crate) async fn find(conn: &Conn, account: AccountId, id: DeliveryId) -> Outcome<Option<Stored>> {
    let sql = format!(
        "(SELECT {PENDING} FROM postrider.queue WHERE {IN_QUEUE})
         UNION ALL SELECT {ENDED} FROM postrider.deliveries WHERE account = $1 AND id = $2 AND {DELIVERY_KEPT}"
    );
    let owner = Uuid::from_u128(account.as_u128());
    let rows = conn.query(&sql, &[&owner, &Uuid::from_u128(id.as_u128())]).await?;
    Ok(stored_of(account, &rows)?.into_iter().next())
}

/// The rows that were read as `PENDING` or `ENDED`.
pub(crate) fn stored_of(account: AccountId, rows: &[Row]) -> Outcome<Vec<Stored>> {
    rows.iter().map(|row| one_of(account, row)).collect()
}

/// One such row.
pub(crate) fn one_of(account: AccountId, row: &Row) -> Outcome<Stored> {
    let count = |column: usize| -> Outcome<u32> { Ok(row.try_get::<_, i32>(column)?.unsigned_abs()) };
    let time = |column: usize| -> Outcome<Timestamp> { Ok(Timestamp::from_millis(row.try_get(column)?)) };
    let moment = time(7)?;
    Ok(Stored {
        id: DeliveryId::from_u128(row.try_get::<_, Uuid>(0)?.as_u128()),
        account,
        webhook: WebhookId::from_u128(row.try_get::<_, Uuid>(1)?.as_u128()),
        event: row.try_get(2)?,
        position: Positions::stored(row.try_get(3)?, row.try_get(4)?),
        status: match row.try_get::<_, i16>(5)? {
            WAITS => Status::Pending { due: moment },
            SUCCEEDED => Status::Succeeded { at: moment },
            FAILED => Status::Failed {
                at: moment,
                reason: reason_of(row.try_get(6)?).ok_or_else(|| corrupt("a delivery failed for an unknown reason"))?,
            },
            _ => return Err(corrupt("a delivery has an unknown status")),
        },
        progress: Progress {
            attempts: count(8)?,
            schedule_base: count(9)?,
            schedule_began_at: time(10)?,
        },
        is_urgent: row.try_get(11)?,
        is_later: row.try_get(12)?,
        created_at: time(13)?,
        modified_at: time(14)?,
        success: row.try_get(15)?,
        is_fresh: row.try_get(16)?,
    })
}

/// The slot of a webhook, as its column holds it.
pub(crate) fn slot_column(webhook: WebhookId) -> i16 {
    i16::try_from(Slot::of(webhook).number()).unwrap_or(i16::MAX)
}

fn reason_of(code: Option<i16>) -> Option<FailedReason> {
    code.and_then(|code| u8::try_from(code).ok()).and_then(FailedReason::from_code)
}

/// What some deliveries carry, and their attempts.
#[derive(Default)]
pub(crate) struct Carried {
    /// At most one for each of the rows that were asked for, by its key.
    events: FxHashMap<Uuid, (EventId, Bytes)>,
    /// At most one for each of those rows too, by its delivery.
    tests: FxHashMap<Uuid, Bytes>,
    /// But those in `Stored::success`; by their deliveries: at most one entry for each of the rows.
    attempts: FxHashMap<Uuid, Vec<Attempt>>,
}

const OF_EVENT: i32 = 0;
const OF_TEST: i32 = 1;

impl Carried {
    /// Reads it, in one statement.
    pub(crate) async fn read(conn: &Conn, account: AccountId, rows: &[Stored]) -> Outcome<Self> {
        let mut carried = Self::default();
        if rows.is_empty() {
            return Ok(carried);
        }
        let mut events: Vec<Uuid> = rows.iter().filter_map(|row| row.event).collect();
        events.sort_unstable();
        events.dedup();
        let tests: Vec<Uuid> = rows.iter().filter(|row| row.event.is_none()).map(Stored::key).collect();
        // Without an attempt there is none to look for: most of what waits has none.
        let tried: Vec<Uuid> = rows.iter().filter(|row| row.progress.attempts > 0).map(Stored::key).collect();
        let (of_events, of_tried) = (IdRange::of_ids(&events), IdRange::of_ids(&tried));
        let found = conn
            .query(
                "SELECT 0, id, own_id, body FROM postrider.events
                 WHERE account = $1 AND id = ANY($2) AND id BETWEEN $3 AND $4
                 UNION ALL SELECT 1, delivery, NULL, body FROM postrider.tests WHERE account = $1 AND delivery = ANY($5)
                 UNION ALL SELECT 2, delivery, number::text, attempt FROM postrider.attempts
                 WHERE account = $1 AND delivery = ANY($6) AND delivery BETWEEN $7 AND $8",
                &[
                    &Uuid::from_u128(account.as_u128()),
                    &Array(events),
                    &of_events.first,
                    &of_events.last,
                    &Array(tests),
                    &Array(tried),
                    &of_tried.first,
                    &of_tried.last,
                ],
            )
            .await?;
        for row in &found {
            carried.take(row)?;
        }
        Ok(carried)
    }

    fn take(&mut self, row: &Row) -> Outcome<()> {
        let key: Uuid = row.try_get(1)?;
        match row.try_get::<_, i32>(0)? {
            OF_EVENT => {
                let id = event_reads::id_of(key, row.try_get(2)?)?;
                self.events.insert(key, (id, event_reads::body_of(row, 3)?));
            }
            OF_TEST => {
                self.tests.insert(key, event_reads::body_of(row, 3)?);
            }
            _ => {
                let attempt = codec::decode_attempt(row.try_get(3)?).and_then(|attempt| match row.try_get::<_, &str>(2)? {
                    number if number == attempt.number.to_string() => Ok(attempt),
                    number => Err(corrupt(format!("number {number} is written as {}", attempt.number))),
                });
                let attempt = attempt.map_err(|fault| fault.of(|| format!("an attempt of {}", DeliveryId::from_u128(key.as_u128()))))?;
                self.attempts.entry(key).or_default().push(attempt);
            }
        }
        Ok(())
    }

    /// What a delivery carries; `None` where it is gone.
    pub(crate) fn of(&self, stored: &Stored) -> Option<(Option<EventId>, Bytes)> {
        match stored.event {
            Some(event) => self.events.get(&event).map(|(id, body)| (Some(id.clone()), body.clone())),
            None => self.tests.get(&stored.key()).map(|body| (None, body.clone())),
        }
    }

    /// Takes in the body of a test that was made since.
    pub(crate) fn add_test(&mut self, stored: &Stored, body: Bytes) {
        self.tests.insert(stored.key(), body);
    }

    /// A delivery with all that is shown of it.
    pub(crate) fn record(&mut self, stored: &Stored) -> Outcome<Option<DeliveryRecord>> {
        let Some((event, payload)) = self.of(stored) else {
            return Ok(None);
        };
        let mut attempts = self.attempts.remove(&stored.key()).unwrap_or_default();
        if let Some(success) = &stored.success {
            let success = codec::decode_attempt(success)?;
            // A success that came twice under one number counts before the failure.
            attempts.retain(|attempt| attempt.number != success.number);
            attempts.push(success);
        }
        attempts.sort_by_key(|attempt| attempt.number);
        let mut delivery = stored.judged();
        delivery.event = event;
        Ok(Some(DeliveryRecord {
            delivery,
            payload,
            attempts,
        }))
    }
}

/// One delivery of an account with all that is shown of it.
pub(crate) async fn shown(conn: &Conn, account: AccountId, id: DeliveryId) -> Outcome<Option<DeliveryRecord>> {
    let Some(stored) = find(conn, account, id).await? else {
        return Ok(None);
    };
    Ok(records(conn, account, vec![stored]).await?.into_iter().next())
}

/// Deliveries with all that is shown of them. What carries nothing any more is left out.
pub(crate) async fn records(conn: &Conn, account: AccountId, rows: Vec<Stored>) -> Outcome<Vec<DeliveryRecord>> {
    let mut carried = Carried::read(conn, account, &rows).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        found.extend(carried.record(row)?);
    }
    Ok(found)
}
