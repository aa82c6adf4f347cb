//! Deliveries written: to the queue, back to it, and from it to the history. Their rows are held by the caller's transaction.

use postrider_model::delivery::Status;
use postrider_model::id::AccountId;
use postrider_model::time::Timestamp;
use uuid::Uuid;

use crate::conn::Conn;
use crate::deliveries::{FAILED, SUCCEEDED, Stored, slot_column};
use crate::event_reads::IdRange;
use crate::fault::Outcome;
use crate::param::{Array, Nullable};
use crate::position;

/// Columns that both places have.
struct Columns {
    ids: Array<Uuid>,
    webhooks: Array<Uuid>,
    events: Nullable<Uuid>,
    majors: Array<i64>,
    minors: Array<i32>,
    attempts: Array<i32>,
    bases: Array<i32>,
    began_at: Array<i64>,
    is_later: Array<bool>,
    created_at: Array<i64>,
    modified_at: Array<i64>,
}

impl Columns {
    fn of(rows: &[Stored]) -> Self {
        let place = |row: &Stored| position::columns(row.position);
        let count = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        Self {
            ids: rows.iter().map(Stored::key).collect(),
            webhooks: rows.iter().map(|row| Uuid::from_u128(row.webhook.as_u128())).collect(),
            events: rows.iter().map(|row| row.event).collect(),
            majors: rows.iter().map(|row| place(row).0).collect(),
            minors: rows.iter().map(|row| place(row).1).collect(),
            attempts: rows.iter().map(|row| count(row.progress.attempts)).collect(),
            bases: rows.iter().map(|row| count(row.progress.schedule_base)).collect(),
            began_at: rows.iter().map(|row| row.progress.schedule_began_at.as_millis()).collect(),
            is_later: rows.iter().map(|row| row.is_later).collect(),
            created_at: rows.iter().map(|row| row.created_at.as_millis()).collect(),
            modified_at: rows.iter().map(|row| row.modified_at.as_millis()).collect(),
        }
    }
}

/// Brings deliveries to the queue.
pub(crate) async fn enqueue(conn: &Conn, account: AccountId, rows: &[Stored]) -> Outcome<()> {
    let due = |row: &Stored| match row.status {
        Status::Pending { due } => due.as_millis(),
        Status::Succeeded { at } | Status::Failed { at, .. } => at.as_millis(),
    };
    let all = Columns::of(rows);
    let slots: Array<i16> = rows.iter().map(|row| slot_column(row.webhook)).collect();
    let due: Array<i64> = rows.iter().map(due).collect();
    let is_urgent: Array<bool> = rows.iter().map(|row| row.is_urgent).collect();
    let is_fresh: Array<bool> = rows.iter().map(|row| row.is_fresh).collect();
    conn.execute(
        "INSERT INTO postrider.queue (account, delivery, webhook, event, major, minor, attempts, schedule_base, schedule_began_at,
                                      is_later, created_at, modified_at, slot, due, is_urgent, is_fresh)
         SELECT $1, q.* FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::integer[], $7::integer[], $8::integer[],
                                    $9::bigint[], $10::boolean[], $11::bigint[], $12::bigint[], $13::smallint[], $14::bigint[],
                                    $15::boolean[], $16::boolean[]) AS q",
        &[
            &Uuid::from_u128(account.as_u128()),
            &all.ids,
            &all.webhooks,
            &all.events,
            &all.majors,
            &all.minors,
            &all.attempts,
            &all.bases,
            &all.began_at,
            &all.is_later,
            &all.created_at,
            &all.modified_at,
            &slots,
            &due,
            &is_urgent,
            &is_fresh,
        ],
    )
    .await?;
    Ok(())
}

/// Takes deliveries out of the history and brings them to the queue.
pub(crate) async fn bring_back(conn: &Conn, account: AccountId, rows: &[Stored]) -> Outcome<()> {
    let ids: Vec<Uuid> = rows.iter().map(Stored::key).collect();
    let range = IdRange::of_ids(&ids);
    conn.execute(
        "DELETE FROM postrider.deliveries WHERE account = $1 AND id = ANY($2) AND id BETWEEN $3 AND $4",
        &[&Uuid::from_u128(account.as_u128()), &Array(ids), &range.first, &range.last],
    )
    .await?;
    enqueue(conn, account, rows).await
}

/// Makes a delivery due that is in the queue already.
pub(crate) async fn hasten(conn: &Conn, stored: &Stored, due: Timestamp) -> Outcome<()> {
    conn.execute(
        "UPDATE postrider.queue SET due = $3, is_urgent = $4, is_fresh = $5, modified_at = $6 WHERE account = $1 AND delivery = $2",
        &[
            &Uuid::from_u128(stored.account.as_u128()),
            &stored.key(),
            &due.as_millis(),
            &stored.is_urgent,
            &stored.is_fresh,
            &stored.modified_at.as_millis(),
        ],
    )
    .await?;
    Ok(())
}

/// Takes deliveries that have ended out of the queue, and puts them into the history.
pub(crate) async fn end(conn: &Conn, account: AccountId, rows: &[Stored]) -> Outcome<()> {
    let outcome = |row: &Stored| match row.status {
        Status::Succeeded { at } | Status::Pending { due: at } => (SUCCEEDED, None, at.as_millis()),
        Status::Failed { at, reason } => (FAILED, Some(reason as i16), at.as_millis()),
    };
    let all = Columns::of(rows);
    let status: Array<i16> = rows.iter().map(|row| outcome(row).0).collect();
    let reasons: Nullable<i16> = rows.iter().map(|row| outcome(row).1).collect();
    let ended_at: Array<i64> = rows.iter().map(|row| outcome(row).2).collect();
    conn.execute(
        "WITH gone AS (DELETE FROM postrider.queue WHERE account = $1 AND delivery = ANY($2))
         INSERT INTO postrider.deliveries (account, id, webhook, event, major, minor, attempts, schedule_base, schedule_began_at,
                                           is_later, created_at, modified_at, status, failed_reason, ended_at)
         SELECT $1, d.* FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::integer[], $7::integer[], $8::integer[],
                                    $9::bigint[], $10::boolean[], $11::bigint[], $12::bigint[], $13::smallint[], $14::smallint[],
                                    $15::bigint[]) AS d",
        &[
            &Uuid::from_u128(account.as_u128()),
            &all.ids,
            &all.webhooks,
            &all.events,
            &all.majors,
            &all.minors,
            &all.attempts,
            &all.bases,
            &all.began_at,
            &all.is_later,
            &all.created_at,
            &all.modified_at,
            &status,
            &reasons,
            &ended_at,
        ],
    )
    .await?;
    Ok(())
}
