//! Events read back: one, some, and where one stands.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider_model::event::{Event, Resource};
use postrider_model::id::{AccountId, EventId, MadeEventId};
use postrider_model::name::EventName;
use postrider_model::queue::Position;
use postrider_model::time::Timestamp;
use postrider_ports::store::TimeRange;
use rustc_hash::FxHashMap;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::conn::Conn;
use crate::fault::{Outcome, corrupt};
use crate::param::Array;
use crate::position::Positions;
use crate::retention::{EVENT_KEPT, PLACE_KEPT};

/// How far the time in an id may lie from `created_at`: both come from one request.
const ID_MARGIN: Duration = Duration::from_secs(3600);
/// Ids are looked for by whole days, as they lie in partitions: where less was left out, an index would be walked over it.
const DAY_MILLIS: i64 = 24 * 3600 * 1000;

/// What is read of an event without its body.
pub(crate) const HEAD: &str = "id, own_id, name, resource_id, resource_type, created_at, major, minor, octet_length(body)";

/// An event without its body.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// Its key in the store: its id, where it is one of ours.
    pub(crate) key: Uuid,
    /// With an empty body.
    pub(crate) event: Event,
    pub(crate) position: Position,
    pub(crate) body_bytes: usize,
}

/// A stretch of ids, both ends within.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdRange {
    pub(crate) first: Uuid,
    pub(crate) last: Uuid,
}

impl IdRange {
    /// All that can have been made within some times, and no more days than that.
    pub(crate) fn of_times(times: TimeRange) -> Self {
        let day_of = |time: Timestamp| time.as_millis().div_euclid(DAY_MILLIS);
        let id = |day: i64| u128::from((day * DAY_MILLIS).max(0).unsigned_abs()) << 80;
        Self {
            first: Uuid::from_u128(times.from.map_or(0, |from| id(day_of(from - ID_MARGIN)))),
            last: Uuid::from_u128(
                times
                    .until
                    .map_or(u128::MAX, |until| id(day_of(until + ID_MARGIN) + 1).saturating_sub(1)),
            ),
        }
    }

    /// All that can have been made since an id was.
    pub(crate) fn behind(id: Uuid) -> Self {
        Self::of_times(TimeRange {
            from: Some(made_at(id)),
            until: None,
        })
    }

    /// All that can have been made together with one of some ids.
    pub(crate) fn beside(ids: &[Uuid]) -> Self {
        let Self { first, last } = Self::of_ids(ids);
        Self::of_times(TimeRange {
            from: Some(made_at(first)),
            until: Some(made_at(last)),
        })
    }

    /// From the smallest of some to the largest, so that only their partitions are looked into.
    pub(crate) fn of_ids(ids: &[Uuid]) -> Self {
        Self {
            first: ids.iter().min().copied().unwrap_or_default(),
            last: ids.iter().max().copied().unwrap_or_default(),
        }
    }
}

fn made_at(id: Uuid) -> Timestamp {
    MadeEventId::from_u128(id.as_u128()).made_at()
}

/// The id that an event goes by.
pub(crate) fn id_of(key: Uuid, own_id: Option<&str>) -> Outcome<EventId> {
    match own_id {
        None => Ok(EventId::Made(MadeEventId::from_u128(key.as_u128()))),
        Some(own) => EventId::own(own).ok_or_else(|| corrupt("an event has an unknown id")),
    }
}

/// One event of an account.
pub(crate) async fn by_id(conn: &Conn, account: AccountId, id: &EventId) -> Outcome<Option<Event>> {
    let Some(row) = row_of(conn, account, id, &format!("{HEAD}, body")).await? else {
        return Ok(None);
    };
    let head = head_of(account, &row)?;
    Ok(Some(Event {
        body: body_of(&row, 9)?,
        ..head.event
    }))
}

/// The place of an event of an account, where it is still kept.
pub(crate) async fn place_of(conn: &Conn, account: AccountId, id: &EventId) -> Outcome<Option<Position>> {
    let row = row_of(conn, account, id, "major, minor").await?;
    row.map(|row| Ok(Positions::stored(row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// The key of an event of an account, and the ids of the deliveries that it was stored with.
pub(crate) async fn deliveries_of(conn: &Conn, account: AccountId, id: &EventId) -> Outcome<Option<(Uuid, Vec<Uuid>)>> {
    let Some(row) = row_of(conn, account, id, "id, deliveries").await? else {
        return Ok(None);
    };
    let first: &[u8] = row.try_get(1)?;
    let ids = first.as_chunks::<16>().0.iter().map(|id| Uuid::from_bytes(*id)).collect();
    Ok(Some((row.try_get(0)?, ids)))
}

async fn row_of(conn: &Conn, account: AccountId, id: &EventId, columns: &str) -> Outcome<Option<Row>> {
    let account = Uuid::from_u128(account.as_u128());
    match id {
        // An event with its caller's own id has a key like those of ours, which is nobody's to know.
        EventId::Made(id) => {
            let sql = format!("SELECT {columns} FROM postrider.events WHERE account = $1 AND id = $2 AND own_id IS NULL AND {EVENT_KEPT}");
            conn.query_opt(&sql, &[&account, &Uuid::from_u128(id.as_u128())]).await
        }
        EventId::Own(text) => {
            let sql = format!(
                "SELECT {columns} FROM postrider.events
                 WHERE account = $1 AND id = (SELECT event FROM postrider.event_ids WHERE account = $1 AND own_id = $2) AND {EVENT_KEPT}"
            );
            conn.query_opt(&sql, &[&account, &&**text]).await
        }
        EventId::Test(_) => Ok(None),
    }
}

/// Some events of an account, without their bodies, by their keys.
pub(crate) async fn heads(conn: &Conn, account: AccountId, keys: Vec<Uuid>) -> Outcome<FxHashMap<Uuid, Head>> {
    if keys.is_empty() {
        return Ok(FxHashMap::default());
    }
    let range = IdRange::of_ids(&keys);
    let sql = format!("SELECT {HEAD} FROM postrider.events WHERE account = $1 AND id = ANY($2) AND id BETWEEN $3 AND $4");
    let rows = conn
        .query(
            &sql,
            &[&Uuid::from_u128(account.as_u128()), &Array(keys), &range.first, &range.last],
        )
        .await?;
    rows.iter().map(|row| head_of(account, row).map(|head| (head.key, head))).collect()
}

/// Events of an account with their bodies, in the order of their heads. What was taken away meanwhile is left out.
pub(crate) async fn whole(conn: &Conn, account: AccountId, heads: Vec<Head>) -> Outcome<Vec<Arc<Event>>> {
    if heads.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<Uuid> = heads.iter().map(|head| head.key).collect();
    let range = IdRange::of_ids(&keys);
    let rows = conn
        .query(
            "SELECT id, body FROM postrider.events WHERE account = $1 AND id = ANY($2) AND id BETWEEN $3 AND $4",
            &[&Uuid::from_u128(account.as_u128()), &Array(keys), &range.first, &range.last],
        )
        .await?;
    let mut bodies: FxHashMap<Uuid, Bytes> = FxHashMap::default();
    for row in &rows {
        bodies.insert(row.try_get(0)?, body_of(row, 1)?);
    }
    let whole = heads.into_iter().filter_map(|head| {
        let body = bodies.remove(&head.key)?;
        Some(Arc::new(Event { body, ..head.event }))
    });
    Ok(whole.collect())
}

/// The bytes in a column.
pub(crate) fn body_of(row: &Row, column: usize) -> Outcome<Bytes> {
    Ok(Bytes::copy_from_slice(row.try_get(column)?))
}

/// Events of an account in their order, without their bodies: `behind` a place (oldest first), or before it.
pub(crate) struct Walk {
    pub(crate) account: AccountId,
    pub(crate) ids: IdRange,
    /// Which of them are to be seen: a condition.
    pub(crate) kept: &'static str,
}

impl Walk {
    /// So many before a place, newest first.
    pub(crate) async fn before(&self, conn: &Conn, (before, limit): (Position, i64)) -> Outcome<Vec<Head>> {
        let (major, minor) = crate::position::columns(before);
        let sql = format!(
            "SELECT {HEAD} FROM postrider.events WHERE account = $1 AND (major, minor) < ($2, $3) AND id BETWEEN $4 AND $5
             AND {PLACE_KEPT} AND {kept} ORDER BY major DESC, minor DESC LIMIT $6",
            kept = self.kept,
        );
        let account = Uuid::from_u128(self.account.as_u128());
        let rows = conn
            .query(&sql, &[&account, &major, &minor, &self.ids.first, &self.ids.last, &limit])
            .await?;
        rows.iter().map(|row| head_of(self.account, row)).collect()
    }

    /// So many behind a place, oldest first, and the place up to which they are all: none below the oldest transaction that was open
    /// can still come.
    pub(crate) async fn behind(
        &self,
        conn: &Conn,
        positions: Positions,
        (after, limit): (Position, i64),
    ) -> Outcome<(Vec<Head>, Position)> {
        let (major, minor) = crate::position::columns(after);
        let sql = format!(
            "SELECT e.*, sure.xid FROM (SELECT {xmin} AS xid) sure LEFT JOIN LATERAL (
                 SELECT {HEAD} FROM postrider.events
                 WHERE account = $1 AND (major, minor) > ($2, $3) AND major < $4 + sure.xid AND id BETWEEN $5 AND $6
                 AND {PLACE_KEPT} AND {kept} ORDER BY major, minor LIMIT $7
            ) e ON true",
            xmin = crate::position::XMIN,
            kept = self.kept,
        );
        let account = Uuid::from_u128(self.account.as_u128());
        let rows = conn
            .query(
                &sql,
                &[&account, &major, &minor, &positions.base, &self.ids.first, &self.ids.last, &limit],
            )
            .await?;
        let mut heads = Vec::with_capacity(rows.len());
        let mut sure = Position::default();
        for row in &rows {
            sure = positions.before(row.try_get(9)?);
            if row.try_get::<_, Option<Uuid>>(0)?.is_some() {
                heads.push(head_of(self.account, row)?);
            }
        }
        Ok((heads, sure))
    }
}

pub(crate) fn head_of(account: AccountId, row: &Row) -> Outcome<Head> {
    let key: Uuid = row.try_get(0)?;
    Ok(Head {
        key,
        event: Event {
            id: id_of(key, row.try_get(1)?)?,
            account,
            name: EventName::parse(row.try_get(2)?).map_err(corrupt)?,
            resource: Resource {
                id: row.try_get(3)?,
                resource_type: row.try_get(4)?,
            },
            created_at: Timestamp::from_millis(row.try_get(5)?),
            body: Bytes::new(),
        },
        position: Positions::stored(row.try_get(6)?, row.try_get(7)?),
        body_bytes: usize::try_from(row.try_get::<_, i32>(8)?).unwrap_or(usize::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn ids_of_a_time_lie_in_whole_days() {
        let range = |from: &str, until: &str| {
            IdRange::of_times(TimeRange {
                from: Some(time(from)),
                until: Some(time(until)),
            })
        };
        let first_of = |day: &str| Uuid::from_u128(MadeEventId::new(time(day), 0).as_u128() >> 80 << 80);
        let last_before = |day: &str| Uuid::from_u128(first_of(day).as_u128() - 1);
        let one = range("2026-11-24T12:00:00Z", "2026-11-24T13:00:00Z");
        assert_eq!(one.first, first_of("2026-11-24T00:00:00Z"));
        assert_eq!(one.last, last_before("2026-11-25T00:00:00Z"));
        let across = range("2026-11-24T00:30:00Z", "2026-11-24T23:30:00Z");
        assert_eq!(
            across.first,
            first_of("2026-11-23T00:00:00Z"),
            "an id may be a little older than its time"
        );
        assert_eq!(across.last, last_before("2026-11-26T00:00:00Z"), "or younger");
        let all = IdRange::of_times(TimeRange::default());
        assert_eq!((all.first, all.last), (Uuid::nil(), Uuid::max()));
    }

    #[test]
    fn a_time_before_all_ids_has_none() {
        let before = IdRange::of_times(TimeRange {
            from: None,
            until: Some(Timestamp::from_millis(-10 * DAY_MILLIS)),
        });
        assert_eq!((before.first, before.last), (Uuid::nil(), Uuid::nil()));
    }
}
