//! The store as a heap of records: how it stands, and where its parts are read and written.

mod faults;
pub(crate) mod registry;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use postrider_model::queue::Position;
use postrider_ports::StoreError;
use postrider_ports::archive::{Archive, ArchivePage, Kind, Moved, Placed, Standing};

use crate::conn::Conn;
use crate::fault::{Fault, Outcome, corrupt};
use crate::migrate::{get_meta, put_meta};
use crate::position::{self, Positions};
use crate::store::PostgresStore;
use crate::{archive_reads, archive_writes};

/// How far it was filled from another store, while that is so.
const MOVED: &str = "moved";
/// Nodes that have not beaten for so long do not use it.
const SEEN_MILLIS: i64 = 60_000;
/// How long it may take to count what PostgreSQL has not.
const COUNT_TIME_MAX: Duration = Duration::from_secs(1);
/// What a record takes in its table, very roughly: most of a large one lies elsewhere.
const RECORD_BYTES: i64 = 256;

#[async_trait]
impl Archive for PostgresStore {
    async fn standing(&self) -> Result<Standing, StoreError> {
        let conn = self.conn().await?;
        standing(&conn, self.inner.positions).await.map_err(Fault::into_store)
    }

    async fn read_page(&self, kind: Kind, from: Vec<u8>, records_max: usize) -> Result<ArchivePage, StoreError> {
        let conn = self.snapshot().await?;
        let page = archive_reads::page(&conn, &self.inner, (kind, &from), records_max).await;
        conn.end(page).await
    }

    async fn begin_filling(&self, moved: Moved, last: Position) -> Result<(), StoreError> {
        let conn = self.begin().await?;
        let (major, _) = position::columns(last);
        let done = async {
            // As if it had been written here: who opens the store next raises its own places above it.
            conn.execute("UPDATE postrider.pulse SET major = greatest(major, $1)", &[&major])
                .await?;
            put_meta(&conn, MOVED, moved.encode()).await
        };
        let done = done.await;
        conn.end(done).await
    }

    async fn write_page(&self, page: Arc<Vec<Placed>>, moved: Moved) -> Result<(), StoreError> {
        archive_writes::make_room(self, &page).await?;
        let conn = self.begin().await?;
        let done = async {
            archive_writes::page(&conn, &self.inner, &page).await?;
            put_meta(&conn, MOVED, moved.encode()).await
        };
        let done = done.await;
        conn.end(done).await
    }

    async fn first_fault(&self) -> Result<Option<String>, StoreError> {
        let conn = self.snapshot().await?;
        let fault = faults::first(&conn).await;
        conn.end(fault).await
    }

    async fn finish_filling(&self) -> Result<(), StoreError> {
        let conn = self.begin().await?;
        let done = conn.execute("DELETE FROM postrider.meta WHERE name = $1", &[&MOVED]).await;
        conn.end(done.map(|_| ())).await
    }
}

async fn standing(conn: &Conn, positions: Positions) -> Outcome<Standing> {
    let row = conn
        .query_one(
            "SELECT NOT (EXISTS (SELECT FROM postrider.accounts) OR EXISTS (SELECT FROM postrider.keys)
                         OR EXISTS (SELECT FROM postrider.events) OR EXISTS (SELECT FROM postrider.queue)
                         OR EXISTS (SELECT FROM postrider.deliveries) OR EXISTS (SELECT FROM postrider.kept_answers)),
                    pg_snapshot_xmax(pg_current_snapshot())::text::bigint",
            &[],
        )
        .await?;
    let nodes = conn
        .query(
            "SELECT name FROM postrider.nodes WHERE seen_at > (extract(epoch FROM clock_timestamp()) * 1000)::bigint - $1 ORDER BY name",
            &[&SEEN_MILLIS],
        )
        .await?;
    Ok(Standing {
        users: nodes.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?,
        is_empty: row.try_get(0)?,
        moved: moved(conn).await?,
        records: records(conn, COUNT_TIME_MAX).await?,
        last: positions.before(row.try_get(1)?),
    })
}

/// About how many there are, to tell how far a move is: as PostgreSQL last counted them. A table that it never has is counted here, where that
/// is soon done; where not, its size has to do. A move does not fail for this.
async fn records(conn: &Conn, count_time_max: Duration) -> Outcome<u64> {
    let tables = conn
        .query(
            "SELECT c.oid::regclass::text, c.reltuples::bigint, pg_relation_size(c.oid) FROM pg_catalog.pg_class c
             WHERE (c.oid = 'postrider.queue'::regclass OR c.oid IN (
                       SELECT inhrelid FROM pg_catalog.pg_inherits
                       WHERE inhparent IN ('postrider.events'::regclass, 'postrider.deliveries'::regclass)))
               AND pg_relation_size(c.oid) > 0",
            &[],
        )
        .await?;
    let (mut records, mut uncounted, mut bytes) = (0, Vec::new(), 0);
    for table in &tables {
        match table.try_get::<_, i64>(1)? {
            ..=0 => {
                uncounted.push(format!("(SELECT count(*) FROM {})", table.try_get::<_, &str>(0)?));
                bytes += table.try_get::<_, i64>(2)?;
            }
            rows => records += rows,
        }
    }
    if !uncounted.is_empty() {
        conn.begin().await?;
        let counted = count(conn, &uncounted.join(" + "), count_time_max).await;
        conn.roll_back().await;
        records += counted.unwrap_or(bytes / RECORD_BYTES);
    }
    Ok(records.unsigned_abs())
}

async fn count(conn: &Conn, sum: &str, time_max: Duration) -> Outcome<i64> {
    let wait = time_max.as_millis();
    conn.batch(&format!("SET LOCAL statement_timeout = {wait}; SET LOCAL lock_timeout = {wait}"))
        .await?;
    Ok(conn.query_one(&format!("SELECT ({sum})::bigint"), &[]).await?.try_get(0)?)
}

async fn moved(conn: &Conn) -> Outcome<Option<Moved>> {
    let decode = |bytes: Vec<u8>| Moved::decode(&bytes).ok_or_else(|| corrupt("what was moved here cannot be read"));
    get_meta(conn, MOVED).await?.map(decode).transpose()
}

/// Refuses a store that holds only a part of another.
pub(crate) async fn check_whole(conn: &Conn) -> Outcome<()> {
    match moved(conn).await? {
        None => Ok(()),
        Some(moved) => Err(Fault::Store(StoreError::CannotOpen {
            what: "the database".to_owned(),
            reason: format!("not all of {} was moved here: run migrate-store again, it goes on", moved.from),
        })),
    }
}
