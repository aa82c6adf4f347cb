//! Jobs: long work of accounts, done in small steps beside all else. Each step is one transaction of the store, which keeps how far a job
//! came: so a crash repeats nothing and leaves nothing out. Jobs take turns, and what a step brings to the queue stands behind what is
//! due already.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use postrider_model::id::{AccountId, DeliveryId, JobId};
use postrider_model::job::Job;
use postrider_model::time::Monotonic;
use postrider_ports::store::{JobNext, JobStep};
use postrider_ports::{Clock, Random, Store, StoreError};
use tokio::sync::Notify;

use crate::Engine;
use crate::counters::Counters;
use crate::others::Router;

/// Rows of one step: few enough that the store's writer is not held for long.
const STEP_ROWS_MAX: usize = 128;
/// Jobs that are read at a time.
const PAGE_JOBS: usize = 256;
/// A job for whose webhook enough waits already goes on after this long.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// While nothing of it moves the pause doubles up to this.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// With many jobs that wait the longest pause is this for each of them: together they ask the store a hundred times a second at most.
const PAUSE_PER_JOB: Duration = Duration::from_millis(10);
/// The first pause after the store did not take a step; it doubles.
const OUTAGE_PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest of these pauses.
const OUTAGE_PAUSE_MAX: Duration = Duration::from_secs(5);
/// How often the store is asked for jobs that nobody told of.
const IDLE_INTERVAL: Duration = Duration::from_secs(30);

impl Engine {
    /// Stops a job: what it has not done yet is left. The job as it is then, unchanged where it had ended; `None` where there is none.
    ///
    /// # Errors
    /// The store is gone.
    pub async fn cancel_job(&self, account: AccountId, job: JobId) -> Result<Option<Job>, StoreError> {
        let now = self.inner.parts.clock.wall();
        self.inner.parts.store.cancel_job(account, job, now).await
    }

    /// A job was made: it begins now.
    pub(crate) fn wake_jobs(&self) {
        self.inner.jobs.notify_one();
        self.wake_who_dispatches();
    }
}

/// Runs the jobs: those that run when the server starts, and those that come.
pub(crate) struct Jobs {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) router: Router,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) counters: Arc<Counters>,
    /// Told when a job was made.
    pub(crate) wanted: Arc<Notify>,
    pub(crate) turns: Turns,
}

/// Whose turn it is, and when. Jobs that run, at most `JOBS_RUNNING_MAX` of each account.
#[derive(Default)]
pub(crate) struct Turns {
    /// The earliest first, of one moment the one that has waited longest. One for each job that runs.
    waiting: BTreeMap<(Monotonic, u64), Turn>,
    /// The jobs in `waiting`, so as many.
    known: HashSet<JobId>,
    count: u64,
}

#[derive(Clone, Copy)]
struct Turn {
    job: JobId,
    /// How long it waited the last time.
    pause: Duration,
}

impl Turns {
    fn push(&mut self, at: Monotonic, turn: Turn) {
        self.known.insert(turn.job);
        self.count += 1;
        self.waiting.insert((at, self.count), turn);
    }

    /// The job whose turn has come.
    fn pop(&mut self, now: Monotonic) -> Option<Turn> {
        let first = self.waiting.first_entry().filter(|entry| entry.key().0 <= now)?;
        let turn = first.remove();
        self.known.remove(&turn.job);
        Some(turn)
    }

    fn next(&self) -> Option<Monotonic> {
        self.waiting.keys().next().map(|(at, _)| *at)
    }
}

impl Jobs {
    pub(crate) async fn run(mut self) {
        let mut outage = OUTAGE_PAUSE_MIN;
        let mut is_to_look = true;
        while !self.router.dispatch.is_closed() {
            match self.work(is_to_look).await {
                Ok(()) => outage = OUTAGE_PAUSE_MIN,
                Err(error) => {
                    tracing::warn!(%error, "jobs have to wait for the store");
                    self.clock.sleep_until(self.clock.mono() + outage).await;
                    outage = (outage * 2).min(OUTAGE_PAUSE_MAX);
                    continue;
                }
            }
            let idle_until = self.clock.mono() + IDLE_INTERVAL;
            let next = self.turns.next();
            tokio::select! {
                // In a fixed order: a seed replays what happened.
                biased;
                () = self.wanted.notified() => is_to_look = true,
                () = self.clock.sleep_until(next.unwrap_or(idle_until)) => is_to_look = next.is_none(),
            }
        }
    }

    /// Gives every job whose turn has come its steps, until all wait or have ended.
    async fn work(&mut self, is_to_look: bool) -> Result<(), StoreError> {
        if is_to_look {
            self.look().await?;
        }
        while let Some(turn) = self.turns.pop(self.clock.mono()) {
            let stepped = self.step(turn).await;
            if stepped.is_err() {
                self.turns.push(self.clock.mono() + PAUSE_MIN, turn);
            }
            self.counters.jobs_running.set(self.turns.known.len());
            stepped?;
            // Others may have come meanwhile, and want their turn as well.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Learns which jobs run.
    async fn look(&mut self) -> Result<(), StoreError> {
        let (now, mut after) = (self.clock.mono(), None);
        loop {
            let page = self.store.running_jobs(after, PAGE_JOBS).await?;
            for job in page
                .iter()
                .filter(|job| !self.turns.known.contains(job))
                .copied()
                .collect::<Vec<_>>()
            {
                let pause = PAUSE_MIN;
                self.turns.push(now, Turn { job, pause });
            }
            after = page.last().copied();
            if page.len() < PAGE_JOBS {
                self.counters.jobs_running.set(self.turns.known.len());
                return Ok(());
            }
        }
    }

    async fn step(&mut self, turn: Turn) -> Result<(), StoreError> {
        let now = self.clock.wall();
        let fresh = (0..STEP_ROWS_MAX).map(|_| DeliveryId::new(now, self.random.bits())).collect();
        let step = JobStep {
            job: turn.job,
            rows_max: STEP_ROWS_MAX,
            fresh,
            now,
        };
        let stepped = self.store.step_job(step).await?;
        let has_moved = stepped.queued.is_some();
        if !self.router.left_behind(stepped.queued).await {
            return Ok(());
        }
        let (now, pause) = (self.clock.mono(), if has_moved { PAUSE_MIN } else { turn.pause });
        match stepped.next {
            JobNext::Ended => {}
            JobNext::More => self.turns.push(now, Turn { pause, ..turn }),
            JobNext::Later => {
                let longest = PAUSE_MAX.max(PAUSE_PER_JOB.saturating_mul(u32::try_from(self.turns.known.len()).unwrap_or(u32::MAX)));
                let next = pause.saturating_mul(2).min(longest);
                self.turns.push(now + pause, Turn { pause: next, ..turn });
            }
        }
        Ok(())
    }
}
