//! Recovery: what a job sends a webhook again.
//!
//! A step is planned in a read, which looks at many events, and carried out in the writer, which touches only what is sent again. The
//! writer trusts no more of the plan than cannot have changed: an event's position, and what its deliveries were up to the moment of
//! the read. What was made of the event since then is looked at once more.

use postrider_model::delivery::{Change, Progress, Status};
use postrider_model::id::{AccountId, DeliveryId, JobId, WebhookId};
use postrider_model::job::{JobStatus, RECOVER_WAITING_MAX, Recovery, Resend};
use postrider_model::name::{EventName, EventNamePattern};
use postrider_model::queue::Position;
use postrider_model::time::Timestamp;
use postrider_ports::store::{JobNext, JobStep, JobStepped};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::codec::State;
use crate::fault::{Outcome, corrupt};
use crate::history::{self, Entry};
use crate::jobs::{self, JobRow};
use crate::reader::Snapshot;
use crate::tx::{NewDelivery, Tx, as_integer};
use crate::walk::{self, Stretch};
use crate::webhooks::{self, Standing, standing};
use crate::{deliveries, fanouts, retention};

/// Events that a step looks at for each row that it may write.
const LOOKS_PER_ROW: usize = 10;

/// What a step is to do.
pub(crate) enum Plan {
    /// The job has ended.
    Ended,
    /// Its webhook is not active, or has enough to do.
    Later,
    /// This.
    Go(Box<Work>),
}

/// What was found for one step.
pub(crate) struct Work {
    /// The job as it was read.
    row: JobRow,
    /// The last position that the read has seen.
    seen: u64,
    /// Events of which something is to be sent again, by position, oldest first.
    resends: Vec<(u64, Resend)>,
    /// The last event that was looked at.
    through: u64,
    /// Whether there are no events behind it.
    is_end: bool,
}

/// Finds what the next step of a job is to do. Nothing is written.
pub(crate) fn plan(read: &Snapshot<'_>, job: JobId, (rows_max, now): (usize, Timestamp)) -> Outcome<Plan> {
    let Some(row) = jobs::find_running(read.conn, job)? else {
        return Ok(Plan::Ended);
    };
    let mut work = Work {
        seen: history::last_position(read.conn)?.major,
        resends: Vec::new(),
        through: row.through,
        is_end: false,
        row,
    };
    let (account, recovery) = (work.row.job.account, work.row.recovery);
    match standing(read.conn, account, recovery.webhook)? {
        Standing::Gone | Standing::Deleted => return Ok(Plan::Go(Box::new(work))),
        Standing::Inactive => return Ok(Plan::Later),
        Standing::Active => {}
    }
    // Counting sends nothing, so it waits for nobody.
    let room = match work.row.job.total {
        None => usize::MAX,
        Some(_) => rows_max.min(room(read.conn, recovery.webhook, now)?),
    };
    if room == 0 {
        return Ok(Plan::Later);
    }
    let search = Search {
        read,
        account,
        recovery,
        names: webhooks::names_of(read.conn, recovery.webhook)?,
    };
    // What retention went over is past its time, even where something of it is kept because it is on its way.
    work.through = work.through.max(retention::through(read.conn)?);
    search.fill(&mut work, room, rows_max.saturating_mul(LOOKS_PER_ROW))?;
    Ok(Plan::Go(Box::new(work)))
}

/// How many deliveries may come to those that are due.
fn room(conn: &Connection, webhook: WebhookId, now: Timestamp) -> Outcome<usize> {
    let waiting: i64 = conn
        .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM queue WHERE webhook = ? AND due <= ? LIMIT ?)")?
        .query_row(
            params![
                webhook.as_u128().to_be_bytes(),
                now.as_millis(),
                as_integer(RECOVER_WAITING_MAX as u64)
            ],
            |row| row.get(0),
        )?;
    Ok(RECOVER_WAITING_MAX.saturating_sub(usize::try_from(waiting).unwrap_or(usize::MAX)))
}

/// A look at the events of an account.
struct Search<'a> {
    read: &'a Snapshot<'a>,
    account: AccountId,
    recovery: Recovery,
    /// What the webhook wants today; none means all.
    names: Vec<EventNamePattern>,
}

impl Search<'_> {
    /// Looks at events until enough is found, or enough was looked at.
    fn fill(&self, work: &mut Work, room: usize, mut looks: usize) -> Outcome<()> {
        let times = (self.recovery.since, self.recovery.until);
        loop {
            let Some(stretch) = walk::next(self.read.conn, (self.account, self.recovery.webhook), work.through, times)? else {
                work.is_end = true;
                return Ok(());
            };
            for position in &stretch.events {
                if work.resends.len() >= room || looks == 0 {
                    return Ok(());
                }
                looks -= 1;
                let resend = self.judge(*position, &stretch)?;
                if resend != Resend::Nothing {
                    work.resends.push((*position, resend));
                }
                work.through = *position;
            }
            self.read.check_time()?;
            work.through = stretch.through;
            if stretch.is_last {
                work.is_end = true;
                return Ok(());
            }
            // A stretch without events of the account is a look too, so that a step ends among many of them.
            looks = looks.saturating_sub(1);
            if looks == 0 {
                return Ok(());
            }
        }
    }

    /// What is to be done about one event.
    fn judge(&self, position: u64, stretch: &Stretch) -> Outcome<Resend> {
        let event: Option<(i64, String, i64)> = self
            .read
            .conn
            .prepare_cached("SELECT created_at, name, length(deliveries) FROM events WHERE position = ?")?
            .query_row([as_integer(position)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((created_at, name, first)) = event else {
            return Ok(Resend::Nothing);
        };
        let created_at = Timestamp::from_millis(created_at);
        if created_at < self.recovery.since || self.recovery.until <= created_at {
            return Ok(Resend::Nothing);
        }
        let Some(found) = self.deliveries(position, first.unsigned_abs() / 16, stretch)? else {
            return Ok(Resend::Nothing);
        };
        let name = EventName::parse(&name).map_err(corrupt)?;
        let is_wanted = self.names.is_empty() || self.names.iter().any(|pattern| pattern.matches(&name));
        Ok(self.recovery.what.judge(&found, is_wanted))
    }

    /// The deliveries of an event to the webhook, oldest first. `None` where one was there and is kept no longer.
    fn deliveries(&self, event: u64, first: u64, stretch: &Stretch) -> Outcome<Option<Vec<(DeliveryId, Status)>>> {
        let conn = self.read.conn;
        let mut found = Vec::new();
        // Those that it was stored with have the positions behind it.
        for Entry { delivery, .. } in stretch.deliveries_between(event, event.saturating_add(first)) {
            let Some(stored) = deliveries::find(conn, *delivery)? else {
                return Ok(None);
            };
            found.push((*delivery, stored.state.status));
        }
        for delivery in fanouts::later_of(conn, event, 0)? {
            if let Some(stored) = deliveries::find(conn, delivery)?.filter(|stored| stored.webhook == self.recovery.webhook) {
                found.push((delivery, stored.state.status));
            }
        }
        // What is promised is on its way as well.
        if let Some(delivery) = fanouts::promised(conn, event, self.recovery.webhook)? {
            found.push((delivery, Status::Pending { due: Timestamp::default() }));
        }
        Ok(Some(found))
    }
}

/// Does what was planned, and keeps how far the job came: all in one transaction.
pub(crate) fn carry_out(tx: &mut Tx<'_>, step: &JobStep, work: &Work) -> Outcome<JobStepped> {
    let stepped = |next| JobStepped { queued: None, next };
    let Some(mut row) = jobs::find_running(tx.conn, step.job)? else {
        return Ok(stepped(JobNext::Ended));
    };
    // Somebody else went on with it since it was read: what was planned is done.
    if (row.through, row.job.total) != (work.row.through, work.row.job.total) {
        return Ok(stepped(JobNext::More));
    }
    let account = row.job.account;
    let webhook = row.recovery.webhook;
    row.job.modified_at = step.now;
    match standing(tx.conn, account, webhook)? {
        Standing::Gone | Standing::Deleted => {
            let error = match webhooks::is_account_live(tx.conn, account)? {
                true => "the webhook was deleted",
                false => "the account was deleted",
            };
            end(&mut row, JobStatus::Failed, step.now);
            row.job.error = Some(error.to_owned());
            jobs::save(tx.conn, &row)?;
            return Ok(stepped(JobNext::Ended));
        }
        Standing::Inactive => return Ok(stepped(JobNext::Later)),
        Standing::Active => {}
    }
    if row.job.total.is_none() {
        count(&mut row, work);
        jobs::save(tx.conn, &row)?;
        return Ok(stepped(JobNext::More));
    }
    let done = resend(tx, step, work, &mut row)?;
    if row.through == work.through && work.is_end {
        end(&mut row, JobStatus::Succeeded, step.now);
    }
    jobs::save(tx.conn, &row)?;
    Ok(JobStepped {
        // A place of its own: those that are pending again have the old ones, and a read from before has not seen them.
        queued: (done > 0).then(|| (account, webhook, Position::counted(tx.next_position()))),
        next: match row.job.status {
            JobStatus::Running => JobNext::More,
            _ => JobNext::Ended,
        },
    })
}

fn end(row: &mut JobRow, status: JobStatus, now: Timestamp) {
    row.job.status = status;
    row.job.ended_at = Some(now);
    if status == JobStatus::Succeeded {
        row.job.total = Some(row.job.done);
    }
}

fn count(row: &mut JobRow, work: &Work) {
    row.counted += work.resends.len() as u64;
    row.through = work.through;
    if work.is_end {
        row.job.total = Some(row.counted);
        row.through = 0;
    }
}

/// Sends again, as far as there is room now. Tells how many.
fn resend(tx: &mut Tx<'_>, step: &JobStep, work: &Work, row: &mut JobRow) -> Outcome<u64> {
    let (account, webhook) = (row.job.account, row.recovery.webhook);
    let mut room = room(tx.conn, webhook, step.now)?.min(step.rows_max);
    let mut fresh = step.fresh.iter();
    let mut done = 0;
    for (event, resend) in &work.resends {
        if room == 0 {
            break;
        }
        let is_sent = match resend {
            Resend::Nothing => false,
            _ if was_made_since(tx.conn, *event, webhook, work.seen)? => false,
            Resend::Again(delivery) => again(tx, *delivery, step.now)?,
            Resend::New => {
                let Some(id) = fresh.next() else { break };
                make(tx, *event, (account, webhook), (*id, step.now))?
            }
        };
        room -= usize::from(is_sent);
        done += u64::from(is_sent);
        row.through = *event;
    }
    if work.resends.last().is_none_or(|(event, _)| *event == row.through) {
        row.through = work.through;
    }
    row.job.done += done;
    row.job.total = row.job.total.map(|total| total.max(row.job.done));
    Ok(done)
}

/// Whether a delivery to the webhook was made of an event since the plan was.
fn was_made_since(conn: &Connection, event: u64, webhook: WebhookId, seen: u64) -> Outcome<bool> {
    for delivery in fanouts::later_of(conn, event, seen)? {
        if deliveries::find(conn, delivery)?.is_some_and(|stored| stored.webhook == webhook) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The same delivery is pending again, in its turn. False where it moved on meanwhile.
fn again(tx: &Tx<'_>, delivery: DeliveryId, now: Timestamp) -> Outcome<bool> {
    let Some(mut stored) = deliveries::find(tx.conn, delivery)? else {
        return Ok(false);
    };
    let before = stored.state.status;
    if !matches!(before, Status::Failed { .. }) {
        return Ok(false);
    }
    let after = stored
        .judged()
        .apply(Change::Retried, now)
        .map_err(|_| corrupt("a failed delivery cannot be retried"))?;
    stored.state.take(&after);
    stored.state.is_urgent = false;
    deliveries::rewrite(tx, &stored, before)?;
    Ok(true)
}

/// A new delivery of an event that was stored before. False where the event is gone.
fn make(tx: &mut Tx<'_>, event: u64, (account, webhook): (AccountId, WebhookId), (id, now): (DeliveryId, Timestamp)) -> Outcome<bool> {
    let is_there = tx
        .conn
        .prepare_cached("SELECT 1 FROM events WHERE position = ?")?
        .exists([as_integer(event)])?;
    if !is_there {
        return Ok(false);
    }
    let state = State {
        status: Status::Pending { due: now },
        is_urgent: false,
        progress: Progress::new(now),
        created_at: now,
        modified_at: now,
        success: None,
    };
    let new = NewDelivery {
        id,
        account,
        webhook,
        event: Some(event),
        state: &state,
    };
    let position = tx.add_delivery(&new, now.as_millis())?;
    fanouts::note_later(tx.conn, as_integer(event), position, id)?;
    Ok(true)
}
