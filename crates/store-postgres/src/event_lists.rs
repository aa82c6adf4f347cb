//! Lists of events: newest first for pages, oldest first for who follows them.

use std::sync::Arc;

use postrider_model::event::Event;
use postrider_model::id::AccountId;
use postrider_model::limits::PAGE_BYTES_MAX;
use postrider_model::queue::Position;
use postrider_ports::page::{Page, PageAsk};
use postrider_ports::store::{EventFilter, EventsBehind};

use crate::conn::Conn;
use crate::event_reads::{self, Head, IdRange, Walk};
use crate::fault::Outcome;
use crate::lists::{SEARCHED_MAX, Step, batch_rows};
use crate::position::{LAST, Positions};
use crate::retention::EVENT_KEPT;

/// A page under way.
struct Search<'a> {
    filter: &'a EventFilter,
    limit: usize,
    found: Vec<Head>,
    bytes: usize,
    searched: usize,
    /// The last place that was looked at.
    at: Position,
}

/// One page of the events of an account, newest first.
pub(crate) async fn list(conn: &Conn, account: AccountId, filter: &EventFilter, page: PageAsk) -> Outcome<Page<Arc<Event>>> {
    let walk = walk(account, filter);
    let mut search = Search::new(filter, page.limit, page.after.unwrap_or(LAST));
    let step = loop {
        let rows = search.next_rows();
        let heads = walk.before(conn, (search.at, rows)).await?;
        if let Some(step) = search.all(heads, rows) {
            break step;
        }
    };
    let next = matches!(step, Step::Full).then_some(search.at);
    let rows = event_reads::whole(conn, account, search.found).await?;
    Ok(Page { rows, next })
}

/// The events of an account behind a place, oldest first.
pub(crate) async fn behind(
    conn: &Conn,
    positions: Positions,
    (account, filter): (AccountId, &EventFilter),
    (after, limit): (Position, usize),
) -> Outcome<EventsBehind> {
    let walk = walk(account, filter);
    let mut search = Search::new(filter, limit, after);
    let (step, sure) = loop {
        let rows = search.next_rows();
        let (heads, sure) = walk.behind(conn, positions, (search.at, rows)).await?;
        if let Some(step) = search.all(heads, rows) {
            break (step, sure);
        }
    };
    let (next, has_more) = match step {
        // Who asks behind a place that is not sure yet, asks behind it again.
        Step::End => (sure.max(search.at), false),
        Step::Full => (search.at, true),
    };
    Ok(EventsBehind {
        rows: event_reads::whole(conn, account, search.found).await?,
        next,
        has_more,
    })
}

fn walk(account: AccountId, filter: &EventFilter) -> Walk {
    Walk {
        account,
        ids: IdRange::of_times(filter.created),
        kept: EVENT_KEPT,
    }
}

impl<'a> Search<'a> {
    fn new(filter: &'a EventFilter, limit: usize, at: Position) -> Self {
        Self {
            filter,
            limit: limit.max(1),
            found: Vec::new(),
            bytes: 0,
            searched: 0,
            at,
        }
    }

    /// How many rows are read next.
    fn next_rows(&self) -> i64 {
        batch_rows(self.limit - self.found.len(), self.searched)
    }

    /// Looks at the rows of a read of at most so many. `None` where there is more to read.
    fn all(&mut self, heads: Vec<Head>, rows: i64) -> Option<Step> {
        let is_end = heads.len() < usize::try_from(rows).unwrap_or(usize::MAX);
        for head in heads {
            if self.found.len() >= self.limit || self.searched >= SEARCHED_MAX {
                return Some(Step::Full);
            }
            self.searched += 1;
            let at = head.position;
            if self.filter.wants(&head.event) {
                if !self.found.is_empty() && self.bytes + head.body_bytes > PAGE_BYTES_MAX {
                    return Some(Step::Full);
                }
                self.bytes += head.body_bytes;
                self.found.push(head);
            }
            self.at = at;
        }
        is_end.then_some(Step::End)
    }
}
