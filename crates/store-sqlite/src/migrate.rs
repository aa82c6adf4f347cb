//! Versions of the schema.

use postrider_ports::StoreError;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use crate::fault::{Fault, Outcome};

/// Says in the file's head that it is ours: `PTRD`.
const APPLICATION_ID: i64 = 0x5054_5244;

/// One step of the schema.
struct Migration {
    sql: &'static str,
    /// The oldest schema whose binaries may still use the file after this step.
    oldest_binary: u32,
}

/// Step `n` (counted from one) makes schema `n`.
const MIGRATIONS: &[Migration] = &[
    Migration {
        sql: include_str!("../migrations/0001_first.sql"),
        oldest_binary: 1,
    },
    // An older binary would cut segments of the history without a row in `segments`.
    Migration {
        sql: include_str!("../migrations/0002_jobs.sql"),
        oldest_binary: 2,
    },
    // An older binary would not note that urls are used.
    Migration {
        sql: include_str!("../migrations/0003_retention.sql"),
        oldest_binary: 3,
    },
    // An older binary keeps no answers, and leaves those that are there alone.
    Migration {
        sql: include_str!("../migrations/0004_kept_answers.sql"),
        oldest_binary: 3,
    },
];

/// The newest schema that this binary knows.
pub const SCHEMA_KNOWN: u32 = MIGRATIONS.len() as u32;

/// Brings the file to the newest schema, or says why this binary must not use it.
pub(crate) fn migrate(conn: &mut Connection) -> Outcome<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let application: i64 = tx.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = tx.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION_ID {
        if application != 0 || tables > 0 {
            return Err(foreign("it belongs to another program"));
        }
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.execute_batch("CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID")?;
    }
    let found: u32 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let oldest: u32 = tx
        .query_row("SELECT value FROM meta WHERE name = 'oldest_binary'", [], |row| row.get(0))
        .optional()?
        .unwrap_or(found);
    if found > SCHEMA_KNOWN && oldest > SCHEMA_KNOWN {
        return Err(Fault::Store(StoreError::NewerSchema {
            found,
            known: SCHEMA_KNOWN,
        }));
    }
    for (step, migration) in (1u32..).zip(MIGRATIONS).filter(|(step, _)| *step > found) {
        tx.execute_batch(migration.sql)?;
        tx.pragma_update(None, "user_version", step)?;
        put_meta(&tx, "oldest_binary", migration.oldest_binary)?;
    }
    tx.commit()?;
    Ok(())
}

/// Refuses a database that is not one of Postrider's.
pub(crate) fn check_ours(conn: &Connection) -> Outcome<()> {
    let application: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application == APPLICATION_ID {
        return Ok(());
    }
    Err(foreign("it is not a database of Postrider's"))
}

fn foreign(reason: &str) -> Fault {
    Fault::Store(StoreError::CannotOpen {
        what: "the database".to_owned(),
        reason: reason.to_owned(),
    })
}

/// Keeps a value that belongs to the whole file.
pub(crate) fn put_meta(conn: &Connection, name: &str, value: impl rusqlite::ToSql) -> Outcome<()> {
    conn.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", params![name, value])?;
    Ok(())
}
