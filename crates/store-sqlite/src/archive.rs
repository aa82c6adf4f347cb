//! The store as a heap of records: how it stands, and where its parts are read and written.

mod faults;

use std::sync::Arc;

use async_trait::async_trait;
use postrider_model::limits::TRANSACTION_ROWS_MAX;
use postrider_model::queue::Position;
use postrider_ports::StoreError;
use postrider_ports::archive::{Archive, ArchivePage, Kind, Moved, Placed, Standing};
use rusqlite::{Connection, OptionalExtension as _};

use crate::fault::{Fault, Outcome, corrupt};
use crate::migrate::put_meta;
use crate::{archive_reads, archive_writes, history};

use crate::store::SqliteStore;

/// How far it was filled from another store, while that is so.
const MOVED: &str = "moved";

#[async_trait]
impl Archive for SqliteStore {
    async fn standing(&self) -> Result<Standing, StoreError> {
        self.read(|read| standing(read.conn)).await
    }

    async fn read_page(&self, kind: Kind, from: Vec<u8>, records_max: usize) -> Result<ArchivePage, StoreError> {
        let seal = self.seal();
        self.read(move |read| archive_reads::page(read.conn, kind, &from, records_max, &seal))
            .await
    }

    async fn begin_filling(&self, moved: Moved, _: Position) -> Result<(), StoreError> {
        self.write(1, move |tx| put_meta(tx.conn, MOVED, moved.encode())).await
    }

    async fn write_page(&self, page: Arc<Vec<Placed>>, moved: Moved) -> Result<(), StoreError> {
        self.write(TRANSACTION_ROWS_MAX, move |tx| {
            for placed in page.iter() {
                archive_writes::record(tx, &placed.record)?;
            }
            put_meta(tx.conn, MOVED, moved.encode())
        })
        .await
    }

    async fn first_fault(&self) -> Result<Option<String>, StoreError> {
        self.read(|read| faults::first(read.conn, moved(read.conn)?.is_some())).await
    }

    async fn finish_filling(&self) -> Result<(), StoreError> {
        self.write(1, |tx| {
            tx.conn.execute("DELETE FROM meta WHERE name = ?", [MOVED])?;
            Ok(())
        })
        .await
    }
}

fn standing(conn: &Connection) -> Outcome<Standing> {
    let is = |sql: &str| -> Outcome<bool> { Ok(conn.query_row(sql, [], |row| row.get(0))?) };
    let records: i64 = conn.query_row(
        "SELECT (SELECT count(*) FROM deliveries) + (SELECT count(*) FROM events)",
        [],
        |row| row.get(0),
    )?;
    Ok(Standing {
        // Its lock keeps a second server out.
        users: Vec::new(),
        is_empty: !is(
            "SELECT EXISTS (SELECT 1 FROM accounts) OR EXISTS (SELECT 1 FROM keys) OR EXISTS (SELECT 1 FROM events)
                       OR EXISTS (SELECT 1 FROM deliveries) OR EXISTS (SELECT 1 FROM kept_answers)",
        )?,
        moved: moved(conn)?,
        records: records.unsigned_abs(),
        last: history::last_position(conn)?,
    })
}

fn moved(conn: &Connection) -> Outcome<Option<Moved>> {
    let bytes: Option<Vec<u8>> = conn
        .query_row("SELECT value FROM meta WHERE name = ?", [MOVED], |row| row.get(0))
        .optional()?;
    let decode = |bytes: Vec<u8>| Moved::decode(&bytes).ok_or_else(|| corrupt("what was moved here cannot be read"));
    bytes.map(decode).transpose()
}

/// Refuses a store that holds only a part of another.
pub(crate) fn check_whole(conn: &Connection, what: &str) -> Outcome<()> {
    match moved(conn)? {
        None => Ok(()),
        Some(moved) => Err(Fault::Store(StoreError::CannotOpen {
            what: what.to_owned(),
            reason: format!("not all of {} was moved here: run migrate-store again, it goes on", moved.from),
        })),
    }
}
