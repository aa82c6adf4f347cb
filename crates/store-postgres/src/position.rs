//! Places in the order of all writes: the transaction's id and a count within it.
//!
//! A transaction that began to write after another was answered has a later id, so places follow commits as far as anybody can tell. A read
//! has surely seen all that lies below the oldest transaction that was open when it began: `pg_snapshot_xmin`. A store that was moved to
//! another server (whose transactions count from anew) adds `position_base` to all ids, so that places go on.

use postrider_model::queue::Position;

use crate::conn::Conn;
use crate::fault::Outcome;

/// This transaction's id, as a number; the base is added by `Positions`.
pub(crate) const XID: &str = "pg_current_xact_id()::text::bigint";
/// The id below which every transaction has ended, for this snapshot.
pub(crate) const XMIN: &str = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint";
/// The id from which on no transaction has begun, for this snapshot.
pub(crate) const XMAX: &str = "pg_snapshot_xmax(pg_current_snapshot())::text::bigint";

/// A place behind all.
pub(crate) const LAST: Position = Position {
    major: u64::MAX,
    minor: u32::MAX,
};

/// Which run of the server this is: when it was started, in microseconds. Ids of transactions may come again after a failover, where it is
/// another.
pub(crate) const SERVER: &str = "(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint";

/// What is added to the ids of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Positions {
    /// Never changes while a store is open.
    pub(crate) base: i64,
}

impl Positions {
    /// The place of a row, as it is stored (its base is within it already).
    pub(crate) const fn stored(major: i64, minor: i32) -> Position {
        Position {
            major: major.unsigned_abs(),
            minor: minor.unsigned_abs(),
        }
    }

    /// Where what a snapshot shows begins, and all that comes later: at the first row that it shows, or at its oldest open transaction.
    pub(crate) fn begin(self, first: Option<i64>, xmin: i64) -> i64 {
        let open = self.base + xmin;
        first.map_or(open, |first| first.min(open))
    }

    /// The last place before a transaction's id.
    pub(crate) const fn before(self, xid: i64) -> Position {
        Position {
            major: (self.base + xid).unsigned_abs().saturating_sub(1),
            minor: u32::MAX,
        }
    }
}

/// A place as the columns hold it. It never comes near the sign.
pub(crate) fn columns(position: Position) -> (i64, i32) {
    (
        i64::try_from(position.major).unwrap_or(i64::MAX),
        i32::try_from(position.minor).unwrap_or(i32::MAX),
    )
}

/// The last place that is sure: all up to it is there to be read, and what is stored later lies behind it.
pub(crate) async fn last(conn: &Conn, positions: Positions) -> Outcome<Position> {
    let row = conn.query_one(&format!("SELECT {XMIN}"), &[]).await?;
    Ok(positions.before(row.try_get(0)?))
}
