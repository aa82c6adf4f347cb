//! Partitions of history: one a day (UTC) of `events`, `deliveries` and `attempts`, by the time that ids begin with.
//!
//! They are made ahead, at opening and by the upkeep; and on demand, where a row meets a day that has none: an import, a clock that was wrong,
//! a node that ran alone for days. A table is made apart and then attached: that locks its parent against another attachment only, while
//! `CREATE TABLE … PARTITION OF` would wait for all that reads and writes it, and hold up all that comes behind. It is empty, so the check
//! of its rows costs nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use postrider_model::time::Timestamp;
use postrider_ports::StoreError;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::conn::Conn;
use crate::fault::{Fault, Outcome};
use crate::param::Array;
use crate::store::PostgresStore;

/// What is partitioned. A day has either all three or none.
pub(crate) const TABLES: [&str; 3] = ["events", "deliveries", "attempts"];
/// What one partition holds. A day at 10,000 deliveries/s is 10⁹ rows, whose index is one level deeper than an hour's; with 30 days kept
/// there are about 34 partitions, each of which a list has to look into: hours would be 720.
const WIDTH: Duration = Duration::from_secs(24 * 3600);
const WIDTH_MILLIS: u64 = 24 * 3600 * 1000;
/// Days that are made before they come, today included: as long as nobody has to upkeep anything.
const DAYS_AHEAD: u32 = 3;
/// Names the lock under which one node at a time makes or drops partitions: `PTRP` in ASCII.
pub(crate) const LOCK: i64 = 0x5054_5250;
/// How long a drop waits for its lock, and others behind it.
const DROP_WAIT_MAX: Duration = Duration::from_millis(50);
/// Partitions up to this size are counted row by row: a few ms.
const COUNTED_BYTES_MAX: i64 = 16 * 1024 * 1024;
/// Bits of an id behind its time.
const TIME_SHIFT: u32 = 80;
/// The last moment that an id can begin with.
const MILLIS_MAX: u64 = (1 << 48) - 1;

/// The smallest id of a time.
pub(crate) fn first_id(time: Timestamp) -> Uuid {
    let millis = time.as_millis().max(0).unsigned_abs().min(MILLIS_MAX);
    Uuid::from_u128(u128::from(millis) << TIME_SHIFT)
}

/// The time that an id begins with.
pub(crate) fn time_of(id: Uuid) -> Timestamp {
    Timestamp::from_millis(i64::try_from(id.as_u128() >> TIME_SHIFT).unwrap_or(i64::MAX))
}

/// Days since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Day(u64);

impl Day {
    fn of_time(time: Timestamp) -> Self {
        Self(time.as_millis().max(0).unsigned_abs().min(MILLIS_MAX) / WIDTH_MILLIS)
    }

    fn of_id(id: u128) -> Self {
        Self(u64::try_from(id >> TIME_SHIFT).unwrap_or(MILLIS_MAX) / WIDTH_MILLIS)
    }

    fn starts_at(self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.0 * WIDTH_MILLIS).unwrap_or(i64::MAX))
    }

    /// Its date, or its number where years have more than four digits.
    fn name(self) -> String {
        let shown = self.starts_at().to_string();
        let date = shown.get(..10).unwrap_or_default();
        if Ok(self.starts_at()) == format!("{date}T00:00:00Z").parse() {
            date.replace('-', "_")
        } else {
            format!("day_{}", self.0)
        }
    }

    /// As PostgreSQL says where a partition begins and ends.
    fn bounds(self) -> String {
        let next = Self(self.0 + 1);
        let end = if next.0 * WIDTH_MILLIS > MILLIS_MAX {
            "MAXVALUE".to_owned()
        } else {
            format!("'{}'", first_id(next.starts_at()))
        };
        format!("FROM ('{}') TO ({end})", first_id(self.starts_at()))
    }

    fn statements(self) -> String {
        let (name, bounds) = (self.name(), self.bounds());
        TABLES
            .map(|table| {
                format!(
                    "CREATE TABLE postrider.{table}_{name} (LIKE postrider.{table} INCLUDING ALL);
                     ALTER TABLE postrider.{table} ATTACH PARTITION postrider.{table}_{name} FOR VALUES {bounds};"
                )
            })
            .concat()
    }
}

/// Makes the partitions that rows with these ids need. For a group that met `Fault::is_missing_partition`; then it is tried again.
pub(crate) async fn ensure_for(store: &PostgresStore, ids: impl IntoIterator<Item = u128>) -> Result<(), StoreError> {
    let days = ids.into_iter().map(Day::of_id).collect();
    let conn = store.conn().await?;
    make(&conn, days).await.map_err(Fault::into_store)
}

/// Makes the partitions that ids of these times need.
pub(crate) async fn ensure(conn: &Conn, times: impl IntoIterator<Item = Timestamp>) -> Outcome<()> {
    make(conn, times.into_iter().map(Day::of_time).collect()).await
}

/// Makes those of today and of the days to come.
pub(crate) async fn ensure_ahead(conn: &Conn, now: Timestamp) -> Outcome<()> {
    ensure(conn, (0..DAYS_AHEAD).map(|days| now + WIDTH * days)).await
}

/// However many nodes do it at once, one makes them and the others find them there.
async fn make(conn: &Conn, days: BTreeSet<Day>) -> Outcome<()> {
    if missing(conn, &days).await?.is_empty() {
        return Ok(());
    }
    conn.begin().await?;
    let made = make_locked(conn, &days).await;
    Ok(conn.end(made).await?)
}

async fn make_locked(conn: &Conn, days: &BTreeSet<Day>) -> Outcome<()> {
    conn.query("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    for day in missing(conn, days).await? {
        conn.batch(&day.statements()).await?;
    }
    Ok(())
}

async fn missing(conn: &Conn, days: &BTreeSet<Day>) -> Outcome<Vec<Day>> {
    let names: Array<String> = days.iter().map(|day| format!("events_{}", day.name())).collect();
    // Not by `to_regclass`: it answers from a cache, which hears nothing of what others made while a lock of this kind was waited for.
    let rows = conn
        .query(
            "SELECT NOT EXISTS (
                 SELECT FROM pg_catalog.pg_class WHERE relname = name AND relnamespace = 'postrider'::regnamespace
             ) FROM unnest($1::text[]) WITH ORDINALITY AS of (name, place) ORDER BY place",
            &[&names],
        )
        .await?;
    let mut missing = Vec::new();
    for (day, row) in days.iter().zip(rows) {
        if row.try_get(0)? {
            missing.push(*day);
        }
    }
    Ok(missing)
}

/// Partitions of a table that lie within or reach into a stretch of ids: where they begin and end, rows as last counted, bytes.
const WITHIN: &str = "SELECT name, first, next, rows, bytes FROM (
        SELECT c.relname::text AS name, c.reltuples::bigint AS rows, pg_relation_size(c.oid) AS bytes,
            (regexp_match(bounds, 'FROM \\(''([0-9a-f-]{36})''\\)'))[1]::uuid AS first,
            (regexp_match(bounds, 'TO \\(''([0-9a-f-]{36})''\\)'))[1]::uuid AS next
        FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
        CROSS JOIN LATERAL pg_get_expr(c.relpartbound, c.oid) AS bounds
        WHERE i.inhparent = to_regclass('postrider.' || $1)
    ) AS parts WHERE first < $3 AND (next > $2 OR next IS NULL) ORDER BY first";

/// How many rows of a table have a key in a stretch of ids: counted where that is quick, else by the share of the time of each partition in
/// its rows as PostgreSQL last counted them.
pub(crate) async fn count(conn: &Conn, table: &str, key: &str, (from, until): (Uuid, Uuid)) -> Outcome<usize> {
    let mut rows: f64 = 0.0;
    for part in conn.query(WITHIN, &[&table, &from, &until]).await? {
        let (name, first, next): (String, Uuid, Option<Uuid>) = (part.try_get(0)?, part.try_get(1)?, part.try_get(2)?);
        if part.try_get::<_, i64>(4)? <= COUNTED_BYTES_MAX {
            let sql = format!("SELECT count(*) FROM postrider.\"{name}\" WHERE {key} >= $1 AND {key} < $2");
            rows += conn.query_one(&sql, &[&from, &until]).await?.try_get::<_, i64>(0)? as f64;
        } else {
            let millis = |id: Uuid| (id.as_u128() >> TIME_SHIFT) as f64;
            let (first, next) = (millis(first), next.map_or(MILLIS_MAX as f64, millis));
            let share = (millis(until).min(next) - millis(from).max(first)) / (next - first).max(1.0);
            rows += share.clamp(0.0, 1.0) * part.try_get::<_, i64>(3)?.max(0) as f64;
        }
    }
    Ok(rows.round() as usize)
}

/// The partitions that lie before an id altogether.
pub(crate) async fn before(conn: &Conn, before: Uuid) -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    for table in TABLES {
        for part in conn.query(WITHIN, &[&table, &Uuid::nil(), &before]).await? {
            let (name, next): (String, Option<Uuid>) = (part.try_get(0)?, part.try_get(2)?);
            if next.is_some_and(|next| next <= before) {
                names.push(name);
            }
        }
    }
    Ok(names)
}

/// Drops partitions.
///
/// `DROP TABLE` locks the parent against all for a moment. That it waits for is bounded, so nothing waits behind it for longer: where it
/// cannot be had (a backup reads for hours, say) the day goes some minutes later. `DETACH … CONCURRENTLY` would wait without holding others
/// up, but is not there before PostgreSQL 14, not within a transaction, and leaves a half detached partition where it is broken off.
pub(crate) async fn drop_all(conn: &Conn, names: &[String]) -> Outcome<()> {
    for name in names {
        if !drop_one(conn, name).await? {
            tracing::info!(partition = name, "it is in use and will be dropped later");
            break;
        }
    }
    Ok(())
}

/// False where its lock cannot be had now.
async fn drop_one(conn: &Conn, name: &str) -> Outcome<bool> {
    conn.begin().await?;
    let wait = DROP_WAIT_MAX.as_millis();
    let dropped = conn
        .batch(&format!(
            "SET LOCAL lock_timeout = '{wait}ms'; DROP TABLE IF EXISTS postrider.\"{name}\""
        ))
        .await;
    let is_in_use = dropped
        .as_ref()
        .is_err_and(|fault| fault.code() == Some(&SqlState::LOCK_NOT_AVAILABLE));
    match conn.end(dropped).await {
        Err(_) if is_in_use => Ok(false),
        ended => Ok(ended.map(|()| true)?),
    }
}

#[cfg(test)]
mod tests {
    use super::{Day, MILLIS_MAX, first_id};
    use postrider_model::time::Timestamp;

    fn day(text: &str) -> Day {
        Day::of_time(text.parse().unwrap())
    }

    #[test]
    fn a_day_begins_and_ends_at_midnight_of_utc() {
        assert_eq!(day("2026-11-24T00:00:00.000Z"), day("2026-11-24T23:59:59.999Z"));
        assert_ne!(day("2026-11-24T23:59:59.999Z"), day("2026-11-25T00:00:00.000Z"));
        assert_eq!(day("2026-11-24T12:00:00Z").name(), "2026_11_24");
        assert_eq!(day("1969-12-31T23:00:00Z").name(), "1970_01_01", "no id is older");
    }

    #[test]
    fn an_id_is_of_the_day_of_its_time() {
        let time: Timestamp = "2026-11-24T23:59:59.999Z".parse().unwrap();
        let last = first_id(time).as_u128() | ((1 << 80) - 1);
        assert_eq!(Day::of_id(last), Day::of_time(time));
        assert_eq!(Day::of_id(last + 1), day("2026-11-25T00:00:00Z"));
    }

    #[test]
    fn the_days_of_all_ids_have_names_and_ends() {
        let last = Day::of_id(u128::MAX);
        assert_eq!(last, Day(MILLIS_MAX / super::WIDTH_MILLIS));
        assert_eq!(last.name(), format!("day_{}", last.0));
        assert!(last.bounds().ends_with("TO (MAXVALUE)"), "{}", last.bounds());
        assert_eq!(
            Day(1).bounds(),
            "FROM ('00000526-5c00-0000-0000-000000000000') TO ('00000a4c-b800-0000-0000-000000000000')"
        );
    }
}
