//! Ends what waits for deleted webhooks and accounts, in steps. Several nodes may do it at once: each takes what no other has.

use postrider_model::delivery::Change;
use postrider_model::id::{AccountId, WebhookId};
use postrider_model::time::Timestamp;
use postrider_ports::StoreError;
use uuid::Uuid;

use crate::conn::Conn;
use crate::deliveries::{self, PENDING, Stored, slot_column};
use crate::fault::{Outcome, corrupt};
use crate::moves;
use crate::param::Array;
use crate::partitions;
use crate::position::{Positions, XID, XMAX, XMIN};
use crate::queue::TURN;
use crate::store::{Inner, PostgresStore};

/// Deleted webhooks that one step looks at.
const WEBHOOKS_MAX: i64 = 5_000;

/// A deleted webhook whose pending deliveries are to be ended.
struct Stopping {
    account: Uuid,
    webhook: Uuid,
    slot: i16,
    /// Of the transaction that deleted it.
    major: i64,
}

/// One step. Where a day has no partition (any more) for what is to end in it, it is made.
pub(crate) async fn stop_deleted(store: &PostgresStore, rows_max: usize, now: Timestamp) -> Result<bool, StoreError> {
    let mut is_second = false;
    loop {
        let conn = store.begin().await?;
        let mut ended = Vec::new();
        let done = step(&conn, &store.inner, (rows_max, now), &mut ended).await;
        let is_missing = matches!(&done, Err(fault) if fault.is_missing_partition());
        let answer = conn.end(done).await;
        if !is_missing || is_second {
            return answer;
        }
        drop(conn);
        partitions::ensure_for(store, ended).await?;
        is_second = true;
    }
}

/// One step of at most `rows_max` deliveries, within a transaction: of some webhooks, and when nothing of those waits any more, of those
/// that come next. For they stay while anybody has an old snapshot open, and must not be in the way of others. True where there is more to
/// do. What it ends is noted in `ended`: their partitions are missing where it fails so.
async fn step(conn: &Conn, inner: &Inner, (rows_max, now): (usize, Timestamp), ended: &mut Vec<u128>) -> Outcome<bool> {
    let behind = *inner.stopped_through.lock();
    let stopping = take(conn, behind).await?;
    let is_page_full = stopping.len() >= usize::try_from(WEBHOOKS_MAX).unwrap_or(usize::MAX);
    let next = stopping.last().filter(|_| is_page_full).map(|last| (last.account, last.webhook));
    if stopping.is_empty() {
        *inner.stopped_through.lock() = None;
        return Ok(false);
    }
    // Before the queue is read: what was brought by who had ended by then, is seen there.
    let oldest = oldest_snapshot(conn, inner.positions).await?;
    let pending = hold_pending(conn, &stopping, rows_max).await?;
    ended.extend(pending.iter().map(|stored| stored.id.as_u128()));
    let is_full = pending.len() >= rows_max;
    stop(conn, pending, now).await?;
    let quiet: Vec<Stopping> = stopping.into_iter().filter(|one| one.major < oldest).collect();
    forget_empty(conn, &quiet).await?;
    if !is_full {
        *inner.stopped_through.lock() = next;
    }
    Ok(is_full || next.is_some())
}

/// Those that no other node has, behind a place in their order. From here on this transaction has an id, and whoever began before one of
/// them was deleted, an earlier one.
async fn take(conn: &Conn, behind: Option<(Uuid, Uuid)>) -> Outcome<Vec<Stopping>> {
    let (account, webhook) = behind.unwrap_or_default();
    let rows = conn
        .query(
            "SELECT account, webhook, major FROM postrider.stopping WHERE (account, webhook) > ($2, $3)
             ORDER BY account, webhook LIMIT $1 FOR UPDATE SKIP LOCKED",
            &[&WEBHOOKS_MAX, &account, &webhook],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let webhook: Uuid = row.try_get(1)?;
            Ok(Stopping {
                account: row.try_get(0)?,
                webhook,
                slot: slot_column(WebhookId::from_u128(webhook.as_u128())),
                major: row.try_get(2)?,
            })
        })
        .collect()
}

/// The place of the oldest snapshot that somebody reads by: who has no id yet may bring what it fans out by that.
///
/// Sessions of other users of the server do not show theirs: all nodes must come as one user.
async fn oldest_snapshot(conn: &Conn, positions: Positions) -> Outcome<i64> {
    // Theirs have 32 bits: so many before the newest. What is ahead of it is no older than it.
    let sql = format!(
        "SELECT {XMAX} - coalesce(max(CASE WHEN behind < 2147483648 THEN behind END), 0) + $1
         FROM (SELECT ({XMAX} - backend_xmin::text::bigint) & 4294967295 AS behind FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_xmin IS NOT NULL) AS reader"
    );
    Ok(conn.query_one(&sql, &[&positions.base]).await?.try_get(0)?)
}

/// Pending deliveries of these webhooks. What an outcome is just being recorded of is passed over.
async fn hold_pending(conn: &Conn, stopping: &[Stopping], limit: usize) -> Outcome<Vec<Stored>> {
    let sql = format!(
        "SELECT {PENDING}, account
         FROM unnest($1::smallint[], $2::uuid[], $3::uuid[]) AS s (of_slot, of_account, of_webhook) CROSS JOIN LATERAL (
             SELECT * FROM postrider.queue q WHERE slot = of_slot AND account = of_account AND webhook = of_webhook
             ORDER BY {TURN}, q.major, q.minor LIMIT $4 FOR UPDATE SKIP LOCKED
         ) AS waits LIMIT $4"
    );
    let (slots, accounts, webhooks) = columns(stopping);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = conn.query(&sql, &[&slots, &accounts, &webhooks, &limit]).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let account: Uuid = row.try_get(deliveries::COLUMNS)?;
        found.push(deliveries::one_of(AccountId::from_u128(account.as_u128()), row)?);
    }
    Ok(found)
}

fn columns(stopping: &[Stopping]) -> (Array<i16>, Array<Uuid>, Array<Uuid>) {
    (
        stopping.iter().map(|one| one.slot).collect(),
        stopping.iter().map(|one| one.account).collect(),
        stopping.iter().map(|one| one.webhook).collect(),
    )
}

async fn stop(conn: &Conn, mut pending: Vec<Stored>, now: Timestamp) -> Outcome<()> {
    for stored in &mut pending {
        let after = stored
            .judged()
            .apply(Change::WebhookDeleted, now)
            .map_err(|_| corrupt("the queue has a delivery that is over"))?;
        stored.take(&after);
    }
    for of_account in pending.chunk_by(|one, next| one.account == next.account) {
        if let Some(first) = of_account.first() {
            moves::end(conn, first.account, of_account).await?;
        }
    }
    Ok(())
}

/// Of these nothing waits, and nobody can bring anything any more: no transaction is open that began before this one. Others stay, and are
/// looked at again.
async fn forget_empty(conn: &Conn, stopping: &[Stopping]) -> Outcome<()> {
    let (slots, accounts, webhooks) = columns(stopping);
    conn.execute(
        &format!(
            "DELETE FROM postrider.stopping s USING unnest($1::smallint[], $2::uuid[], $3::uuid[]) AS quiet (slot, account, webhook)
             WHERE s.account = quiet.account AND s.webhook = quiet.webhook
             AND NOT EXISTS (SELECT FROM postrider.queue q
                             WHERE q.slot = quiet.slot AND q.account = quiet.account AND q.webhook = quiet.webhook LIMIT 1)
             AND {XMIN} >= {XID}"
        ),
        &[&slots, &accounts, &webhooks],
    )
    .await?;
    Ok(())
}
