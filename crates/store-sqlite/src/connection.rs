//! Connections to the file, and what is set on each.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::fault::Outcome;
use crate::open::{LOCK_TIME_MAX, Synchronous};

/// Prepared statements that a connection keeps.
const STATEMENTS_KEPT: usize = 128;
/// Page cache of the writer. A larger one is slower: what is hot is small, and new pages cost more than those used again.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
/// Page cache of a reader.
const READER_CACHE_KIB: i64 = 4 * 1024;
/// What of the log's file is kept when it is begun anew.
const LOG_BYTES_KEPT: i64 = 64 * 1024 * 1024;
/// Bytes of a page; decided before the first table.
const PAGE_BYTES: i64 = 4_096;

/// Opens the connection that writes; makes the file where there is none.
pub(crate) fn open_writer(path: &Path, synchronous: Synchronous) -> Outcome<Connection> {
    let conn = Connection::open_with_flags(path, flags() | OpenFlags::SQLITE_OPEN_CREATE)?;
    set_common(&conn)?;
    // Both are without effect on a file that has tables.
    conn.pragma_update(None, "page_size", PAGE_BYTES)?;
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    conn.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES_KEPT, |_| Ok(()))?;
    conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    let synchronous = match synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
        Synchronous::Off => "OFF",
    };
    conn.pragma_update(None, "synchronous", synchronous)?;
    Ok(conn)
}

/// Opens a connection that reads.
pub(crate) fn open_reader(path: &Path) -> Outcome<Connection> {
    let conn = Connection::open_with_flags(path, flags())?;
    set_common(&conn)?;
    conn.pragma_update(None, "query_only", true)?;
    conn.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    Ok(conn)
}

/// A connection is used by one thread at a time, so SQLite needs no locks of its own.
fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn set_common(conn: &Connection) -> Outcome<()> {
    conn.busy_timeout(LOCK_TIME_MAX)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(())
}
