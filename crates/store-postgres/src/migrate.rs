//! Versions of the schema.

use postrider_ports::StoreError;

use crate::conn::Conn;
use crate::fault::Outcome;

/// One step of the schema.
struct Migration {
    sql: &'static str,
    /// The oldest schema whose binaries may still use the store after this step.
    oldest_binary: u32,
}

/// Step `n` (counted from one) makes schema `n`.
const MIGRATIONS: &[Migration] = &[Migration {
    sql: include_str!("../migrations/0001_first.sql"),
    oldest_binary: 1,
}];

/// The newest schema that this binary knows.
pub const SCHEMA_KNOWN: u32 = MIGRATIONS.len() as u32;

/// Names the lock under which one node at a time migrates: `PTRD` in ASCII.
const LOCK: i64 = 0x5054_5244;

/// Brings the store to the newest schema, or says why this binary must not use it. However many nodes start together, one does it and the
/// others wait for its end.
pub(crate) async fn migrate(conn: &Conn) -> Outcome<()> {
    conn.query("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    conn.batch(
        "CREATE SCHEMA IF NOT EXISTS postrider;
         CREATE TABLE IF NOT EXISTS postrider.meta (name text PRIMARY KEY, value bytea NOT NULL)",
    )
    .await?;
    let found = number(conn, "schema").await?.unwrap_or(0);
    let oldest = number(conn, "oldest_binary").await?.unwrap_or(found);
    if oldest > SCHEMA_KNOWN {
        return Err(StoreError::NewerSchema {
            found,
            known: SCHEMA_KNOWN,
        }
        .into());
    }
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    for (version, migration) in (1u32..).zip(MIGRATIONS).skip(done) {
        conn.batch(migration.sql).await?;
        put_number(conn, "schema", version).await?;
        put_number(conn, "oldest_binary", migration.oldest_binary).await?;
    }
    Ok(())
}

async fn number(conn: &Conn, name: &str) -> Outcome<Option<u32>> {
    let value = get_meta(conn, name).await?;
    Ok(value.and_then(|bytes| Some(u32::from_be_bytes(bytes.try_into().ok()?))))
}

async fn put_number(conn: &Conn, name: &str, value: u32) -> Outcome<()> {
    put_meta(conn, name, value.to_be_bytes().to_vec()).await
}

/// What stands under a name.
pub(crate) async fn get_meta(conn: &Conn, name: &str) -> Outcome<Option<Vec<u8>>> {
    let row = conn.query_opt("SELECT value FROM postrider.meta WHERE name = $1", &[&name]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// Puts a value under a name.
pub(crate) async fn put_meta(conn: &Conn, name: &str, value: Vec<u8>) -> Outcome<()> {
    conn.execute(
        "INSERT INTO postrider.meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        &[&name, &value],
    )
    .await?;
    Ok(())
}
