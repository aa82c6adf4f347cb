//! Segments of the history that are to go, once nothing of them is left.
//!
//! Whether all of a segment is gone is found out in a read: what is gone never comes back, so the writer may rely on it.

use postrider_model::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _};

use crate::fault::Outcome;
use crate::history;
use crate::reader::Snapshot;
use crate::retention::{self, AGAIN_AFTER, Budget};
use crate::tx::as_integer;

/// What was found out about a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    segment: i64,
    is_gone: bool,
}

/// Looks at the first segment that it is time to look at. `None` where there is none.
pub(crate) fn look(read: &Snapshot<'_>, now: Timestamp) -> Outcome<Option<Verdict>> {
    let segment: Option<i64> = read
        .conn
        .prepare_cached(
            "SELECT segment FROM segments WHERE segment <= (SELECT through FROM retention) AND again_at <= ?
             AND segment < (SELECT max(segment) FROM segments) ORDER BY segment LIMIT 1",
        )?
        .query_row([now.as_millis()], |row| row.get(0))
        .optional()?;
    let Some(segment) = segment else {
        return Ok(None);
    };
    let is_gone = !has_event(read.conn, segment)? && !has_delivery(read, segment)?;
    Ok(Some(Verdict { segment, is_gone }))
}

fn has_event(conn: &Connection, segment: i64) -> Outcome<bool> {
    let first = history::first_of_segment(conn, segment.unsigned_abs())?;
    Ok(conn
        .prepare_cached("SELECT 1 FROM events WHERE position >= ? AND position <= ?")?
        .exists([as_integer(first), segment])?)
}

fn has_delivery(read: &Snapshot<'_>, segment: i64) -> Outcome<bool> {
    let mut exists = read.conn.prepare_cached("SELECT 1 FROM deliveries WHERE id = ?")?;
    // Each delivery stands under its account, `a`, and under its webhook once more.
    let mut statement = read
        .conn
        .prepare_cached("SELECT entries FROM history WHERE segment = ? AND owner >= x'61' AND owner < x'62'")?;
    let mut rows = statement.query([segment])?;
    while let Some(row) = rows.next()? {
        for entry in history::entries(row.get_ref(0)?.as_blob()?)? {
            if exists.exists([entry.delivery.as_u128().to_be_bytes()])? {
                return Ok(true);
            }
        }
        read.check_time()?;
    }
    Ok(false)
}

/// Takes a segment away, as far as the step may, or has it looked at again later.
pub(crate) fn settle(conn: &Connection, verdict: Verdict, now: Timestamp, budget: &mut Budget) -> Outcome<()> {
    let Verdict { segment, is_gone } = verdict;
    if !is_gone {
        conn.prepare_cached("UPDATE segments SET again_at = ? WHERE segment = ?")?
            .execute([(now + AGAIN_AFTER).as_millis(), segment])?;
        budget.write(1);
        return Ok(());
    }
    let rows = conn
        .prepare_cached(
            "DELETE FROM history WHERE segment = ?1 AND owner IN (SELECT owner FROM history WHERE segment = ?1 ORDER BY owner LIMIT ?2)",
        )?
        .execute([segment, budget.rows()])?;
    budget.write(rows);
    if budget.is_spent() {
        return Ok(());
    }
    conn.prepare_cached("DELETE FROM segments WHERE segment = ?")?.execute([segment])?;
    budget.write(1);
    let oldest: i64 = conn
        .prepare_cached("SELECT min(segment) FROM segments")?
        .query_row([], |row| row.get(0))?;
    if segment < oldest {
        retention::raise_floor(conn, segment.unsigned_abs())?;
    }
    Ok(())
}
