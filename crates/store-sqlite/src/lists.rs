//! Lists of deliveries, newest first.

use postrider_model::delivery::{DeliveryRecord, Status};
use postrider_model::event::Event;
use postrider_model::id::{AccountId, DeliveryId};
use postrider_model::limits::PAGE_BYTES_MAX;
use postrider_model::queue::Position;
use postrider_ports::page::{Page, PageAsk};
use postrider_ports::store::{DeliveryFilter, StatusFilter};
use rusqlite::Connection;

use crate::deliveries::{self, Stored};
use crate::events;
use crate::fault::Outcome;
use crate::history::{self, Entry, Owner};
use crate::reader::Snapshot;
use crate::tx::as_integer;

/// Deliveries or events that one page looks at.
pub(crate) const SEARCHED_MAX: usize = 4_000;
/// Segments of the history that one page looks at.
pub(crate) const SEGMENTS_MAX: usize = 4_000;

/// A page under way.
struct Search<'a> {
    read: &'a Snapshot<'a>,
    account: AccountId,
    filter: &'a DeliveryFilter,
    limit: usize,
    found: Vec<DeliveryRecord>,
    bytes: usize,
    searched: usize,
    /// The last place that was looked at.
    at: u64,
}

/// Whether a page goes on.
pub(crate) enum Step {
    On,
    Full,
}

/// One page of the deliveries of an account.
pub(crate) fn list(read: &Snapshot<'_>, account: AccountId, filter: &DeliveryFilter, page: PageAsk) -> Outcome<Page<DeliveryRecord>> {
    let before = page.after.map_or(u64::MAX, |after| after.major);
    let mut search = Search {
        read,
        account,
        filter,
        limit: page.limit,
        found: Vec::new(),
        bytes: 0,
        searched: 0,
        at: before,
    };
    let step = match &filter.event {
        Some(event) => {
            let mut entries = match events::position_of(read.conn, account, event)? {
                Some(position) => of_event(read.conn, position)?,
                None => Vec::new(),
            };
            entries.retain(|entry| entry.position < before);
            search.all(entries)?
        }
        None => search.walk(before)?,
    };
    let next = matches!(step, Step::Full).then(|| Position::counted(search.at));
    Ok(Page { rows: search.found, next })
}

impl Search<'_> {
    /// From the newest to the oldest.
    fn walk(&mut self, before: u64) -> Outcome<Step> {
        let owner = match self.filter.webhook {
            Some(webhook) => Owner::Webhook(webhook.as_u128().to_be_bytes()),
            None => Owner::Account(self.account.as_u128().to_be_bytes()),
        };
        if let Step::Full = self.all(history::tail(self.read.conn, owner, before)?)? {
            return Ok(Step::Full);
        }
        let start = history::first_segment_through(self.read.conn, before)?;
        let mut segment_before = start.map_or(u64::MAX, |segment| segment.saturating_add(1));
        for _ in 0..SEGMENTS_MAX {
            self.read.check_time()?;
            let Some((segment, entries)) = history::segment_before(self.read.conn, owner, segment_before, before)? else {
                return Ok(Step::On);
            };
            if let Step::Full = self.all(entries)? {
                return Ok(Step::Full);
            }
            segment_before = segment;
            // All of this segment was seen, and what comes next is older: the next page need not look at it again.
            self.at = self.at.min(history::first_of_segment(self.read.conn, segment)?);
        }
        Ok(Step::Full)
    }

    fn all(&mut self, entries: Vec<Entry>) -> Outcome<Step> {
        for entry in entries {
            if self.found.len() >= self.limit || self.searched >= SEARCHED_MAX {
                return Ok(Step::Full);
            }
            self.searched += 1;
            if let Some(record) = self.judge(entry)? {
                if !self.found.is_empty() && self.bytes + record.payload.len() > PAGE_BYTES_MAX {
                    return Ok(Step::Full);
                }
                self.bytes += record.payload.len();
                self.found.push(record);
            }
            self.at = entry.position;
        }
        self.read.check_time()?;
        Ok(Step::On)
    }

    /// The delivery, where the filter wants it.
    fn judge(&self, entry: Entry) -> Outcome<Option<DeliveryRecord>> {
        let Some(stored) = deliveries::find(self.read.conn, entry.delivery)? else {
            return Ok(None);
        };
        if !self.wants(&stored) || !self.wants_event(&stored)? {
            return Ok(None);
        }
        deliveries::record(self.read.conn, &stored)
    }

    fn wants(&self, stored: &Stored) -> bool {
        let has_status = match (self.filter.status, stored.state.status) {
            (None, _)
            | (Some(StatusFilter::Pending), Status::Pending { .. })
            | (Some(StatusFilter::Succeeded), Status::Succeeded { .. })
            | (Some(StatusFilter::Failed), Status::Failed { .. }) => true,
            (Some(_), _) => false,
        };
        has_status
            && stored.account == self.account
            && self.filter.webhook.is_none_or(|webhook| stored.webhook == webhook)
            && self.filter.created.contains(stored.state.created_at)
    }

    fn wants_event(&self, stored: &Stored) -> Outcome<bool> {
        if self.filter.name.is_none() && self.filter.resource_id.is_none() {
            return Ok(true);
        }
        // A test has no event: no filter of events wants it.
        let event = match stored.event {
            Some(position) => events::by_position(self.read.conn, position)?,
            None => None,
        };
        Ok(event.is_some_and(|event| self.matches(&event)))
    }

    fn matches(&self, event: &Event) -> bool {
        self.filter.name.as_ref().is_none_or(|pattern| pattern.matches(&event.name))
            && self.filter.resource_id.as_ref().is_none_or(|id| *id == event.resource.id)
    }
}

/// The deliveries of an event, newest first.
fn of_event(conn: &Connection, event: i64) -> Outcome<Vec<Entry>> {
    let first: Vec<u8> = conn
        .prepare_cached("SELECT deliveries FROM events WHERE position = ?")?
        .query_row([event], |row| row.get(0))?;
    let mut found = Vec::new();
    for id in first.as_chunks::<16>().0 {
        let delivery = DeliveryId::from_u128(u128::from_be_bytes(*id));
        if let Some(stored) = deliveries::find(conn, delivery)? {
            found.push(Entry {
                position: stored.position,
                delivery,
            });
        }
    }
    let mut statement = conn.prepare_cached("SELECT position, delivery FROM later_deliveries WHERE event = ? ORDER BY position")?;
    let mut rows = statement.query([event])?;
    while let Some(row) = rows.next()? {
        found.push(Entry {
            position: row.get::<_, i64>(0)?.unsigned_abs(),
            delivery: DeliveryId::from_u128(u128::from_be_bytes(row.get(1)?)),
        });
    }
    found.reverse();
    Ok(found)
}

/// Where a page of rows that have a position of their own begins: before this.
pub(crate) fn before(page: PageAsk) -> i64 {
    page.after.map_or(i64::MAX, |after| as_integer(after.major))
}

/// A page of rows that were read one further than asked for, to see whether there is more.
pub(crate) fn page_of<T>(mut rows: Vec<(i64, T)>, limit: usize) -> Page<T> {
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = has_more
        .then(|| rows.last().map(|(position, _)| Position::counted(position.unsigned_abs())))
        .flatten();
    Page {
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        next,
    }
}

/// How many rows a page reads: one more than it shows.
pub(crate) fn limit(page: PageAsk) -> i64 {
    i64::try_from(page.limit).unwrap_or(i64::MAX).saturating_add(1)
}
