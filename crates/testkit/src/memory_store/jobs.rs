//! Jobs, and what a recovery sends again.

use std::ops::Bound;
use std::sync::Arc;

use postrider_model::account::AccountRef;
use postrider_model::delivery::{Change, Delivery, Status};
use postrider_model::event::Event;
use postrider_model::id::{AccountId, DeliveryId, JobId, WebhookId};
use postrider_model::job::{Job, JobStatus, RECOVER_WAITING_MAX, Recovery, Resend};
use postrider_model::limits::JOBS_RUNNING_MAX;
use postrider_model::queue::Position;
use postrider_model::time::Timestamp;
use postrider_ports::store::{JobMade, JobNext, JobStep, JobStepped};
use postrider_ports::{Page, PageAsk};

use super::tables::{JobRow, Tables, page};

/// Events that a step looks at for each row that it may write.
const LOOKS_PER_ROW: usize = 10;

/// How a job's webhook stands.
enum Target {
    Gone(&'static str),
    Inactive,
    Active,
}

impl Tables {
    pub(super) fn create_job(&mut self, job: Job, recovery: Recovery) -> JobMade {
        match self.target(job.account, recovery.webhook) {
            Target::Gone(_) => return JobMade::NoWebhook,
            Target::Inactive => return JobMade::WebhookInactive,
            Target::Active => {}
        }
        let running = self.jobs.values().filter(|row| row.is_running() && row.job.account == job.account);
        if running.count() >= JOBS_RUNNING_MAX {
            return JobMade::TooMany;
        }
        let position = self.next_position();
        let row = JobRow {
            position,
            recovery,
            through: Position::default(),
            job,
        };
        self.jobs.insert(row.job.id, row);
        JobMade::Made
    }

    fn target(&self, account: AccountId, webhook: WebhookId) -> Target {
        let Some(account_row) = self.account(&AccountRef::Id(account)) else {
            return Target::Gone("the account was deleted");
        };
        match self.webhook(account, webhook) {
            None => Target::Gone("the webhook was deleted"),
            Some(webhook) if webhook.is_active && account_row.is_active => Target::Active,
            Some(_) => Target::Inactive,
        }
    }

    pub(super) fn job(&self, account: AccountId, job: JobId) -> Option<Job> {
        let row = self.jobs.get(&job).filter(|row| row.job.account == account)?;
        Some(row.job.clone())
    }

    pub(super) fn list_jobs(&self, account: AccountId, ask: PageAsk) -> Page<Job> {
        let rows = self.jobs.values().filter(|row| row.job.account == account);
        page(rows.map(|row| (row.position, row.job.clone())), ask)
    }

    pub(super) fn cancel_job(&mut self, account: AccountId, job: JobId, now: Timestamp) -> Option<Job> {
        let row = self.jobs.get_mut(&job).filter(|row| row.job.account == account)?;
        if row.is_running() {
            row.end(JobStatus::Cancelled, None, now);
        }
        Some(row.job.clone())
    }

    pub(super) fn running_jobs(&self, after: Option<JobId>, limit: usize) -> Vec<JobId> {
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let jobs = self.jobs.range((behind, Bound::Unbounded));
        jobs.filter(|(_, row)| row.is_running()).map(|(id, _)| *id).take(limit).collect()
    }

    pub(super) fn step_job(&mut self, step: &JobStep) -> JobStepped {
        let stepped = |next| JobStepped { queued: None, next };
        let Some(row) = self.jobs.get(&step.job).filter(|row| row.is_running()) else {
            return stepped(JobNext::Ended);
        };
        let (account, recovery, through) = (row.job.account, row.recovery, row.through);
        match self.target(account, recovery.webhook) {
            Target::Gone(error) => {
                self.change_job(step.job, |row| row.end(JobStatus::Failed, Some(error.to_owned()), step.now));
                return stepped(JobNext::Ended);
            }
            Target::Inactive => return stepped(JobNext::Later),
            Target::Active => {}
        }
        if row.job.total.is_none() {
            let all = self.wanted(account, recovery, through, usize::MAX);
            let total = all.iter().filter(|(_, resend)| *resend != Resend::Nothing).count();
            self.change_job(step.job, |row| row.job.total = Some(total as u64));
        }
        let room = step.rows_max.min(self.room(recovery.webhook, step.now));
        if room == 0 {
            return stepped(JobNext::Later);
        }
        // One more than is looked at, to see whether there is more.
        let wanted = self.wanted(account, recovery, through, step.rows_max * LOOKS_PER_ROW + 1);
        self.resend(step, (recovery.webhook, room), wanted)
    }

    /// How many deliveries may come to those that are due.
    fn room(&self, webhook: WebhookId, now: Timestamp) -> usize {
        let queue = self.queue.get(&webhook).into_iter().flatten();
        let waiting = queue.take_while(|(due, ..)| *due <= now).count();
        RECOVER_WAITING_MAX.saturating_sub(waiting)
    }

    /// The events that are still to be looked at, and what is to be done about each.
    fn wanted(&self, account: AccountId, recovery: Recovery, through: Position, limit: usize) -> Vec<(Position, Resend)> {
        let behind = self.events.range((Bound::Excluded(through), Bound::Unbounded));
        let events =
            behind.filter(|(_, event)| event.account == account && recovery.since <= event.created_at && event.created_at < recovery.until);
        events
            .take(limit)
            .map(|(position, event)| (*position, self.judge(event, recovery)))
            .collect()
    }

    fn judge(&self, event: &Event, recovery: Recovery) -> Resend {
        let is_of = |delivery: &Delivery| delivery.account == event.account && delivery.event.as_ref() == Some(&event.id);
        let rows = self.deliveries.values().map(|row| (row.position, &row.delivery));
        let mut found: Vec<_> = rows
            .filter(|(_, delivery)| delivery.webhook == recovery.webhook && is_of(delivery))
            .map(|(position, delivery)| (position, (delivery.id, delivery.status)))
            .collect();
        found.sort_by_key(|(position, _)| *position);
        let mut deliveries: Vec<(DeliveryId, Status)> = found.into_iter().map(|(_, delivery)| delivery).collect();
        // What is promised is on its way as well.
        let promised = self.fanouts.iter().filter(|promised| promised.webhook == recovery.webhook);
        deliveries.extend(
            promised
                .filter(|promised| promised.event.id == event.id && promised.event.account == event.account)
                .map(|promised| {
                    let due = event.created_at;
                    (promised.delivery, Status::Pending { due })
                }),
        );
        let webhook = self.webhook(event.account, recovery.webhook);
        recovery
            .what
            .judge(&deliveries, webhook.is_some_and(|webhook| webhook.wants(&event.name)))
    }

    fn resend(&mut self, step: &JobStep, (webhook, room): (WebhookId, usize), wanted: Vec<(Position, Resend)>) -> JobStepped {
        let mut fresh = step.fresh.iter();
        let mut done = 0;
        let mut seen = None;
        let mut rest = wanted.into_iter();
        let mut has_more = false;
        for (position, resend) in rest.by_ref().take(step.rows_max * LOOKS_PER_ROW) {
            let is_done = match resend {
                Resend::Nothing => None,
                _ if done >= room as u64 => Some(false),
                Resend::Again(delivery) => {
                    self.again(delivery, step.now);
                    Some(true)
                }
                Resend::New => Some(fresh.next().is_some_and(|id| self.make_for(position, webhook, *id, step.now))),
            };
            if is_done == Some(false) {
                has_more = true;
                break;
            }
            done += u64::from(is_done == Some(true));
            seen = Some(position);
        }
        has_more |= rest.next().is_some();
        let account = self.jobs.get(&step.job).map(|row| row.job.account);
        let queued = (done > 0).then(|| self.next_position());
        self.change_job(step.job, |row| {
            row.through = seen.unwrap_or(row.through);
            row.job.done += done;
            row.job.total = row.job.total.map(|total| total.max(row.job.done));
            row.job.modified_at = step.now;
            if !has_more {
                row.end(JobStatus::Succeeded, None, step.now);
            }
        });
        JobStepped {
            queued: account.zip(queued).map(|(account, position)| (account, webhook, position)),
            next: if has_more { JobNext::More } else { JobNext::Ended },
        }
    }

    fn change_job(&mut self, job: JobId, change: impl FnOnce(&mut JobRow)) {
        if let Some(row) = self.jobs.get_mut(&job) {
            change(row);
        }
    }

    /// The same delivery, due now, in its turn.
    fn again(&mut self, delivery: DeliveryId, now: Timestamp) {
        self.change(delivery, Change::Retried, now);
        if let Some(row) = self.deliveries.get_mut(&delivery) {
            row.is_urgent = false;
        }
    }

    /// A new delivery of an event that was stored before.
    fn make_for(&mut self, event: Position, webhook: WebhookId, id: DeliveryId, now: Timestamp) -> bool {
        let Some(event) = self.events.get(&event).map(Arc::clone) else {
            return false;
        };
        self.make(&event, id, webhook, now);
        true
    }
}

impl JobRow {
    fn is_running(&self) -> bool {
        self.job.status == JobStatus::Running
    }

    fn end(&mut self, status: JobStatus, error: Option<String>, now: Timestamp) {
        self.job.status = status;
        self.job.error = error;
        self.job.ended_at = Some(now);
        self.job.modified_at = now;
        if status == JobStatus::Succeeded {
            self.job.total = Some(self.job.done);
        }
    }
}
