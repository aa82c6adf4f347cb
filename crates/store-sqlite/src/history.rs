//! In which order things were stored, and whose they are: for lists, newest first.
//!
//! An index by webhook would touch another page for each delivery of a group. So each commit adds one row to `arrivals`, and
//! after `SEGMENT_ROWS` entries they are sorted by owner and moved to `history` as one segment, behind all that is there.
//! A list reads `arrivals`, and then one row of each segment, newest first.

use std::collections::BTreeMap;

use postrider_model::id::DeliveryId;
use postrider_model::queue::Position;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::codec::Reader;
use crate::fault::Outcome;
use crate::tx::as_integer;

/// Entries of one segment: a list scans at most so many that are not sorted yet.
pub(crate) const SEGMENT_ROWS: usize = 4_096;

/// Bytes of a delivery in a segment: position, id.
pub(crate) const ENTRY_BYTES: usize = 8 + 16;
/// Bytes of an event in a segment: position.
pub(crate) const POSITION_BYTES: usize = 8;
/// Account, webhook, position, id.
const DELIVERY_BYTES: usize = 16 + 16 + 8 + 16;
/// Account, position.
const EVENT_BYTES: usize = 16 + 8;

/// Whose entries a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// Deliveries of an account.
    Account([u8; 16]),
    /// Deliveries of a webhook.
    Webhook([u8; 16]),
    /// Events of an account.
    Events([u8; 16]),
}

impl Owner {
    pub(crate) fn key(self) -> [u8; 17] {
        let (kind, id) = match self {
            Self::Account(id) => (b'a', id),
            Self::Webhook(id) => (b'w', id),
            Self::Events(id) => (b'e', id),
        };
        let mut key = [kind; 17];
        if let Some(slot) = key.last_chunk_mut::<16>() {
            *slot = id;
        }
        key
    }
}

/// A delivery in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) position: u64,
    pub(crate) delivery: DeliveryId,
}

/// Adds a delivery to what a commit brings.
pub(crate) fn push_delivery(out: &mut Vec<u8>, account: [u8; 16], webhook: [u8; 16], position: u64, id: [u8; 16]) {
    out.extend_from_slice(&account);
    out.extend_from_slice(&webhook);
    out.extend_from_slice(&position.to_be_bytes());
    out.extend_from_slice(&id);
}

/// Adds an event to what a commit brings.
pub(crate) fn push_event(out: &mut Vec<u8>, account: [u8; 16], position: u64) {
    out.extend_from_slice(&account);
    out.extend_from_slice(&position.to_be_bytes());
}

/// How many entries a commit brings.
pub(crate) fn arrived(deliveries: &[u8], events: &[u8]) -> usize {
    deliveries.len() / DELIVERY_BYTES + events.len() / EVENT_BYTES
}

/// The earliest and the latest `created_at` of some events: the other way round where there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    oldest: i64,
    newest: i64,
}

impl Default for Span {
    fn default() -> Self {
        Self {
            oldest: i64::MAX,
            newest: i64::MIN,
        }
    }
}

impl Span {
    /// The same with another event.
    pub(crate) const fn widen(&mut self, created_at: i64) {
        if created_at < self.oldest {
            self.oldest = created_at;
        }
        if created_at > self.newest {
            self.newest = created_at;
        }
    }
}

/// The last position that was given.
pub(crate) fn last_position(conn: &Connection) -> Outcome<Position> {
    let last: Option<i64> = conn
        .prepare_cached("SELECT max(position) FROM arrivals")?
        .query_row([], |row| row.get(0))?;
    let last = match last {
        Some(last) => Some(last),
        // The last segment stays in here whatever is taken away of the history.
        None => conn
            .prepare_cached("SELECT max(segment) FROM segments")?
            .query_row([], |row| row.get(0))?,
    };
    Ok(Position::counted(last.unwrap_or(0).unsigned_abs()))
}

/// How many entries wait for the next segment.
pub(crate) fn tail_length(conn: &Connection) -> Outcome<usize> {
    let (deliveries, events): (i64, i64) = conn
        .prepare_cached("SELECT ifnull(sum(length(deliveries)), 0), ifnull(sum(length(events)), 0) FROM arrivals")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let count = |bytes: i64, each: usize| usize::try_from(bytes).unwrap_or(0) / each;
    Ok(count(deliveries, DELIVERY_BYTES) + count(events, EVENT_BYTES))
}

/// Whether something of an account is among what a commit brings.
pub(crate) fn brings(deliveries: &[u8], events: &[u8], account: [u8; 16]) -> bool {
    let mut rows = deliveries.chunks(DELIVERY_BYTES).chain(events.chunks(EVENT_BYTES));
    rows.any(|row| row.starts_with(&account))
}

/// Whether something of an account waits for the next segment.
pub(crate) fn has_arrived(conn: &Connection, account: [u8; 16]) -> Outcome<bool> {
    let mut statement = conn.prepare_cached("SELECT deliveries, events FROM arrivals ORDER BY position")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if brings(row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?, account) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Of which times the events are that wait for the next segment.
pub(crate) fn tail_span(conn: &Connection) -> Outcome<Span> {
    let (oldest, newest): (Option<i64>, Option<i64>) = conn
        .prepare_cached(
            "SELECT min(created_at), max(created_at) FROM events WHERE position > (SELECT ifnull(max(segment), 0) FROM segments)",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(oldest
        .zip(newest)
        .map_or_else(Span::default, |(oldest, newest)| Span { oldest, newest }))
}

/// Sorts what arrived by owner, and moves it to the history as one segment; its events are of these times.
pub(crate) fn cut_segment(conn: &Connection, span: Span) -> Outcome<()> {
    let mut owners: BTreeMap<Owner, Vec<u8>> = BTreeMap::new();
    let segment = {
        let mut statement = conn.prepare_cached("SELECT position, deliveries, events FROM arrivals ORDER BY position")?;
        let mut rows = statement.query([])?;
        let mut last = 0i64;
        while let Some(row) = rows.next()? {
            last = row.get(0)?;
            let mut deliveries = Reader(row.get_ref(1)?.as_blob()?);
            while !deliveries.0.is_empty() {
                let (account, webhook) = (Owner::Account(deliveries.array()?), Owner::Webhook(deliveries.array()?));
                let entry = deliveries.take(24)?;
                owners.entry(account).or_default().extend_from_slice(entry);
                owners.entry(webhook).or_default().extend_from_slice(entry);
            }
            let mut events = Reader(row.get_ref(2)?.as_blob()?);
            while !events.0.is_empty() {
                let account = Owner::Events(events.array()?);
                owners.entry(account).or_default().extend_from_slice(events.take(8)?);
            }
        }
        last
    };
    let mut insert = conn.prepare_cached("INSERT INTO history (segment, owner, entries) VALUES (?, ?, ?)")?;
    for (owner, entries) in owners {
        insert.execute(params![segment, owner.key(), entries])?;
    }
    conn.prepare_cached("INSERT INTO segments (segment, oldest, newest) VALUES (?, ?, ?)")?
        .execute([segment, span.oldest, span.newest])?;
    conn.prepare_cached("DELETE FROM arrivals WHERE position <= ?")?
        .execute([segment])?;
    Ok(())
}

/// Deliveries of an owner that arrived since the last segment, before `before`, newest first.
pub(crate) fn tail(conn: &Connection, owner: Owner, before: u64) -> Outcome<Vec<Entry>> {
    let mut found = Vec::new();
    let mut statement = conn.prepare_cached("SELECT deliveries FROM arrivals ORDER BY position")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let mut deliveries = Reader(row.get_ref(0)?.as_blob()?);
        while !deliveries.0.is_empty() {
            let (account, webhook) = (Owner::Account(deliveries.array()?), Owner::Webhook(deliveries.array()?));
            let entry = read_entry(&mut deliveries)?;
            if (owner == account || owner == webhook) && entry.position < before {
                found.push(entry);
            }
        }
    }
    found.reverse();
    Ok(found)
}

/// The newest segment that begins before `before`, and what it holds of an owner before that, newest first. `None` at the end.
pub(crate) fn segment_before(conn: &Connection, owner: Owner, segment_before: u64, before: u64) -> Outcome<Option<(u64, Vec<Entry>)>> {
    let Some(segment) = earlier_segment(conn, segment_before)? else {
        return Ok(None);
    };
    let mut found = entries(&entries_of(conn, as_integer(segment), owner)?)?;
    found.retain(|entry| entry.position < before);
    found.reverse();
    Ok(Some((segment, found)))
}

/// Places of events of an account that arrived since the last segment, with the commits behind `after`, oldest first.
pub(crate) fn event_tail(conn: &Connection, account: [u8; 16], after: u64) -> Outcome<Vec<u64>> {
    let mut found = Vec::new();
    let mut statement = conn.prepare_cached("SELECT events FROM arrivals WHERE position > ? ORDER BY position")?;
    let mut rows = statement.query([as_integer(after)])?;
    while let Some(row) = rows.next()? {
        let mut events = Reader(row.get_ref(0)?.as_blob()?);
        while !events.0.is_empty() {
            let owner: [u8; 16] = events.array()?;
            let position = u64::from_be_bytes(events.array()?);
            if owner == account {
                found.push(position);
            }
        }
    }
    Ok(found)
}

/// Places of events of an account in a segment, oldest first.
pub(crate) fn events_of_segment(conn: &Connection, segment: u64, account: [u8; 16]) -> Outcome<Vec<u64>> {
    positions(&entries_of(conn, as_integer(segment), Owner::Events(account))?)
}

/// The last segment before a place.
pub(crate) fn earlier_segment(conn: &Connection, than: u64) -> Outcome<Option<u64>> {
    let segment: Option<i64> = conn
        .prepare_cached("SELECT segment FROM history WHERE segment < ? ORDER BY segment DESC LIMIT 1")?
        .query_row([as_integer(than)], |row| row.get(0))
        .optional()?;
    Ok(segment.map(i64::unsigned_abs))
}

/// The first segment that reaches further than a place.
pub(crate) fn later_segment(conn: &Connection, than: u64) -> Outcome<Option<u64>> {
    first_segment_through(conn, than.saturating_add(1))
}

/// A place that all of a segment lies behind, and all that is older before: the end of the segment before it, and one more.
pub(crate) fn first_of_segment(conn: &Connection, segment: u64) -> Outcome<u64> {
    Ok(earlier_segment(conn, segment)?.unwrap_or(0).saturating_add(1))
}

/// The first segment that reaches up to `position` or further: reading backwards from there misses nothing before it.
pub(crate) fn first_segment_through(conn: &Connection, position: u64) -> Outcome<Option<u64>> {
    let segment: Option<i64> = conn
        .prepare_cached("SELECT segment FROM history WHERE segment >= ? ORDER BY segment LIMIT 1")?
        .query_row([as_integer(position)], |row| row.get(0))
        .optional()?;
    Ok(segment.map(i64::unsigned_abs))
}

/// What a segment holds of an owner, as it is kept.
pub(crate) fn entries_of(conn: &Connection, segment: i64, owner: Owner) -> Outcome<Vec<u8>> {
    let entries: Option<Vec<u8>> = conn
        .prepare_cached("SELECT entries FROM history WHERE segment = ? AND owner = ?")?
        .query_row(params![segment, owner.key()], |row| row.get(0))
        .optional()?;
    Ok(entries.unwrap_or_default())
}

/// Keeps only the rest of what a segment holds of an owner.
pub(crate) fn keep_rest(conn: &Connection, (segment, owner): (i64, Owner), rest: &[u8]) -> Outcome<()> {
    conn.prepare_cached("UPDATE history SET entries = ? WHERE segment = ? AND owner = ?")?
        .execute(params![rest, segment, owner.key()])?;
    Ok(())
}

/// Takes away what a segment holds of an owner. False where that is nothing.
pub(crate) fn forget(conn: &Connection, segment: i64, owner: Owner) -> Outcome<bool> {
    let rows = conn
        .prepare_cached("DELETE FROM history WHERE segment = ? AND owner = ?")?
        .execute(params![segment, owner.key()])?;
    Ok(rows > 0)
}

/// Deliveries from what a segment holds, oldest first.
pub(crate) fn entries(kept: &[u8]) -> Outcome<Vec<Entry>> {
    let mut from = Reader(kept);
    let mut found = Vec::with_capacity(kept.len() / 24);
    while !from.0.is_empty() {
        found.push(read_entry(&mut from)?);
    }
    Ok(found)
}

/// Positions of events from what a segment holds, oldest first.
pub(crate) fn positions(kept: &[u8]) -> Outcome<Vec<u64>> {
    let mut from = Reader(kept);
    let mut found = Vec::with_capacity(kept.len() / 8);
    while !from.0.is_empty() {
        found.push(u64::from_be_bytes(from.array()?));
    }
    Ok(found)
}

/// A delivery from what is kept for lists.
pub(crate) fn read_entry(from: &mut Reader<'_>) -> Outcome<Entry> {
    Ok(Entry {
        position: u64::from_be_bytes(from.array()?),
        delivery: DeliveryId::from_u128(u128::from_be_bytes(from.array()?)),
    })
}
