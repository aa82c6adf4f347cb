//! Lists of events: newest first for pages, oldest first for who follows them.

use std::sync::Arc;

use postrider_model::event::Event;
use postrider_model::id::AccountId;
use postrider_model::limits::PAGE_BYTES_MAX;
use postrider_model::queue::Position;
use postrider_ports::page::{Page, PageAsk};
use postrider_ports::store::{EventFilter, EventsBehind};

use crate::events;
use crate::fault::Outcome;
use crate::history;
use crate::lists::{SEARCHED_MAX, SEGMENTS_MAX, Step};
use crate::reader::Snapshot;

/// A page under way.
struct Search<'a> {
    read: &'a Snapshot<'a>,
    account: AccountId,
    filter: &'a EventFilter,
    limit: usize,
    found: Vec<Arc<Event>>,
    bytes: usize,
    searched: usize,
    /// The last place that was looked at.
    at: u64,
}

/// One page of the events of an account, newest first.
pub(crate) fn list(read: &Snapshot<'_>, account: AccountId, filter: &EventFilter, page: PageAsk) -> Outcome<Page<Arc<Event>>> {
    let before = page.after.map_or(u64::MAX, |after| after.major);
    let mut search = Search::new(read, account, filter, (before, page.limit));
    let next = match search.back_from(before)? {
        Step::On => None,
        Step::Full => Some(Position::counted(search.at)),
    };
    Ok(Page { rows: search.found, next })
}

/// The events of an account behind a place, oldest first.
pub(crate) fn behind(
    read: &Snapshot<'_>,
    account: AccountId,
    filter: &EventFilter,
    (after, limit): (Position, usize),
) -> Outcome<EventsBehind> {
    let mut search = Search::new(read, account, filter, (after.major, limit));
    Ok(match search.on_from(after.major)? {
        // One thread writes, so whatever this snapshot does not show yet gets a later place than its last.
        Step::On => EventsBehind {
            next: history::last_position(read.conn)?,
            rows: search.found,
            has_more: false,
        },
        Step::Full => EventsBehind {
            next: Position::counted(search.at),
            rows: search.found,
            has_more: true,
        },
    })
}

impl<'a> Search<'a> {
    fn new(read: &'a Snapshot<'a>, account: AccountId, filter: &'a EventFilter, (at, limit): (u64, usize)) -> Self {
        Self {
            read,
            account,
            filter,
            limit: limit.max(1),
            found: Vec::new(),
            bytes: 0,
            searched: 0,
            at,
        }
    }

    /// From the newest before a place to the oldest.
    fn back_from(&mut self, before: u64) -> Outcome<Step> {
        let conn = self.read.conn;
        let owner = self.account.as_u128().to_be_bytes();
        let tail = history::event_tail(conn, owner, 0)?;
        if let Step::Full = self.all(tail.into_iter().rev().filter(|position| *position < before))? {
            return Ok(Step::Full);
        }
        let start = history::first_segment_through(conn, before)?;
        let mut than = start.map_or(u64::MAX, |segment| segment.saturating_add(1));
        for _ in 0..SEGMENTS_MAX {
            let Some(segment) = history::earlier_segment(conn, than)? else {
                return Ok(Step::On);
            };
            let entries = history::events_of_segment(conn, segment, owner)?;
            if let Step::Full = self.all(entries.into_iter().rev().filter(|position| *position < before))? {
                return Ok(Step::Full);
            }
            than = segment;
            // All of this segment was seen, and what comes next is older: the next page need not look at it again.
            self.at = self.at.min(history::first_of_segment(conn, segment)?);
        }
        Ok(Step::Full)
    }

    /// From the oldest behind a place to the newest.
    fn on_from(&mut self, after: u64) -> Outcome<Step> {
        let conn = self.read.conn;
        let owner = self.account.as_u128().to_be_bytes();
        for _ in 0..SEGMENTS_MAX {
            let Some(segment) = history::later_segment(conn, self.at)? else {
                let tail = history::event_tail(conn, owner, after)?;
                return self.all(tail.into_iter().filter(|position| *position > after));
            };
            let entries = history::events_of_segment(conn, segment, owner)?;
            if let Step::Full = self.all(entries.into_iter().filter(|position| *position > after))? {
                return Ok(Step::Full);
            }
            self.at = segment;
        }
        Ok(Step::Full)
    }

    fn all(&mut self, positions: impl Iterator<Item = u64>) -> Outcome<Step> {
        self.read.check_time()?;
        for position in positions {
            if self.found.len() >= self.limit || self.searched >= SEARCHED_MAX {
                return Ok(Step::Full);
            }
            self.searched += 1;
            // What retention has taken away is passed over.
            if let Some(event) = events::wanted(self.read.conn, position, self.account, self.filter)? {
                if !self.found.is_empty() && self.bytes + event.body.len() > PAGE_BYTES_MAX {
                    return Ok(Step::Full);
                }
                self.bytes += event.body.len();
                self.found.push(Arc::new(event));
            }
            self.at = position;
        }
        Ok(Step::On)
    }
}
