//! Deliveries written: to the queue, back to it, and from it to the history. Their rows are held by the caller's transaction.

use std::sync::LazyLock;

use postrider_model::delivery::Status;
use postrider_model::id::AccountId;
use postrider_model::time::Timestamp;
use uuid::Uuid;

use crate::conn::Conn;
use crate::deliveries::{FAILED, IN_QUEUE, SUCCEEDED, Stored, slot_column};
use crate::event_reads::IdRange;
use crate::fault::Outcome;
use crate::param::{Array, Blob, Nullable, Param};
use crate::position;
use crate::rows::{account_column, webhook_column};

/// Columns that both places have.
struct Columns {
    accounts: Array<Uuid>,
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

/// Their names but for the delivery's own, and their types, in that order.
const NAMES: &str = "webhook, event, major, minor, attempts, schedule_base, schedule_began_at, is_later, created_at, modified_at";
const ARRAYS: &str =
    "$1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::integer[], $7::integer[], $8::integer[], $9::bigint[],
     $10::boolean[], $11::bigint[], $12::bigint[]";

impl Columns {
    fn of<'a>(rows: impl Iterator<Item = &'a Stored> + Clone) -> Self {
        let place = |row: &Stored| position::columns(row.position);
        let count = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        let each = || rows.clone();
        Self {
            accounts: each().map(|row| account_column(row.account)).collect(),
            ids: each().map(Stored::key).collect(),
            webhooks: each().map(|row| webhook_column(row.webhook)).collect(),
            events: each().map(|row| row.event).collect(),
            majors: each().map(|row| place(row).0).collect(),
            minors: each().map(|row| place(row).1).collect(),
            attempts: each().map(|row| count(row.progress.attempts)).collect(),
            bases: each().map(|row| count(row.progress.schedule_base)).collect(),
            began_at: each().map(|row| row.progress.schedule_began_at.as_millis()).collect(),
            is_later: each().map(|row| row.is_later).collect(),
            created_at: each().map(|row| row.created_at.as_millis()).collect(),
            modified_at: each().map(|row| row.modified_at.as_millis()).collect(),
        }
    }

    /// These, and what one of the two places has besides.
    fn and<'a>(&'a self, more: &[&'a dyn Param]) -> Vec<&'a dyn Param> {
        let mut params: Vec<&dyn Param> = vec![
            &self.accounts,
            &self.ids,
            &self.webhooks,
            &self.events,
            &self.majors,
            &self.minors,
            &self.attempts,
            &self.bases,
            &self.began_at,
            &self.is_later,
            &self.created_at,
            &self.modified_at,
        ];
        params.extend_from_slice(more);
        params
    }
}

static ENQUEUE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO postrider.queue (account, delivery, {NAMES}, slot, due, is_urgent, is_fresh)
         SELECT * FROM unnest({ARRAYS}, $13::smallint[], $14::bigint[], $15::boolean[], $16::boolean[])"
    )
});

static KEEP: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO postrider.deliveries (account, id, {NAMES}, status, failed_reason, ended_at, success)
         SELECT * FROM unnest({ARRAYS}, $13::smallint[], $14::smallint[], $15::bigint[], $16::bytea[])"
    )
});

static END: LazyLock<String> = LazyLock::new(|| {
    let keep = &*KEEP;
    // Each is looked up by itself, in the order that one index alone has: see `IN_QUEUE`.
    format!(
        "WITH gone AS (
             DELETE FROM postrider.queue q USING (
                 SELECT f.ctid FROM unnest($2::uuid[]) AS ended (id) CROSS JOIN LATERAL (
                     SELECT f.ctid FROM postrider.queue f
                     WHERE f.account = $17 AND f.delivery BETWEEN ended.id AND ended.id ORDER BY f.delivery LIMIT 1
                 ) AS f
             ) AS found WHERE q.account = $17 AND q.ctid = found.ctid
         ) {keep}"
    )
});

/// Brings deliveries to the queue.
pub(crate) async fn enqueue<'a>(conn: &Conn, rows: impl Iterator<Item = &'a Stored> + Clone) -> Outcome<()> {
    let all = Columns::of(rows.clone());
    let slots: Array<i16> = rows.clone().map(|row| slot_column(row.webhook)).collect();
    let due: Array<i64> = rows.clone().map(moment).collect();
    let is_urgent: Array<bool> = rows.clone().map(|row| row.is_urgent).collect();
    let is_fresh: Array<bool> = rows.map(|row| row.is_fresh).collect();
    conn.execute(&ENQUEUE, &all.and(&[&slots, &due, &is_urgent, &is_fresh])).await?;
    Ok(())
}

/// Takes deliveries of an account out of the history and brings them to the queue.
pub(crate) async fn bring_back(conn: &Conn, account: AccountId, rows: &[Stored]) -> Outcome<()> {
    let ids: Vec<Uuid> = rows.iter().map(Stored::key).collect();
    let range = IdRange::of_ids(&ids);
    conn.execute(
        "DELETE FROM postrider.deliveries WHERE account = $1 AND id = ANY($2) AND id BETWEEN $3 AND $4",
        &[&account_column(account), &Array(ids), &range.first, &range.last],
    )
    .await?;
    enqueue(conn, rows.iter()).await
}

/// Makes a delivery due that is in the queue already.
pub(crate) async fn hasten(conn: &Conn, stored: &Stored, due: Timestamp) -> Outcome<()> {
    conn.execute(
        &format!(
            "UPDATE postrider.queue SET due = $3, is_urgent = $4, is_fresh = $5, modified_at = $6
             WHERE account = $1 AND ctid = (SELECT ctid FROM postrider.queue WHERE {IN_QUEUE})"
        ),
        &[
            &account_column(stored.account),
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

/// Puts deliveries that have ended into the history.
pub(crate) async fn keep<'a>(conn: &Conn, rows: impl Iterator<Item = &'a Stored> + Clone) -> Outcome<()> {
    write_ended(conn, (&KEEP, None), rows).await
}

/// Takes deliveries of an account that have ended out of the queue, and puts them into the history.
pub(crate) async fn end(conn: &Conn, account: AccountId, rows: &[Stored]) -> Outcome<()> {
    write_ended(conn, (&END, Some(account)), rows.iter()).await
}

async fn write_ended<'a>(
    conn: &Conn,
    (sql, account): (&str, Option<AccountId>),
    rows: impl Iterator<Item = &'a Stored> + Clone,
) -> Outcome<()> {
    let outcome = |row: &Stored| match row.status {
        Status::Succeeded { .. } | Status::Pending { .. } => (SUCCEEDED, None),
        Status::Failed { reason, .. } => (FAILED, Some(reason as i16)),
    };
    let all = Columns::of(rows.clone());
    let status: Array<i16> = rows.clone().map(|row| outcome(row).0).collect();
    let reasons: Nullable<i16> = rows.clone().map(|row| outcome(row).1).collect();
    let ended_at: Array<i64> = rows.clone().map(moment).collect();
    let successes: Nullable<Blob<'_>> = rows.map(|row| row.success.as_deref().map(Blob)).collect();
    let mut params = all.and(&[&status, &reasons, &ended_at, &successes]);
    let account = account.map(account_column);
    params.extend(account.as_ref().map(|account| account as &dyn Param));
    conn.execute(sql, &params).await?;
    Ok(())
}

/// When it is due, or has ended.
const fn moment(row: &Stored) -> i64 {
    match row.status {
        Status::Pending { due: at } | Status::Succeeded { at } | Status::Failed { at, .. } => at.as_millis(),
    }
}
