//! Recovery: what a job sends a webhook again.
//!
//! A step is one transaction that holds its job: a crash takes all of it back, and no other node goes on with it meanwhile. It walks the events
//! of the account by their places, only as far as nothing can come in between any more.

use postrider_model::delivery::{Change, Progress, Status};
use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::job::{JobStatus, RECOVER_WAITING_MAX, Resend};
use postrider_model::name::EventNamePattern;
use postrider_model::queue::Position;
use postrider_model::time::Timestamp;
use postrider_ports::store::{JobNext, JobStep, JobStepped, TimeRange};
use uuid::Uuid;

use crate::conn::Conn;
use crate::deliveries::{self, ENDED, Stored, slot_column};
use crate::event_reads::{Head, IdRange, Walk};
use crate::fault::{Outcome, corrupt};
use crate::jobs::{self, JobRow, Taken};
use crate::moves;
use crate::param::Array;
use crate::position::Positions;
use crate::resends::Resends;
use crate::retries::this_place;
use crate::standing::{Standing, held, standing};

/// Events that a step looks at for each row that it may write.
const LOOKS_PER_ROW: usize = 10;

/// What retention went over is past its time, even where something of it is kept because it is on its way.
const YOUNG: &str = "events.id >= (SELECT floor FROM postrider.retention)";

/// What was found for one step.
struct Work {
    /// Events of which something is to be sent again, oldest first.
    resends: Vec<(Head, Resend)>,
    /// The last event that was looked at.
    through: Position,
    /// Whether there are no events behind it.
    is_end: bool,
    /// Whether some may still come before places that were given already.
    is_unsure: bool,
}

const fn stepped(next: JobNext) -> JobStepped {
    JobStepped { queued: None, next }
}

/// One step of a job, within a transaction.
pub(crate) async fn step(conn: &Conn, positions: Positions, step: &JobStep) -> Outcome<JobStepped> {
    let mut row = match jobs::take(conn, step.job).await? {
        Taken::Ended => return Ok(stepped(JobNext::Ended)),
        Taken::Others => return Ok(stepped(JobNext::Later)),
        Taken::Ours(row) => row,
    };
    let (account, webhook) = (row.job.account, row.recovery.webhook);
    // Two jobs of one webhook would make a delivery of an event twice.
    if !hold_webhook(conn, webhook).await? {
        return Ok(stepped(JobNext::Later));
    }
    row.job.modified_at = step.now;
    match standing(conn, account, webhook).await? {
        Standing::Gone | Standing::Deleted => return give_up(conn, &mut row, step.now).await,
        Standing::Inactive => return Ok(stepped(JobNext::Later)),
        Standing::Active => {}
    }
    // Counting sends nothing, so it waits for nobody.
    let room = match row.job.total {
        None => usize::MAX,
        Some(_) => step.rows_max.min(room(conn, (account, webhook), step.now).await?),
    };
    if room == 0 {
        return Ok(stepped(JobNext::Later));
    }
    let work = find(conn, positions, &row, (room, step.rows_max.saturating_mul(LOOKS_PER_ROW))).await?;
    carry_out(conn, positions, (step, &mut row), work).await
}

/// Does what was found, and keeps how far the job came.
async fn carry_out(conn: &Conn, positions: Positions, (step, row): (&JobStep, &mut JobRow), work: Work) -> Outcome<JobStepped> {
    let next = if work.is_unsure { JobNext::Later } else { JobNext::More };
    if row.job.total.is_none() {
        count(row, &work);
        jobs::save(conn, row).await?;
        return Ok(stepped(next));
    }
    let (account, webhook) = (row.job.account, row.recovery.webhook);
    match held(conn, account, webhook).await? {
        Standing::Gone | Standing::Deleted => return give_up(conn, row, step.now).await,
        Standing::Inactive => return Ok(stepped(JobNext::Later)),
        Standing::Active => {}
    }
    let last = send_again(conn, positions, (step, row), &work.resends).await?;
    row.through = work.through;
    if work.is_end {
        end(row, JobStatus::Succeeded, step.now);
    }
    jobs::save(conn, row).await?;
    Ok(JobStepped {
        queued: last.map(|last| (account, webhook, last)),
        next: if work.is_end { JobNext::Ended } else { next },
    })
}

async fn hold_webhook(conn: &Conn, webhook: WebhookId) -> Outcome<bool> {
    let key = Uuid::from_u128(webhook.as_u128()).as_u64_pair().1.cast_signed();
    Ok(conn.query_one("SELECT pg_try_advisory_xact_lock($1)", &[&key]).await?.try_get(0)?)
}

/// How many deliveries may come to those that are due.
async fn room(conn: &Conn, (account, webhook): (AccountId, WebhookId), now: Timestamp) -> Outcome<usize> {
    let row = conn
        .query_one(
            "SELECT count(*) FROM (
                 SELECT FROM postrider.queue WHERE slot = $1 AND account = $2 AND webhook = $3
                 AND (CASE WHEN is_fresh THEN 0::bigint ELSE due END) <= $4
                 ORDER BY (CASE WHEN is_fresh THEN 0::bigint ELSE due END) LIMIT $5
             ) AS due",
            &[
                &slot_column(webhook),
                &Uuid::from_u128(account.as_u128()),
                &Uuid::from_u128(webhook.as_u128()),
                &now.as_millis(),
                &(RECOVER_WAITING_MAX as i64),
            ],
        )
        .await?;
    let waiting = usize::try_from(row.try_get::<_, i64>(0)?).unwrap_or(usize::MAX);
    Ok(RECOVER_WAITING_MAX.saturating_sub(waiting))
}

/// Its webhook or account is deleted.
async fn give_up(conn: &Conn, row: &mut JobRow, now: Timestamp) -> Outcome<JobStepped> {
    let is_account_live = conn
        .query_opt(
            "SELECT FROM postrider.accounts WHERE id = $1 AND deleted_at IS NULL",
            &[&Uuid::from_u128(row.job.account.as_u128())],
        )
        .await?
        .is_some();
    let error = match is_account_live {
        true => "the webhook was deleted",
        false => "the account was deleted",
    };
    end(row, JobStatus::Failed, now);
    row.job.error = Some(error.to_owned());
    jobs::save(conn, row).await?;
    Ok(stepped(JobNext::Ended))
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
        row.through = Position::default();
    }
}

/// Looks at events until enough is found, or enough was looked at.
async fn find(conn: &Conn, positions: Positions, row: &JobRow, (room, looks): (usize, usize)) -> Outcome<Work> {
    let recovery = row.recovery;
    let times = TimeRange {
        from: Some(recovery.since),
        until: Some(recovery.until),
    };
    let walk = Walk {
        account: row.job.account,
        ids: IdRange::of_times(times),
        kept: YOUNG,
    };
    let limit = i64::try_from(looks.max(1)).unwrap_or(i64::MAX);
    let (heads, sure) = walk.behind(conn, positions, (row.through, limit)).await?;
    let is_last = heads.len() < looks.max(1);
    // Whatever was stored before the job was made is its work: it ends only once all of that is seen.
    let is_all_seen = sure >= row.position;
    let mut work = Work {
        resends: Vec::new(),
        through: row.through,
        is_end: is_last && is_all_seen,
        is_unsure: is_last && !is_all_seen,
    };
    let names = names_of(conn, row.job.account, recovery.webhook).await?;
    let all = Resends::read(conn, (row.job.account, recovery.webhook), &heads).await?;
    for head in heads {
        if work.resends.len() >= room {
            (work.is_end, work.is_unsure) = (false, false);
            break;
        }
        work.through = head.position;
        if !times.contains(head.event.created_at) {
            continue;
        }
        let is_wanted = names.is_empty() || names.iter().any(|pattern| pattern.matches(&head.event.name));
        let resend = recovery.what.judge(all.of(head.key), is_wanted);
        if resend != Resend::Nothing {
            work.resends.push((head, resend));
        }
    }
    Ok(work)
}

/// Which events a webhook wants; none means all.
async fn names_of(conn: &Conn, account: AccountId, webhook: WebhookId) -> Outcome<Vec<EventNamePattern>> {
    let row = conn
        .query_one(
            "SELECT event_names FROM postrider.webhooks WHERE account = $1 AND id = $2",
            &[&Uuid::from_u128(account.as_u128()), &Uuid::from_u128(webhook.as_u128())],
        )
        .await?;
    let names: Vec<&str> = row.try_get(0)?;
    names
        .into_iter()
        .map(|name| EventNamePattern::parse(name).map_err(corrupt))
        .collect()
}

/// Sends again what was found. The place that a read must have seen for all of it; `None` where that is nothing.
async fn send_again(
    conn: &Conn,
    positions: Positions,
    (step, row): (&JobStep, &mut JobRow),
    resends: &[(Head, Resend)],
) -> Outcome<Option<Position>> {
    if resends.is_empty() {
        return Ok(None);
    }
    let place = this_place(conn, positions).await?;
    let account = row.job.account;
    let failed = resends.iter().filter_map(|(_, resend)| match resend {
        Resend::Again(delivery) => Some(*delivery),
        Resend::Nothing | Resend::New => None,
    });
    let again = again(conn, account, failed.collect(), step.now).await?;
    let events = resends
        .iter()
        .filter(|(_, resend)| *resend == Resend::New)
        .map(|(head, _)| head.key);
    let mut minor = 0;
    let mut new = Vec::new();
    for (event, id) in events.zip(&step.fresh) {
        let position = Position { minor, ..place };
        minor += 1;
        new.push(made((account, row.recovery.webhook), (*id, event), (position, step.now)));
    }
    moves::bring_back(conn, account, &again).await?;
    moves::enqueue(conn, new.iter()).await?;
    let done = (again.len() + new.len()) as u64;
    row.job.done += done;
    row.job.total = row.job.total.map(|total| total.max(row.job.done));
    // A place of this transaction also for those that are pending again: they have old ones, and a read from before has not seen them.
    Ok((done > 0).then_some(Position { minor, ..place }))
}

/// Deliveries that failed, pending again in their turn. Those that moved on meanwhile are left out.
async fn again(conn: &Conn, account: AccountId, ids: Vec<DeliveryId>, now: Timestamp) -> Outcome<Vec<Stored>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = ids.into_iter().map(|id| Uuid::from_u128(id.as_u128())).collect();
    let range = IdRange::of_ids(&ids);
    let sql = format!(
        "SELECT {ENDED} FROM postrider.deliveries WHERE account = $1 AND id = ANY($2) AND id BETWEEN $3 AND $4 AND status = $5
         ORDER BY id FOR UPDATE"
    );
    let rows = conn
        .query(
            &sql,
            &[
                &Uuid::from_u128(account.as_u128()),
                &Array(ids),
                &range.first,
                &range.last,
                &deliveries::FAILED,
            ],
        )
        .await?;
    let mut held = deliveries::stored_of(account, &rows)?;
    for stored in &mut held {
        let after = stored
            .judged()
            .apply(Change::Retried, now)
            .map_err(|_| corrupt("a failed delivery cannot be retried"))?;
        stored.take(&after);
    }
    Ok(held)
}

/// A new delivery of an event that was stored before.
fn made((account, webhook): (AccountId, WebhookId), (id, event): (DeliveryId, Uuid), (position, now): (Position, Timestamp)) -> Stored {
    Stored {
        id,
        account,
        webhook,
        event: Some(event),
        position,
        status: Status::Pending { due: now },
        progress: Progress::new(now),
        is_urgent: false,
        is_later: true,
        created_at: now,
        modified_at: now,
        success: None,
        is_fresh: true,
    }
}
