//! Jobs: made, shown, ended.

use postrider_model::id::{AccountId, JobId, WebhookId};
use postrider_model::job::{Job, JobKind, JobStatus, RecoverWhat, Recovery};
use postrider_model::limits::JOBS_RUNNING_MAX;
use postrider_model::time::Timestamp;
use postrider_ports::page::{Page, PageAsk};
use postrider_ports::store::JobMade;
use rusqlite::{Connection, Row, params};

use crate::fault::{Outcome, corrupt};
use crate::lists;
use crate::tx::{Tx, as_integer};
use crate::webhooks::{Standing, standing};

pub(crate) const COLUMNS: &str = "id, account, kind, webhook, status, done, total, error, ended_at, created_at, modified_at";

/// A job as its row has it.
#[derive(Clone, Debug)]
pub(crate) struct JobRow {
    pub(crate) job: Job,
    pub(crate) recovery: Recovery,
    /// Deliveries that were counted, while `Job::total` is not known.
    pub(crate) counted: u64,
    /// The position of the last event that was counted, or dealt with.
    pub(crate) through: u64,
}

/// Makes a job.
pub(crate) fn create(tx: &mut Tx<'_>, job: &Job, recovery: Recovery) -> Outcome<JobMade> {
    match standing(tx.conn, job.account, recovery.webhook)? {
        Standing::Gone | Standing::Deleted => return Ok(JobMade::NoWebhook),
        Standing::Inactive => return Ok(JobMade::WebhookInactive),
        Standing::Active => {}
    }
    let account = job.account.as_u128().to_be_bytes();
    let running: i64 = tx
        .conn
        .prepare_cached("SELECT count(*) FROM jobs WHERE account = ? AND status = 1")?
        .query_row([account], |row| row.get(0))?;
    if usize::try_from(running).unwrap_or(usize::MAX) >= JOBS_RUNNING_MAX {
        return Ok(JobMade::TooMany);
    }
    insert(tx, job, recovery)?;
    Ok(JobMade::Made)
}

/// Puts a job at the next place.
pub(crate) fn insert(tx: &mut Tx<'_>, job: &Job, recovery: Recovery) -> Outcome<()> {
    let account = job.account.as_u128().to_be_bytes();
    let position = tx.next_position();
    tx.conn
        .prepare_cached(
            "INSERT INTO jobs (id, account, position, kind, webhook, since, until, what, status, done, total, error, ended_at,
                               created_at, modified_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            job.id.as_u128().to_be_bytes(),
            account,
            as_integer(position),
            job.kind as u8,
            recovery.webhook.as_u128().to_be_bytes(),
            recovery.since.as_millis(),
            recovery.until.as_millis(),
            recovery.what as u8,
            job.status as u8,
            as_integer(job.done),
            job.total.map(as_integer),
            job.error,
            job.ended_at.map(Timestamp::as_millis),
            job.created_at.as_millis(),
            job.modified_at.as_millis(),
        ])?;
    Ok(())
}

/// One job of an account.
pub(crate) fn find(conn: &Connection, account: AccountId, job: JobId) -> Outcome<Option<Job>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM jobs WHERE id = ? AND account = ?"))?;
    let mut rows = statement.query(params![job.as_u128().to_be_bytes(), account.as_u128().to_be_bytes()])?;
    rows.next()?.map(job_of).transpose()
}

/// A job that runs, with how far it came.
pub(crate) fn find_running(conn: &Connection, job: JobId) -> Outcome<Option<JobRow>> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS}, since, until, what, counted, through FROM jobs WHERE id = ? AND status = 1"
    ))?;
    let mut rows = statement.query([job.as_u128().to_be_bytes()])?;
    rows.next()?.map(running_of).transpose()
}

/// A job from a row of `COLUMNS`, since, until, what, counted and through.
pub(crate) fn running_of(row: &Row<'_>) -> Outcome<JobRow> {
    let job = job_of(row)?;
    let webhook = job.webhook.ok_or_else(|| corrupt("a recovery is for no webhook"))?;
    Ok(JobRow {
        job,
        recovery: Recovery {
            webhook,
            since: Timestamp::from_millis(row.get(11)?),
            until: Timestamp::from_millis(row.get(12)?),
            what: RecoverWhat::from_code(row.get(13)?).ok_or_else(|| corrupt("a recovery is of an unknown kind"))?,
        },
        counted: row.get::<_, i64>(14)?.unsigned_abs(),
        through: row.get::<_, i64>(15)?.unsigned_abs(),
    })
}

fn job_of(row: &Row<'_>) -> Outcome<Job> {
    let webhook: [u8; 16] = row.get(3)?;
    Ok(Job {
        id: JobId::from_u128(u128::from_be_bytes(row.get(0)?)),
        account: AccountId::from_u128(u128::from_be_bytes(row.get(1)?)),
        kind: JobKind::from_code(row.get(2)?).ok_or_else(|| corrupt("a job is of an unknown kind"))?,
        webhook: Some(WebhookId::from_u128(u128::from_be_bytes(webhook))),
        status: JobStatus::from_code(row.get(4)?).ok_or_else(|| corrupt("a job has an unknown status"))?,
        done: row.get::<_, i64>(5)?.unsigned_abs(),
        total: row.get::<_, Option<i64>>(6)?.map(i64::unsigned_abs),
        error: row.get(7)?,
        ended_at: row.get::<_, Option<i64>>(8)?.map(Timestamp::from_millis),
        created_at: Timestamp::from_millis(row.get(9)?),
        modified_at: Timestamp::from_millis(row.get(10)?),
    })
}

/// Lists the jobs of an account, newest first.
pub(crate) fn list(conn: &Connection, account: AccountId, page: PageAsk) -> Outcome<Page<Job>> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS}, position FROM jobs WHERE account = ? AND position < ? ORDER BY position DESC LIMIT ?"
    ))?;
    let mut rows = statement.query(params![account.as_u128().to_be_bytes(), lists::before(page), lists::limit(page)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((row.get(11)?, job_of(row)?));
    }
    Ok(lists::page_of(found, page.limit))
}

/// Jobs that run, in the order of their ids.
pub(crate) fn running(conn: &Connection, after: Option<JobId>, limit: usize) -> Outcome<Vec<JobId>> {
    let mut statement = conn.prepare_cached("SELECT id FROM jobs WHERE status = 1 AND id > ? ORDER BY id LIMIT ?")?;
    // Nothing is before an empty value.
    let after = after.map_or_else(Vec::new, |job| job.as_u128().to_be_bytes().to_vec());
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![after, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(JobId::from_u128(u128::from_be_bytes(row.get(0)?)));
    }
    Ok(found)
}

/// Stops a job that runs.
pub(crate) fn cancel(tx: &Tx<'_>, account: AccountId, job: JobId, now: Timestamp) -> Outcome<Option<Job>> {
    tx.conn
        .prepare_cached("UPDATE jobs SET status = ?3, ended_at = ?4, modified_at = ?4 WHERE id = ?1 AND account = ?2 AND status = 1")?
        .execute(params![
            job.as_u128().to_be_bytes(),
            account.as_u128().to_be_bytes(),
            JobStatus::Cancelled as u8,
            now.as_millis()
        ])?;
    find(tx.conn, account, job)
}

/// Keeps how far a job came.
pub(crate) fn save(conn: &Connection, row: &JobRow) -> Outcome<()> {
    conn.prepare_cached(
        "UPDATE jobs SET status = ?, counted = ?, through = ?, done = ?, total = ?, error = ?, ended_at = ?, modified_at = ? WHERE id = ?",
    )?
    .execute(params![
        row.job.status as u8,
        as_integer(row.counted),
        as_integer(row.through),
        as_integer(row.job.done),
        row.job.total.map(as_integer),
        row.job.error,
        row.job.ended_at.map(Timestamp::as_millis),
        row.job.modified_at.as_millis(),
        row.job.id.as_u128().to_be_bytes(),
    ])?;
    Ok(())
}
