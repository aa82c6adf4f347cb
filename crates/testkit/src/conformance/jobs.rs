//! Promises about jobs: made, shown, stopped.

use postrider_model::account::AccountChange;
use postrider_model::id::{AccountId, JobId, WebhookId};
use postrider_model::job::{Job, JobKind, JobStatus, RecoverWhat, Recovery};
use postrider_model::limits::JOBS_RUNNING_MAX;
use postrider_ports::Store;
use postrider_ports::store::{JobMade, JobNext, JobStep, JobStepped};

use super::fixture::{START, account, at, bits, deliver, fail, fresh_ids, page, sender, switch, webhook};

/// A job that is not stored yet.
pub(super) fn new_job(account: AccountId, webhook: WebhookId) -> Job {
    Job {
        id: JobId::new(START, bits()),
        account,
        kind: JobKind::Recover,
        webhook: Some(webhook),
        status: JobStatus::Running,
        done: 0,
        total: None,
        error: None,
        ended_at: None,
        created_at: at(100),
        modified_at: at(100),
    }
}

/// A recovery of all that the tests store before it.
pub(super) const fn recovery(webhook: WebhookId, what: RecoverWhat) -> Recovery {
    Recovery {
        webhook,
        since: START,
        until: postrider_model::time::Timestamp::from_millis(START.as_millis() + 100_000),
        what,
    }
}

/// A job of the store.
pub(super) async fn job(store: &dyn Store, account: AccountId, recovery: Recovery) -> JobId {
    let job = new_job(account, recovery.webhook);
    let id = job.id;
    assert_eq!(store.create_job(job, recovery).await, Ok(JobMade::Made));
    id
}

/// The job as it is now.
pub(super) async fn shown_job(store: &dyn Store, account: AccountId, job: JobId) -> Job {
    store.job(account, job).await.unwrap().expect("the job is there")
}

/// One step of at most so many rows.
pub(super) async fn step(store: &dyn Store, job: JobId, rows_max: usize, seconds: u64) -> JobStepped {
    let fresh = fresh_ids(at(seconds), rows_max);
    let now = at(seconds);
    store.step_job(JobStep { job, rows_max, fresh, now }).await.unwrap()
}

/// Steps until there is nothing more to do now, and says how it goes on then.
pub(super) async fn steps(store: &dyn Store, job: JobId, rows_max: usize, seconds: u64) -> JobNext {
    for _ in 0..10_000 {
        let next = step(store, job, rows_max, seconds).await.next;
        if next != JobNext::More {
            return next;
        }
    }
    panic!("the job has no end");
}

pub async fn a_job_is_shown_as_it_was_made(store: &dyn Store) {
    let (owner, webhook) = sender(store).await;
    let job = new_job(owner, webhook);
    let made = store.create_job(job.clone(), recovery(webhook, RecoverWhat::Failed)).await;
    assert_eq!(made, Ok(JobMade::Made));
    assert_eq!(store.job(owner, job.id).await, Ok(Some(job.clone())));
    let other = account(store).await;
    assert_eq!(store.job(other, job.id).await, Ok(None), "another account sees no job");
    assert_eq!(store.cancel_job(other, job.id, at(101)).await, Ok(None));
    assert!(store.list_jobs(other, page(10, None)).await.unwrap().rows.is_empty());
    assert_eq!(store.job(owner, JobId::new(START, bits())).await, Ok(None));
}

pub async fn jobs_are_listed_newest_first_in_pages(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(job(store, account, recovery(webhook, RecoverWhat::All)).await);
    }
    made.reverse();
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let answer = store.list_jobs(account, page(2, after)).await.unwrap();
        found.extend(answer.rows.iter().map(|job| job.id));
        after = answer.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, made);
}

pub async fn a_job_needs_an_active_webhook(store: &dyn Store) {
    let (owner, webhook) = sender(store).await;
    let other = account(store).await;
    let make = async |account, webhook| {
        let job = new_job(account, webhook);
        let id = job.id;
        let made = store.create_job(job, recovery(webhook, RecoverWhat::Failed)).await.unwrap();
        let is_there = store.job(account, id).await.unwrap().is_some();
        assert_eq!(is_there, made == JobMade::Made, "what is refused is not there");
        made
    };
    assert_eq!(make(other, webhook).await, JobMade::NoWebhook);
    switch(store, owner, webhook, false).await;
    assert_eq!(make(owner, webhook).await, JobMade::WebhookInactive);
    switch(store, owner, webhook, true).await;
    suspend(store, owner, true).await;
    assert_eq!(make(owner, webhook).await, JobMade::WebhookInactive);
    suspend(store, owner, false).await;
    assert_eq!(make(owner, webhook).await, JobMade::Made);
    store.delete_webhook(owner, webhook, at(3)).await.unwrap();
    assert_eq!(make(owner, webhook).await, JobMade::NoWebhook);
}

async fn suspend(store: &dyn Store, account: AccountId, is_suspended: bool) {
    let change = AccountChange {
        is_active: Some(!is_suspended),
        ..AccountChange::default()
    };
    store.change_account(account, change, at(2)).await.unwrap();
}

pub async fn so_many_jobs_of_an_account_run_at_once(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let mut made = Vec::new();
    for _ in 0..JOBS_RUNNING_MAX {
        made.push(job(store, account, recovery(webhook, RecoverWhat::Failed)).await);
    }
    let more = async || {
        let recovery = recovery(webhook, RecoverWhat::Failed);
        store.create_job(new_job(account, webhook), recovery).await.unwrap()
    };
    assert_eq!(more().await, JobMade::TooMany);
    let (other, its) = sender(store).await;
    job(store, other, recovery(its, RecoverWhat::Failed)).await;
    store.cancel_job(account, made[0], at(101)).await.unwrap();
    assert_eq!(more().await, JobMade::Made, "one that has ended makes room");
    assert_eq!(more().await, JobMade::TooMany);
}

pub async fn a_cancelled_job_leaves_the_rest(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    for _ in 0..3 {
        let (_, id) = deliver(store, account, webhook, START).await;
        fail(store, (account, id), 1, at(1), None).await;
    }
    let id = job(store, account, recovery(webhook, RecoverWhat::Failed)).await;
    while step(store, id, 1, 101).await.queued.is_none() {}
    let cancelled = store.cancel_job(account, id, at(102)).await.unwrap().expect("it is there");
    assert_eq!((cancelled.status, cancelled.done), (JobStatus::Cancelled, 1));
    assert_eq!((cancelled.ended_at, cancelled.modified_at), (Some(at(102)), at(102)));
    assert_eq!(cancelled.error, None);
    let answer = step(store, id, 10, 103).await;
    assert_eq!((answer.queued, answer.next), (None, JobNext::Ended));
    assert_eq!(shown_job(store, account, id).await, cancelled);
    let again = store.cancel_job(account, id, at(104)).await;
    assert_eq!(again, Ok(Some(cancelled)), "one that has ended stays as it is");
}

pub async fn running_jobs_go_on_behind_a_job(store: &dyn Store) {
    assert_eq!(store.running_jobs(None, 10).await, Ok(vec![]));
    let (owner, first) = sender(store).await;
    let second = webhook(store, owner).await;
    let mut made = Vec::new();
    for webhook in [first, second, first, second] {
        made.push(job(store, owner, recovery(webhook, RecoverWhat::Failed)).await);
    }
    store.cancel_job(owner, made.remove(1), at(101)).await.unwrap();
    made.sort();
    assert_eq!(store.running_jobs(None, 2).await.unwrap(), made[..2]);
    assert_eq!(store.running_jobs(Some(made[1]), 2).await.unwrap(), made[2..]);
    assert_eq!(store.running_jobs(Some(made[2]), 2).await, Ok(vec![]));
    assert_eq!(
        step(store, JobId::new(START, bits()), 1, 101).await.next,
        JobNext::Ended,
        "an unknown job has ended"
    );
}
