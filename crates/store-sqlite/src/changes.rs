//! The feed of changes, by which a server notices what a command in another process did.

use postrider_model::id::{AccountId, WebhookId};
use postrider_ports::registry::{Changed, Changes, Told};
use rusqlite::{Connection, params};

use crate::fault::Outcome;
use crate::tx::as_integer;

/// Changes that are kept. Who asks from before them is told that everything may have changed.
pub const CHANGES_KEPT_MAX: u64 = 10_000;

/// Adds a change in the transaction that makes it; without an account it is one of the operator's keys.
pub(crate) fn note(conn: &Connection, account: Option<AccountId>, webhook: Option<WebhookId>) -> Outcome<()> {
    conn.prepare_cached("INSERT INTO changes (account, webhook) VALUES (?, ?)")?
        .execute(params![
            account.map(|id| id.as_u128().to_be_bytes()),
            webhook.map(|id| id.as_u128().to_be_bytes())
        ])?;
    conn.prepare_cached("DELETE FROM changes WHERE place <= ?")?
        .execute([conn.last_insert_rowid().saturating_sub(as_integer(CHANGES_KEPT_MAX))])?;
    Ok(())
}

/// What changed behind a place.
pub(crate) fn read(conn: &Connection, after: Option<u64>) -> Outcome<Changes> {
    let (first, last): (i64, i64) = conn
        .prepare_cached("SELECT ifnull(min(place), 1), ifnull(max(place), 0) FROM changes")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let through = last.unsigned_abs();
    let Some(after) = after else {
        return Ok(Changes {
            changes: Vec::new(),
            through,
        });
    };
    let changes = if after.saturating_add(1) < first.unsigned_abs() {
        everything(conn, through)?
    } else {
        behind(conn, after)?
    };
    Ok(Changes {
        changes,
        through: through.max(after),
    })
}

fn behind(conn: &Connection, after: u64) -> Outcome<Vec<Told>> {
    let mut statement = conn.prepare_cached("SELECT account, webhook, place FROM changes WHERE place > ? ORDER BY place")?;
    let mut rows = statement.query([as_integer(after)])?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        let account: Option<[u8; 16]> = row.get(0)?;
        let webhook: Option<[u8; 16]> = row.get(1)?;
        let account = account.map(|id| AccountId::from_u128(u128::from_be_bytes(id)));
        let webhook = webhook.map(|id| WebhookId::from_u128(u128::from_be_bytes(id)));
        let changed = match (account, webhook) {
            (Some(account), Some(webhook)) => Changed::Webhook(account, webhook),
            (Some(account), None) => Changed::Account(account),
            (None, _) => Changed::OperatorKeys,
        };
        let place: i64 = row.get(2)?;
        changes.push(Told {
            place: place.unsigned_abs(),
            changed,
        });
    }
    Ok(changes)
}

/// The place asked for is no longer kept: whatever there is may have changed.
fn everything(conn: &Connection, place: u64) -> Outcome<Vec<Told>> {
    let told = |changed| Told { place, changed };
    let mut changes = vec![told(Changed::OperatorKeys)];
    let mut statement = conn.prepare_cached("SELECT id FROM accounts ORDER BY position")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: [u8; 16] = row.get(0)?;
        changes.push(told(Changed::Account(AccountId::from_u128(u128::from_be_bytes(id)))));
    }
    Ok(changes)
}
