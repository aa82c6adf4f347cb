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
use crate::partitions;
use crate::position::{Positions, XMAX};
use crate::store::PostgresStore;

/// A deleted webhook whose pending deliveries are to be ended.
struct Stopping {
    account: AccountId,
    webhook: WebhookId,
    /// Of the transaction that deleted it.
    major: i64,
}

/// One step. Where a day has no partition (any more) for what is to end in it, it is made.
pub(crate) async fn stop_deleted(store: &PostgresStore, rows_max: usize, now: Timestamp) -> Result<bool, StoreError> {
    let mut is_second = false;
    loop {
        let conn = store.begin().await?;
        let mut ended = Vec::new();
        let done = step(&conn, store.inner.positions, (rows_max, now), &mut ended).await;
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

/// One step of at most `rows_max` deliveries, within a transaction. True where there is more to do.
/// What it ends is noted in `ended`: their partitions are missing where it fails so.
async fn step(conn: &Conn, positions: Positions, (rows_max, now): (usize, Timestamp), ended: &mut Vec<u128>) -> Outcome<bool> {
    let mut room = rows_max;
    let mut after = (Uuid::nil(), Uuid::nil());
    let mut was_full = false;
    while let Some(stopping) = next(conn, after).await? {
        if room == 0 {
            return Ok(true);
        }
        after = stopping.key();
        // Before the queue is read: what was brought by who had ended by then, is seen there.
        let readers = Readers::look(conn, positions).await?;
        let pending = hold_pending(conn, &stopping, room).await?;
        ended.extend(pending.iter().map(|stored| stored.id.as_u128()));
        stop(conn, &stopping, &pending, now).await?;
        // Fewer than there was room for: these were all that no other transaction holds.
        was_full = pending.len() >= room;
        if !was_full && stopping.major < readers.oldest {
            forget_if_empty(conn, &stopping, &readers).await?;
        }
        // A webhook without work costs a row too, so that a step stays small.
        room = room.saturating_sub(pending.len().max(1));
    }
    Ok(was_full)
}

impl Stopping {
    const fn key(&self) -> (Uuid, Uuid) {
        (Uuid::from_u128(self.account.as_u128()), Uuid::from_u128(self.webhook.as_u128()))
    }
}

/// Who may still bring what it fanned out by a state that others have left behind.
struct Readers {
    /// The place of the oldest snapshot that is read by.
    oldest: i64,
    /// Every transaction that has an id by now has one before this.
    next_xid: i64,
}

impl Readers {
    /// Sessions of other users of the server do not show by which snapshot they read: all nodes must come as one user.
    async fn look(conn: &Conn, positions: Positions) -> Outcome<Self> {
        // Theirs have 32 bits: so many before the newest. What is ahead of it is no older than it.
        let sql = format!(
            "SELECT {XMAX} - coalesce(max(CASE WHEN behind < 2147483648 THEN behind END), 0) + $1, {XMAX}
             FROM (SELECT ({XMAX} - backend_xmin::text::bigint) & 4294967295 AS behind FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_xmin IS NOT NULL) AS reader"
        );
        let row = conn.query_one(&sql, &[&positions.base]).await?;
        Ok(Self {
            oldest: row.try_get(0)?,
            next_xid: row.try_get(1)?,
        })
    }
}

/// The next webhook that no other node has.
async fn next(conn: &Conn, after: (Uuid, Uuid)) -> Outcome<Option<Stopping>> {
    let row = conn
        .query_opt(
            "SELECT account, webhook, major FROM postrider.stopping WHERE (account, webhook) > ($1, $2)
             ORDER BY account, webhook LIMIT 1 FOR UPDATE SKIP LOCKED",
            &[&after.0, &after.1],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Stopping {
        account: AccountId::from_u128(row.try_get::<_, Uuid>(0)?.as_u128()),
        webhook: WebhookId::from_u128(row.try_get::<_, Uuid>(1)?.as_u128()),
        major: row.try_get(2)?,
    }))
}

/// Pending deliveries of a webhook. What an outcome is just being recorded of is passed over.
async fn hold_pending(conn: &Conn, stopping: &Stopping, limit: usize) -> Outcome<Vec<Stored>> {
    let sql =
        format!("SELECT {PENDING} FROM postrider.queue WHERE slot = $1 AND account = $2 AND webhook = $3 LIMIT $4 FOR UPDATE SKIP LOCKED");
    let (account, webhook) = stopping.key();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = conn
        .query(&sql, &[&slot_column(stopping.webhook), &account, &webhook, &limit])
        .await?;
    deliveries::stored_of(stopping.account, &rows)
}

async fn stop(conn: &Conn, stopping: &Stopping, pending: &[Stored], now: Timestamp) -> Outcome<()> {
    if pending.is_empty() {
        return Ok(());
    }
    let mut ended = pending.to_vec();
    for stored in &mut ended {
        let after = stored
            .judged()
            .apply(Change::WebhookDeleted, now)
            .map_err(|_| corrupt("the queue has a delivery that is over"))?;
        stored.take(&after);
    }
    moves::end(conn, stopping.account, &ended).await
}

/// Nothing waits for it, and nobody can bring anything any more: no transaction is open that was when the readers were looked at.
async fn forget_if_empty(conn: &Conn, stopping: &Stopping, readers: &Readers) -> Outcome<()> {
    let (account, webhook) = stopping.key();
    conn.execute(
        "DELETE FROM postrider.stopping WHERE account = $2 AND webhook = $3
         AND NOT EXISTS (SELECT FROM postrider.queue WHERE slot = $1 AND account = $2 AND webhook = $3)
         AND NOT EXISTS (SELECT FROM pg_snapshot_xip(pg_current_snapshot()) AS open WHERE open::text::bigint < $4)",
        &[&slot_column(stopping.webhook), &account, &webhook, &readers.next_xid],
    )
    .await?;
    Ok(())
}
