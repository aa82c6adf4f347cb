//! Takes away what is kept no longer, oldest first, in small steps.
//!
//! The walk goes over events by position. Of an old event each delivery goes that is not on its way, and the event with the last of them.
//! What had to stay is noted in `kept_events`, and looked at again after `AGAIN_AFTER`. Where the walk stands is a row of `retention`.

use std::time::Duration;

use postrider_model::delivery::Status;
use postrider_model::id::{DeliveryId, WebhookId};
use postrider_model::time::Timestamp;
use postrider_ports::store::{Retire, Retired};
use rusqlite::{Connection, OptionalExtension as _, params};
use rustc_hash::FxHashMap;

use crate::deliveries::{self, Stored};
use crate::fault::Outcome;
use crate::segments::{self, Verdict};
use crate::tx::{Tx, as_integer};
use crate::webhooks::{Standing, standing};
use crate::{fanouts, leftovers};

/// After how long retention looks again at what it passed over.
pub(crate) const AGAIN_AFTER: Duration = Duration::from_secs(3600);
/// Rows that a step looks at for each that it may write.
const LOOKS_PER_ROW: usize = 4;

/// Deliveries of one event that are read at a time.
const LATER_READ: i64 = 256;

/// What a step may still do.
pub(crate) struct Budget {
    rows: usize,
    looks: usize,
}

impl Budget {
    pub(crate) const fn new(rows: usize) -> Self {
        Self {
            rows,
            looks: rows.saturating_mul(LOOKS_PER_ROW),
        }
    }

    pub(crate) const fn is_spent(&self) -> bool {
        self.rows == 0 || self.looks == 0
    }

    pub(crate) const fn look(&mut self) {
        self.looks = self.looks.saturating_sub(1);
    }

    pub(crate) const fn write(&mut self, rows: usize) {
        self.rows = self.rows.saturating_sub(rows);
    }

    /// Nothing more is to be done in this step.
    pub(crate) const fn end(&mut self) {
        self.rows = 0;
    }

    /// As a LIMIT.
    pub(crate) fn rows(&self) -> i64 {
        i64::try_from(self.rows).unwrap_or(i64::MAX)
    }
}

/// Where the walk stands.
#[derive(Clone, PartialEq, Eq)]
struct State {
    through: i64,
    /// The event under way; 0 where there is none.
    event: i64,
    /// The position of its last delivery that was dealt with.
    delivery: i64,
    is_kept: bool,
    test: Vec<u8>,
    tests_again_at: i64,
}

/// One step.
pub(crate) fn step(tx: &mut Tx<'_>, ask: &Retire, verdict: Option<Verdict>) -> Outcome<Retired> {
    let mut budget = Budget::new(ask.rows_max);
    let mut retired = Retired::default();
    // First what was found out in the read before, so that it is not found out again.
    if let Some(verdict) = verdict {
        segments::settle(tx.conn, verdict, ask.now, &mut budget)?;
        retired.has_more = true;
    }
    let state = load(tx.conn)?;
    let mut walk = Walk {
        conn: tx.conn,
        ask,
        state: state.clone(),
        budget,
        retired,
        active: FxHashMap::default(),
    };
    walk.events()?;
    walk.tests()?;
    // A step that finds nothing writes nothing: an idle store stays at rest.
    if walk.state != state {
        save(tx.conn, &walk.state)?;
    }
    let Walk {
        mut budget, mut retired, ..
    } = walk;
    if !budget.is_spent() {
        leftovers::clear(tx, ask, &mut budget)?;
    }
    retired.has_more |= budget.is_spent();
    if leftovers::excess(tx.conn)? > 0 {
        // In a step that has nothing else to do, so that each holds the writer for as long as one of both takes.
        if budget.rows == ask.rows_max {
            leftovers::shrink(tx.conn)?;
        }
        retired.has_more = true;
    }
    Ok(retired)
}

/// Up to which position events were dealt with: what is left of them is past its time.
pub(crate) fn through(conn: &Connection) -> Outcome<u64> {
    let through: i64 = conn
        .prepare_cached("SELECT through FROM retention")?
        .query_row([], |row| row.get(0))?;
    Ok(through.unsigned_abs())
}

fn load(conn: &Connection) -> Outcome<State> {
    Ok(conn
        .prepare_cached("SELECT through, event, delivery, is_kept, test, tests_again_at FROM retention")?
        .query_row([], |row| {
            Ok(State {
                through: row.get(0)?,
                event: row.get(1)?,
                delivery: row.get(2)?,
                is_kept: row.get(3)?,
                test: row.get(4)?,
                tests_again_at: row.get(5)?,
            })
        })?)
}

fn save(conn: &Connection, state: &State) -> Outcome<()> {
    conn.prepare_cached("UPDATE retention SET through = ?, event = ?, delivery = ?, is_kept = ?, test = ?, tests_again_at = ?")?
        .execute(params![
            state.through,
            state.event,
            state.delivery,
            state.is_kept,
            state.test,
            state.tests_again_at
        ])?;
    Ok(())
}

/// A step under way.
struct Walk<'a> {
    conn: &'a Connection,
    ask: &'a Retire,
    state: State,
    budget: Budget,
    retired: Retired,
    /// Webhooks that were asked for in this step, and whether they are active: at most as many as rows are looked at.
    active: FxHashMap<WebhookId, bool>,
}

impl Walk<'_> {
    fn events(&mut self) -> Outcome<()> {
        while !self.budget.is_spent() {
            if self.state.event == 0 && !self.begin_next()? {
                return Ok(());
            }
            self.event()?;
        }
        Ok(())
    }

    /// Takes up the next old event, or one that was passed over some time ago. False where there is none.
    fn begin_next(&mut self) -> Outcome<bool> {
        self.budget.look();
        let next: Option<(i64, i64)> = self
            .conn
            .prepare_cached("SELECT position, created_at FROM events WHERE position > ? ORDER BY position LIMIT 1")?
            .query_row([self.state.through], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let event = match next {
            Some((event, created_at)) if created_at < self.ask.before.as_millis() => Some(event),
            // From the future: made while the clock was wrong. It must not hold up what is behind it.
            Some((event, created_at)) if created_at > self.ask.now.as_millis() => {
                self.keep(event)?;
                self.state.through = event;
                return Ok(true);
            }
            _ => self.passed_over()?,
        };
        self.state.event = event.unwrap_or(0);
        self.state.delivery = self.state.event;
        self.state.is_kept = false;
        Ok(event.is_some())
    }

    fn passed_over(&self) -> Outcome<Option<i64>> {
        Ok(self
            .conn
            .prepare_cached("SELECT event FROM kept_events WHERE again_at <= ? ORDER BY again_at LIMIT 1")?
            .query_row([self.ask.now.as_millis()], |row| row.get(0))
            .optional()?)
    }

    /// Goes on with the event under way, as far as the step may.
    fn event(&mut self) -> Outcome<()> {
        let event = self.state.event;
        if event == 0 {
            return Ok(());
        }
        let row: Option<(i64, Vec<u8>, Vec<u8>)> = self
            .conn
            .prepare_cached("SELECT created_at, id, deliveries FROM events WHERE position = ?")?
            .query_row([event], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((created_at, id, first)) = row else {
            return self.leave(false);
        };
        let is_old = created_at < self.ask.before.as_millis();
        if !is_old || fanouts::is_promised(self.conn, event)? {
            return self.leave(true);
        }
        for delivery in self.rest_of_first(&first) {
            if self.budget.is_spent() {
                return Ok(());
            }
            self.state.delivery += 1;
            self.judge(DeliveryId::from_u128(u128::from_be_bytes(delivery)))?;
        }
        if !self.later(event)? {
            return Ok(());
        }
        if !self.state.is_kept {
            forget_event(self.conn, event, &id)?;
            self.budget.write(2);
            self.retired.events += 1;
        }
        self.leave(self.state.is_kept)
    }

    /// The deliveries that were made of the event later. False where the step ended before all were dealt with.
    fn later(&mut self, event: i64) -> Outcome<bool> {
        loop {
            let some = fanouts::later_behind(self.conn, event, self.state.delivery, LATER_READ)?;
            if some.is_empty() {
                return Ok(!self.budget.is_spent());
            }
            for (position, delivery) in some {
                if self.budget.is_spent() {
                    return Ok(false);
                }
                self.state.delivery = position;
                if !self.judge(delivery)? {
                    fanouts::forget_later(self.conn, event, position)?;
                }
            }
        }
    }

    /// The deliveries that the event was stored with, and that were not dealt with yet: theirs are the positions behind it.
    fn rest_of_first(&self, first: &[u8]) -> Vec<[u8; 16]> {
        let dealt_with = usize::try_from(self.state.delivery - self.state.event).unwrap_or(usize::MAX);
        first.as_chunks::<16>().0.iter().skip(dealt_with).copied().collect()
    }

    /// Done with the event under way.
    fn leave(&mut self, is_kept: bool) -> Outcome<()> {
        let event = self.state.event;
        if is_kept {
            self.keep(event)?;
        } else {
            self.conn
                .prepare_cached("DELETE FROM kept_events WHERE event = ?")?
                .execute([event])?;
        }
        self.state.through = self.state.through.max(event);
        self.state.event = 0;
        Ok(())
    }

    fn keep(&mut self, event: i64) -> Outcome<()> {
        self.conn
            .prepare_cached("INSERT OR REPLACE INTO kept_events (event, again_at) VALUES (?, ?)")?
            .execute([event, (self.ask.now + AGAIN_AFTER).as_millis()])?;
        self.budget.write(1);
        Ok(())
    }

    /// Takes a delivery away, unless it is on its way. True where it stays.
    fn judge(&mut self, delivery: DeliveryId) -> Outcome<bool> {
        self.budget.look();
        let Some(stored) = deliveries::find(self.conn, delivery)? else {
            return Ok(false);
        };
        if self.is_on_its_way(&stored)? {
            self.state.is_kept = true;
            return Ok(true);
        }
        self.budget.write(deliveries::remove(self.conn, &stored)?);
        self.retired.deliveries += 1;
        Ok(false)
    }

    fn is_on_its_way(&mut self, stored: &Stored) -> Outcome<bool> {
        if !matches!(stored.state.status, Status::Pending { .. }) {
            return Ok(false);
        }
        if let Some(is_active) = self.active.get(&stored.webhook) {
            return Ok(*is_active);
        }
        let is_active = standing(self.conn, stored.account, stored.webhook)? == Standing::Active;
        self.active.insert(stored.webhook, is_active);
        Ok(is_active)
    }

    /// Old tests: their ids begin with the time at which they were made, so that the young ones need not be looked at.
    fn tests(&mut self) -> Outcome<()> {
        let now = self.ask.now.as_millis();
        if self.state.event != 0 || now < self.state.tests_again_at {
            return Ok(());
        }
        let kept = std::mem::take(&mut self.state.is_kept);
        while !self.budget.is_spent() {
            let next: Option<[u8; 16]> = self
                .conn
                .prepare_cached("SELECT delivery FROM tests WHERE delivery > ? AND delivery < ? ORDER BY delivery LIMIT 1")?
                .query_row(params![self.state.test, first_id_of(self.ask.before)], |row| row.get(0))
                .optional()?;
            let Some(next) = next else {
                self.state.test.clear();
                self.state.tests_again_at = (self.ask.now + AGAIN_AFTER).as_millis();
                break;
            };
            self.judge(DeliveryId::from_u128(u128::from_be_bytes(next)))?;
            self.state.test = next.to_vec();
        }
        self.state.is_kept = kept;
        Ok(())
    }
}

/// The smallest id that can be made at a time.
fn first_id_of(time: Timestamp) -> [u8; 16] {
    (u128::from(time.as_millis().max(0).unsigned_abs()) << 80).to_be_bytes()
}

/// An event without deliveries.
pub(crate) fn forget_event(conn: &Connection, event: i64, id: &[u8]) -> Outcome<()> {
    conn.prepare_cached("DELETE FROM events WHERE position = ?")?.execute([event])?;
    conn.prepare_cached("DELETE FROM event_ids WHERE id = ?")?.execute([id])?;
    Ok(())
}

/// Everything up to this position is gone.
pub(crate) fn floor(conn: &Connection) -> Outcome<i64> {
    Ok(conn
        .prepare_cached("SELECT floor FROM retention")?
        .query_row([], |row| row.get(0))?)
}

/// Everything up to `position` is gone.
pub(crate) fn raise_floor(conn: &Connection, position: u64) -> Outcome<()> {
    conn.prepare_cached("UPDATE retention SET floor = max(floor, ?)")?
        .execute([as_integer(position)])?;
    Ok(())
}
