//! Erases what deleted accounts have left: a walk over the history of each, once nothing of it waits to be ended.

use postrider_model::id::DeliveryId;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::fault::Outcome;
use crate::history::{self, Owner};
use crate::retention::{self, Budget};
use crate::tx::{Tx, as_integer};
use crate::{deliveries, fanouts, kept};

/// Tables of what an account has that stands in no list of events or deliveries, each with which rows are an account's.
const REST: [(&str, &str); 3] = [
    ("jobs", "account = ?"),
    ("webhooks", "account = ? AND deleted_at IS NOT NULL"),
    ("keys", "owner = ?"),
];

/// A deleted account.
struct Gone {
    account: [u8; 16],
    /// The last segment of the history that was erased of it; `None` where nothing was.
    through: Option<i64>,
}

/// One step. True where there is more to do.
pub(crate) fn step(tx: &mut Tx<'_>, rows_max: usize) -> Outcome<bool> {
    let mut budget = Budget::new(rows_max);
    for mut gone in deleted(tx.conn)? {
        if tx.brings(gone.account) || waits_to_end(tx.conn, gone.account)? {
            continue;
        }
        if gone.through.is_none() {
            begin(tx, &mut gone)?;
        }
        erase(tx.conn, &gone, &mut budget)?;
        if budget.is_spent() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Accounts that are still to be erased. As many as one step may have to pass over because they wait to be ended.
fn deleted(conn: &Connection) -> Outcome<Vec<Gone>> {
    let mut statement = conn.prepare_cached(
        "SELECT id, erased_through FROM accounts WHERE is_erased = 0 AND deleted_at IS NOT NULL ORDER BY deleted_at LIMIT 100",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(Gone {
            account: row.get(0)?,
            through: row.get(1)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether something of an account is still to be ended, or to be made and then ended.
fn waits_to_end(conn: &Connection, account: [u8; 16]) -> Outcome<bool> {
    // Written so that both short tables are walked, and never all events.
    let is_stopping = conn
        .prepare_cached("SELECT 1 FROM stopping s WHERE (SELECT w.account FROM webhooks w WHERE w.id = s.webhook) = ? LIMIT 1")?
        .exists([account])?;
    let is_promised = conn
        .prepare_cached("SELECT 1 FROM fanouts f WHERE (SELECT e.account FROM events e WHERE e.position = f.event) = ? LIMIT 1")?
        .exists([account])?;
    Ok(is_stopping || is_promised)
}

/// Nothing comes to a deleted account any more. What of it is not in the history yet is brought there.
fn begin(tx: &mut Tx<'_>, gone: &mut Gone) -> Outcome<()> {
    if history::has_arrived(tx.conn, gone.account)? {
        tx.cut_segment()?;
    }
    gone.through = Some(0);
    Ok(())
}

fn erase(conn: &Connection, gone: &Gone, budget: &mut Budget) -> Outcome<()> {
    let mut through = gone.through.unwrap_or(0);
    let mut is_end = false;
    let webhooks = webhooks_of(conn, gone.account)?;
    while !budget.is_spent() {
        let Some(segment) = next_segment(conn, through)? else {
            is_end = true;
            break;
        };
        budget.look();
        if !erase_segment(conn, segment, (gone.account, &webhooks), budget)? {
            break;
        }
        through = segment;
    }
    conn.prepare_cached("UPDATE accounts SET erased_through = ? WHERE id = ?")?
        .execute(params![through, gone.account])?;
    match is_end {
        true => finish(conn, gone.account, budget),
        false => Ok(()),
    }
}

fn webhooks_of(conn: &Connection, account: [u8; 16]) -> Outcome<Vec<[u8; 16]>> {
    let mut statement = conn.prepare_cached("SELECT id FROM webhooks WHERE account = ? AND deleted_at IS NOT NULL")?;
    let rows = statement.query_map([account], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn next_segment(conn: &Connection, through: i64) -> Outcome<Option<i64>> {
    Ok(conn
        .prepare_cached("SELECT segment FROM segments WHERE segment > ? ORDER BY segment LIMIT 1")?
        .query_row([through], |row| row.get(0))
        .optional()?)
}

/// Erases what a segment holds of an account. False where the step ended before that was done.
fn erase_segment(conn: &Connection, segment: i64, (account, webhooks): ([u8; 16], &[[u8; 16]]), budget: &mut Budget) -> Outcome<bool> {
    let owner = Owner::Account(account);
    let mut rest = history::entries_of(conn, segment, owner)?;
    for (at, entry) in history::entries(&rest)?.into_iter().enumerate() {
        if budget.is_spent() {
            rest.drain(..at * history::ENTRY_BYTES);
            history::keep_rest(conn, (segment, owner), &rest)?;
            return Ok(false);
        }
        erase_delivery(conn, entry.delivery, budget)?;
    }
    // Where the account has deliveries, its webhooks may: their rows go in the transaction in which the account's goes.
    if history::forget(conn, segment, owner)? {
        for webhook in webhooks {
            budget.write(usize::from(history::forget(conn, segment, Owner::Webhook(*webhook))?));
        }
    }
    let owner = Owner::Events(account);
    let mut rest = history::entries_of(conn, segment, owner)?;
    for (at, position) in history::positions(&rest)?.into_iter().enumerate() {
        if budget.is_spent() {
            rest.drain(..at * history::POSITION_BYTES);
            history::keep_rest(conn, (segment, owner), &rest)?;
            return Ok(false);
        }
        erase_event(conn, position, budget)?;
    }
    history::forget(conn, segment, owner)?;
    Ok(true)
}

fn erase_delivery(conn: &Connection, delivery: DeliveryId, budget: &mut Budget) -> Outcome<()> {
    budget.look();
    if let Some(stored) = deliveries::find(conn, delivery)? {
        budget.write(deliveries::remove(conn, &stored)?);
        if let Some(event) = stored.event {
            fanouts::forget_later(conn, event, as_integer(stored.position))?;
        }
    }
    Ok(())
}

fn erase_event(conn: &Connection, position: u64, budget: &mut Budget) -> Outcome<()> {
    budget.look();
    let event = as_integer(position);
    let id: Option<Vec<u8>> = conn
        .prepare_cached("SELECT id FROM events WHERE position = ?")?
        .query_row([event], |row| row.get(0))
        .optional()?;
    if let Some(id) = id {
        retention::forget_event(conn, event, &id)?;
        conn.prepare_cached("DELETE FROM kept_events WHERE event = ?")?.execute([event])?;
        budget.write(2);
    }
    Ok(())
}

/// Nothing is left of it in the history: what else it had goes, and retention takes its tombstone away later.
fn finish(conn: &Connection, account: [u8; 16], budget: &mut Budget) -> Outcome<()> {
    kept::erase(conn, account, budget)?;
    if budget.is_spent() {
        return Ok(());
    }
    for (table, of_account) in REST {
        let rows = conn
            .prepare_cached(&format!(
                "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {of_account} LIMIT ?)"
            ))?
            .execute(params![account, budget.rows()])?;
        budget.write(rows);
        if budget.is_spent() {
            return Ok(());
        }
    }
    conn.prepare_cached("UPDATE accounts SET is_erased = 1, name = '' WHERE id = ?")?
        .execute([account])?;
    Ok(())
}
