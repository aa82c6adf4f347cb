//! Jobs: made, shown, ended.

use postrider_model::id::{AccountId, JobId, WebhookId};
use postrider_model::job::{Job, JobKind, JobStatus, RecoverWhat, Recovery};
use postrider_model::limits::JOBS_RUNNING_MAX;
use postrider_model::queue::Position;
use postrider_model::time::Timestamp;
use postrider_ports::page::{Page, PageAsk};
use postrider_ports::store::JobMade;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::conn::Conn;
use crate::fault::{Outcome, corrupt};
use crate::position::{LAST, Positions, XID, columns};
use crate::standing::{Standing, held};

pub(crate) const COLUMNS: &str = "id, kind, webhook, status, done, total, error, ended_at, created_at, modified_at, major, minor, account";

/// A job as its row has it.
#[derive(Clone, Debug)]
pub(crate) struct JobRow {
    pub(crate) job: Job,
    pub(crate) recovery: Recovery,
    /// Where it was made: what was stored before is its work.
    pub(crate) position: Position,
    /// Deliveries that were counted, while `Job::total` is not known.
    pub(crate) counted: u64,
    /// The place of the last event that was counted, or dealt with.
    pub(crate) through: Position,
}

/// Makes a job, within a transaction.
pub(crate) async fn create(conn: &Conn, positions: Positions, job: &Job, recovery: Recovery) -> Outcome<JobMade> {
    let account = Uuid::from_u128(job.account.as_u128());
    // One at a time for an account, so that those that run are counted right.
    conn.execute("SELECT FROM postrider.accounts WHERE id = $1 FOR NO KEY UPDATE", &[&account])
        .await?;
    match held(conn, job.account, recovery.webhook).await? {
        Standing::Gone | Standing::Deleted => return Ok(JobMade::NoWebhook),
        Standing::Inactive => return Ok(JobMade::WebhookInactive),
        Standing::Active => {}
    }
    let running = conn
        .query_one("SELECT count(*) FROM postrider.jobs WHERE account = $1 AND status = 1", &[&account])
        .await?;
    if usize::try_from(running.try_get::<_, i64>(0)?).unwrap_or(usize::MAX) >= JOBS_RUNNING_MAX {
        return Ok(JobMade::TooMany);
    }
    insert(conn, positions, job, recovery).await?;
    Ok(JobMade::Made)
}

async fn insert(conn: &Conn, positions: Positions, job: &Job, recovery: Recovery) -> Outcome<()> {
    let sql = format!(
        "INSERT INTO postrider.jobs (major, minor, account, id, kind, webhook, since, until, what, status, done, total, error, ended_at,
                                     created_at, modified_at)
         VALUES ({XID} + $1, 0, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
    );
    conn.execute(
        &sql,
        &[
            &positions.base,
            &Uuid::from_u128(job.account.as_u128()),
            &Uuid::from_u128(job.id.as_u128()),
            &(job.kind as i16),
            &Uuid::from_u128(recovery.webhook.as_u128()),
            &recovery.since.as_millis(),
            &recovery.until.as_millis(),
            &(recovery.what as i16),
            &(job.status as i16),
            &number(job.done),
            &job.total.map(number),
            &job.error.as_deref(),
            &job.ended_at.map(Timestamp::as_millis),
            &job.created_at.as_millis(),
            &job.modified_at.as_millis(),
        ],
    )
    .await?;
    Ok(())
}

/// One job of an account.
pub(crate) async fn find(conn: &Conn, account: AccountId, job: JobId) -> Outcome<Option<Job>> {
    let sql = format!("SELECT {COLUMNS} FROM postrider.jobs WHERE account = $1 AND id = $2");
    let (account, job) = (Uuid::from_u128(account.as_u128()), Uuid::from_u128(job.as_u128()));
    let row = conn.query_opt(&sql, &[&account, &job]).await?;
    row.as_ref().map(job_of).transpose()
}

/// What there is of a job to go on with.
pub(crate) enum Taken {
    /// It runs, and is this transaction's until it ends.
    Ours(Box<JobRow>),
    /// Another node is at it.
    Others,
    /// It has ended, or there is none.
    Ended,
}

/// Takes a job that runs, so that no other node goes on with it meanwhile.
pub(crate) async fn take(conn: &Conn, job: JobId) -> Outcome<Taken> {
    let sql = format!(
        "SELECT {COLUMNS}, since, until, what, counted, through_major, through_minor
         FROM postrider.jobs WHERE id = $1 AND status = 1 FOR UPDATE SKIP LOCKED"
    );
    let id = Uuid::from_u128(job.as_u128());
    if let Some(row) = conn.query_opt(&sql, &[&id]).await? {
        return Ok(Taken::Ours(Box::new(running_of(&row)?)));
    }
    let is_there = conn
        .query_opt("SELECT FROM postrider.jobs WHERE id = $1 AND status = 1", &[&id])
        .await?
        .is_some();
    Ok(if is_there { Taken::Others } else { Taken::Ended })
}

pub(crate) fn running_of(row: &Row) -> Outcome<JobRow> {
    let job = job_of(row)?;
    let webhook = job.webhook.ok_or_else(|| corrupt("a recovery is for no webhook"))?;
    let what = code(row.try_get(15)?).and_then(RecoverWhat::from_code);
    Ok(JobRow {
        job,
        recovery: Recovery {
            webhook,
            since: Timestamp::from_millis(row.try_get(13)?),
            until: Timestamp::from_millis(row.try_get(14)?),
            what: what.ok_or_else(|| corrupt("a recovery is of an unknown kind"))?,
        },
        position: place_of(row)?,
        counted: row.try_get::<_, i64>(16)?.unsigned_abs(),
        through: Positions::stored(row.try_get(17)?, row.try_get(18)?),
    })
}

fn job_of(row: &Row) -> Outcome<Job> {
    let kind = code(row.try_get(1)?).and_then(JobKind::from_code);
    let status = code(row.try_get(3)?).and_then(JobStatus::from_code);
    Ok(Job {
        id: JobId::from_u128(row.try_get::<_, Uuid>(0)?.as_u128()),
        account: AccountId::from_u128(row.try_get::<_, Uuid>(12)?.as_u128()),
        kind: kind.ok_or_else(|| corrupt("a job is of an unknown kind"))?,
        webhook: Some(WebhookId::from_u128(row.try_get::<_, Uuid>(2)?.as_u128())),
        status: status.ok_or_else(|| corrupt("a job has an unknown status"))?,
        done: row.try_get::<_, i64>(4)?.unsigned_abs(),
        total: row.try_get::<_, Option<i64>>(5)?.map(i64::unsigned_abs),
        error: row.try_get(6)?,
        ended_at: row.try_get::<_, Option<i64>>(7)?.map(Timestamp::from_millis),
        created_at: Timestamp::from_millis(row.try_get(8)?),
        modified_at: Timestamp::from_millis(row.try_get(9)?),
    })
}

fn place_of(row: &Row) -> Outcome<Position> {
    Ok(Positions::stored(row.try_get(10)?, row.try_get(11)?))
}

fn code(column: i16) -> Option<u8> {
    u8::try_from(column).ok()
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Lists the jobs of an account, newest first.
pub(crate) async fn list(conn: &Conn, account: AccountId, page: PageAsk) -> Outcome<Page<Job>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM postrider.jobs WHERE account = $1 AND (major, minor) < ($2, $3) ORDER BY major DESC, minor DESC LIMIT $4"
    );
    let (major, minor) = columns(page.after.unwrap_or(LAST));
    // One more, to see whether there is.
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX).saturating_add(1);
    let account = Uuid::from_u128(account.as_u128());
    let mut rows = conn.query(&sql, &[&account, &major, &minor, &limit]).await?;
    let has_more = rows.len() > page.limit;
    rows.truncate(page.limit);
    let last = rows.last().map(place_of).transpose()?;
    Ok(Page {
        rows: rows.iter().map(job_of).collect::<Outcome<_>>()?,
        next: last.filter(|_| has_more),
    })
}

/// Jobs that run, in the order of their ids.
pub(crate) async fn running(conn: &Conn, after: Option<JobId>, limit: usize) -> Outcome<Vec<JobId>> {
    // No job has the smallest id.
    let after = after.map_or_else(Uuid::nil, |job| Uuid::from_u128(job.as_u128()));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = conn
        .query(
            "SELECT id FROM postrider.jobs WHERE status = 1 AND id > $1 ORDER BY id LIMIT $2",
            &[&after, &limit],
        )
        .await?;
    rows.iter()
        .map(|row| Ok(JobId::from_u128(row.try_get::<_, Uuid>(0)?.as_u128())))
        .collect()
}

/// Stops a job that runs, within a transaction. It waits for the end of the step that another node is at.
pub(crate) async fn cancel(conn: &Conn, account: AccountId, job: JobId, now: Timestamp) -> Outcome<Option<Job>> {
    conn.execute(
        "UPDATE postrider.jobs SET status = $3, ended_at = $4, modified_at = $4 WHERE account = $1 AND id = $2 AND status = 1",
        &[
            &Uuid::from_u128(account.as_u128()),
            &Uuid::from_u128(job.as_u128()),
            &(JobStatus::Cancelled as i16),
            &now.as_millis(),
        ],
    )
    .await?;
    find(conn, account, job).await
}

/// Keeps how far a job came.
pub(crate) async fn save(conn: &Conn, row: &JobRow) -> Outcome<()> {
    let (major, minor) = columns(row.through);
    conn.execute(
        "UPDATE postrider.jobs SET status = $3, counted = $4, through_major = $5, through_minor = $6, done = $7, total = $8, error = $9,
                                   ended_at = $10, modified_at = $11
         WHERE account = $1 AND id = $2",
        &[
            &Uuid::from_u128(row.job.account.as_u128()),
            &Uuid::from_u128(row.job.id.as_u128()),
            &(row.job.status as i16),
            &number(row.counted),
            &major,
            &minor,
            &number(row.job.done),
            &row.job.total.map(number),
            &row.job.error.as_deref(),
            &row.job.ended_at.map(Timestamp::as_millis),
            &row.job.modified_at.as_millis(),
        ],
    )
    .await?;
    Ok(())
}
