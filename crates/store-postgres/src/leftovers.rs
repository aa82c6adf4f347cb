//! What else goes with time: answers under idempotency keys, ended jobs, what the feed told long ago, tombstones.

use std::time::Duration;

use postrider_model::id::WebhookId;
use postrider_model::slot::Slot;
use postrider_ports::store::Retire;
use uuid::Uuid;

use crate::conn::Conn;
use crate::fault::Outcome;
use crate::param::Array;
use crate::retention::Budget;

/// How long the feed tells of a change: a node that has not asked for so long has lost its leases long ago, and is told of everything.
const FEED_TIME: Duration = Duration::from_secs(3600);
/// Tombstones of webhooks that one step looks at.
const TOMBSTONES_MAX: i64 = 1_000;

/// Takes away what is old, as far as the step may.
pub(crate) async fn clear(conn: &Conn, ask: &Retire, budget: &mut Budget) -> Outcome<()> {
    let (before, now) = (ask.before.as_millis(), ask.now.as_millis());
    let told = (ask.now - FEED_TIME).as_millis();
    let statements: [(&str, i64); 3] = [
        (
            "DELETE FROM postrider.kept_answers k USING (
                 SELECT owner, key FROM postrider.kept_answers WHERE ends_at <= $1 ORDER BY ends_at LIMIT $2
             ) AS old WHERE k.owner = old.owner AND k.key = old.key AND k.ends_at <= $1",
            now,
        ),
        (
            "DELETE FROM postrider.jobs j USING (
                 SELECT account, id FROM postrider.jobs WHERE ended_at < $1 ORDER BY ended_at LIMIT $2
             ) AS old WHERE j.account = old.account AND j.id = old.id",
            before,
        ),
        // The oldest first, and as long as they are old: no index by time is needed. Up to where is noted, for whoever asks from before it
        // was cut off for so long that it has to take everything for changed.
        (
            "WITH gone AS (
                 DELETE FROM postrider.changes c USING (
                     SELECT major, place FROM (SELECT major, place, at FROM postrider.changes ORDER BY major, place LIMIT $2) AS first
                     WHERE at < $1
                 ) AS old WHERE c.major = old.major AND c.place = old.place RETURNING c.major
             ), noted AS (
                 UPDATE postrider.changes_trimmed t SET major = greatest(t.major, last.major)
                 FROM (SELECT max(major) AS major FROM gone) AS last WHERE last.major IS NOT NULL
             )
             SELECT FROM gone",
            told,
        ),
    ];
    for (sql, time) in statements {
        if !budget.is_spent() {
            budget.write(conn.execute(sql, &[&time, &budget.limit()]).await?);
        }
    }
    if !budget.is_spent() {
        webhooks(conn, ask, budget).await?;
    }
    if !budget.is_spent() {
        // As long as anything is kept: a node that was cut off hears of each account that there is a row of, and may know this one still.
        let accounts = "DELETE FROM postrider.accounts WHERE id IN (
                 SELECT id FROM postrider.accounts WHERE is_erased AND deleted_at < $1 LIMIT $2)";
        budget.write(conn.execute(accounts, &[&told.min(before), &budget.limit()]).await?);
    }
    Ok(())
}

/// Deleted webhooks for which nothing is left to be ended or made.
async fn webhooks(conn: &Conn, ask: &Retire, budget: &mut Budget) -> Outcome<()> {
    let limit = budget.limit().min(TOMBSTONES_MAX);
    let rows = conn
        .query(
            "SELECT account, id FROM postrider.webhooks w WHERE deleted_at < $1
             AND NOT EXISTS (SELECT FROM postrider.fanouts f WHERE f.account = w.account)
             AND NOT EXISTS (SELECT FROM postrider.stopping s WHERE s.account = w.account AND s.webhook = w.id) LIMIT $2",
            &[&ask.before.as_millis(), &limit],
        )
        .await?;
    if rows.is_empty() {
        return Ok(());
    }
    let (mut accounts, mut ids, mut slots) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let (account, id): (Uuid, Uuid) = (row.try_get(0)?, row.try_get(1)?);
        accounts.push(account);
        ids.push(id);
        slots.push(Slot::of(WebhookId::from_u128(id.as_u128())).number().cast_signed());
    }
    let sql = "DELETE FROM postrider.webhooks w USING unnest($1::uuid[], $2::uuid[], $3::smallint[]) AS old (account, id, slot)
         WHERE w.account = old.account AND w.id = old.id AND NOT EXISTS (
             SELECT FROM postrider.queue q WHERE q.slot = old.slot AND q.account = old.account AND q.webhook = old.id)";
    budget.write(conn.execute(sql, &[&Array(accounts), &Array(ids), &Array(slots)]).await?);
    Ok(())
}
