//! What else goes with time: answers under idempotency keys, ended jobs, tombstones, urls that nothing names any more; and the room that they leave in the file.

use std::time::Duration;

use postrider_ports::store::Retire;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::fault::Outcome;
use crate::kept;
use crate::retention::{self, Budget};
use crate::tx::{Tx, URL_STEP, as_integer};

/// How long the feed tells of an account after it was deleted: every reader of the feed asks more often than that.
const FEED_TIME: Duration = Duration::from_secs(3600);
/// Free pages that the file keeps however small it is (8 MiB): they are used again.
const FREE_PAGES_KEPT: i64 = 2_048;
/// The file gives pages back where more than one in so many is free.
const FREE_SHARE: i64 = 8;
/// Pages that one step gives back.
const SHRINK_PAGES: u32 = 64;

/// Takes away what is old, as far as the step may.
pub(crate) fn clear(tx: &mut Tx<'_>, ask: &Retire, budget: &mut Budget) -> Outcome<()> {
    let conn = tx.conn;
    kept::purge(conn, ask.now, budget)?;
    let jobs = conn
        .prepare_cached("DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE ended_at < ? LIMIT ?)")?
        .execute(params![ask.before.as_millis(), budget.rows()])?;
    budget.write(jobs);
    budget.write(tombstones(conn, ask, budget.rows())?);
    budget.write(accounts(conn, ask)?);
    let floor = retention::floor(conn)?.saturating_sub(as_integer(URL_STEP));
    let urls = conn
        .prepare_cached("DELETE FROM urls WHERE number IN (SELECT number FROM urls WHERE used < ? LIMIT ?)")?
        .execute([floor, budget.rows()])?;
    if urls > 0 {
        tx.forget_urls();
    }
    budget.write(urls);
    Ok(())
}

/// Deleted webhooks for which nothing is left to be ended or made.
fn tombstones(conn: &Connection, ask: &Retire, limit: i64) -> Outcome<usize> {
    Ok(conn
        .prepare_cached(
            "DELETE FROM webhooks WHERE id IN (
                 SELECT w.id FROM webhooks w WHERE w.deleted_at < ?1
                 AND NOT EXISTS (SELECT 1 FROM fanouts)
                 AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.webhook = w.id)
                 AND NOT EXISTS (SELECT 1 FROM stopping s WHERE s.webhook = w.id)
                 LIMIT ?2)",
        )?
        .execute(params![ask.before.as_millis(), limit])?)
}

/// The tombstone of an account that was erased, and what the feed told of it.
fn accounts(conn: &Connection, ask: &Retire) -> Outcome<usize> {
    let told = ask
        .now
        .as_millis()
        .saturating_sub(i64::try_from(FEED_TIME.as_millis()).unwrap_or(i64::MAX));
    let account: Option<[u8; 16]> = conn
        .prepare_cached("SELECT id FROM accounts WHERE is_erased = 1 AND deleted_at IS NOT NULL AND deleted_at < ? LIMIT 1")?
        .query_row([told], |row| row.get(0))
        .optional()?;
    let Some(account) = account else {
        return Ok(0);
    };
    let rows = conn.prepare_cached("DELETE FROM changes WHERE account = ?")?.execute([account])?;
    conn.prepare_cached("DELETE FROM accounts WHERE id = ?")?.execute([account])?;
    Ok(rows + 1)
}

/// Pages that the file is to give back.
pub(crate) fn excess(conn: &Connection) -> Outcome<i64> {
    let count = |name: &str| -> Outcome<i64> { Ok(conn.pragma_query_value(None, name, |row| row.get(0))?) };
    Ok(count("freelist_count")? - FREE_PAGES_KEPT.max(count("page_count")? / FREE_SHARE))
}

/// Gives some of them back.
pub(crate) fn shrink(conn: &Connection) -> Outcome<()> {
    // Each row that it answers is a page.
    let mut statement = conn.prepare_cached(&format!("PRAGMA incremental_vacuum({SHRINK_PAGES})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}
