//! The store as the engine sees it: each call goes to the writer or to a reader.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use postrider_model::delivery::{Delivery, DeliveryRecord};
use postrider_model::event::Event;
use postrider_model::id::{AccountId, DeliveryId, EventId, JobId};
use postrider_model::job::{Job, Recovery};
use postrider_model::limits::TRANSACTION_ROWS_MAX;
use postrider_model::queue::{Position, Queued};
use postrider_model::seal::{SEAL_KEY_BYTES, SealKey};
use postrider_model::time::Timestamp;
use postrider_ports::once::{AnswerKey, Keep, Kept, Once, Write};
use postrider_ports::page::{Page, PageAsk};
use postrider_ports::store::{
    DeliveryFilter, DueAnswer, DueAsk, EventFilter, EventsBehind, Expanded, JobMade, JobNext, JobStep, JobStepped, OutcomeRecord, Recorded,
    Retire, Retired, Retried, RetryAsk, Submission, Submitted, Waiting, WaitingAsk,
};
use postrider_ports::{Store, StoreError};
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use crate::backup::{BackupProgress, backup};
use crate::call::One;
use crate::events::CommitEvents;
use crate::fault::{Outcome, unavailable};
use crate::open::OpenOptions;
use crate::outcomes::RecordOutcomes;
use crate::reader::{Readers, Snapshot};
use crate::recover::Plan;
use crate::tx::Tx;
use crate::writer::BoxedCall;
use crate::{
    deliveries, erasing, event_lists, events, fanouts, history, jobs, kept, key_file, lists, queue, recover, retention, retries, segments,
    stopping,
};

/// Rows that a write under an idempotency key writes, about: those of a change of the registry, and the answer.
const ONCE_ROWS: usize = 5;

/// The store of one machine: an SQLite file. Dropping it finishes what was asked, and closes the file.
pub struct SqliteStore {
    inner: Inner,
}

/// What an open store holds.
pub(crate) struct Inner {
    /// To the writer; `None` once it is to end. At most `CALLS_WAITING_MAX` wait.
    pub(crate) calls: Option<mpsc::Sender<BoxedCall>>,
    pub(crate) thread: Option<JoinHandle<()>>,
    pub(crate) readers: Arc<Readers>,
    pub(crate) seal: Arc<SealKey>,
    pub(crate) path: PathBuf,
    /// Held by a server while it runs.
    pub(crate) _lock: Option<File>,
}

impl SqliteStore {
    /// Opens a store, and makes it where there is none.
    ///
    /// # Errors
    /// `InUse` beside another server, `CannotOpen` where the file or its folder cannot be used or belongs to another program,
    /// `NewerSchema`, `Seal` where its secrets are sealed under another key, `Corrupt`, `Unavailable` where it is locked or the disk is full.
    pub fn open(options: OpenOptions) -> Result<Self, StoreError> {
        crate::open::open(options)
    }

    pub(crate) const fn new(inner: Inner) -> Self {
        Self { inner }
    }

    /// Bytes of the write-ahead log's file: it stays near 32 MiB whatever is read.
    pub fn wal_bytes(&self) -> u64 {
        file_bytes(&key_file::beside(&self.inner.path, "-wal"))
    }

    /// Bytes of the database's file.
    pub fn file_bytes(&self) -> u64 {
        file_bytes(&self.inner.path)
    }

    /// Copies the database to `to` while it is in use: see `backup`. Blocks.
    ///
    /// # Errors
    /// Those of `backup`.
    pub fn backup(&self, to: &Path, progress: impl FnMut(BackupProgress)) -> Result<u64, StoreError> {
        backup(&self.inner.path, to, progress)
    }

    /// A key for this purpose alone, derived from the one that seals: it outlives a restart.
    ///
    /// # Errors
    /// `StoreError::Seal` where it cannot be derived.
    pub fn derive_key(&self, purpose: &str) -> Result<Zeroizing<[u8; SEAL_KEY_BYTES]>, StoreError> {
        Ok(self.inner.seal.derive(purpose)?)
    }

    pub(crate) fn seal(&self) -> Arc<SealKey> {
        Arc::clone(&self.inner.seal)
    }

    /// Reads in one snapshot.
    pub(crate) async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Snapshot<'_>) -> Outcome<T> + Send + 'static,
    {
        self.inner.readers.read(read).await
    }

    /// Writes in the transaction of all calls that wait. `run` may run again where another call made the transaction fail.
    pub(crate) async fn write<T, F>(&self, rows: usize, run: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Outcome<T> + Send + 'static,
    {
        self.call(|reply| Box::new(One::new(rows.min(TRANSACTION_ROWS_MAX), run, reply)))
            .await
    }

    async fn call<T>(&self, call: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> BoxedCall) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let gone = || unavailable("the writer has ended");
        let calls = self.inner.calls.as_ref().ok_or_else(gone)?;
        calls.send(call(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.inner.calls = None;
        if let Some(thread) = self.inner.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer broke off");
        }
    }
}

fn file_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit_events(&self, group: Vec<Submission>) -> Result<Vec<Submitted>, StoreError> {
        self.call(|reply| Box::new(CommitEvents::new(group, reply))).await
    }

    async fn record_outcomes(&self, group: Vec<OutcomeRecord>) -> Result<Vec<Recorded>, StoreError> {
        self.call(|reply| Box::new(RecordOutcomes::new(group, reply))).await
    }

    async fn fetch_due(&self, asks: Vec<DueAsk>, now: Timestamp) -> Result<Vec<DueAnswer>, StoreError> {
        self.read(move |read| queue::fetch_due(read, &asks, now)).await
    }

    async fn waiting(&self, ask: WaitingAsk) -> Result<Vec<Waiting>, StoreError> {
        self.read(move |read| queue::waiting(read, &ask)).await
    }

    async fn queued(&self, account: AccountId, delivery: DeliveryId) -> Result<Option<Queued>, StoreError> {
        self.read(move |read| queue::one(read.conn, account, delivery)).await
    }

    async fn expand_fanouts(&self, rows_max: usize) -> Result<Expanded, StoreError> {
        let rows_max = rows_max.min(TRANSACTION_ROWS_MAX);
        self.write(rows_max, move |tx| fanouts::expand(tx, rows_max)).await
    }

    async fn stop_deleted(&self, rows_max: usize, now: Timestamp) -> Result<bool, StoreError> {
        let rows_max = rows_max.min(TRANSACTION_ROWS_MAX);
        self.write(rows_max, move |tx| stopping::step(tx, rows_max, now)).await
    }

    async fn create_test(&self, delivery: Delivery, body: Bytes) -> Result<bool, StoreError> {
        self.write(3, move |tx| retries::create_test(tx, &delivery, &body)).await
    }

    async fn retry_delivery(&self, ask: RetryAsk) -> Result<Retried, StoreError> {
        self.write(3, move |tx| retries::retry(tx, ask)).await
    }

    async fn event(&self, account: AccountId, event: EventId) -> Result<Option<Arc<Event>>, StoreError> {
        self.read(move |read| Ok(events::by_id(read.conn, account, &event)?.map(Arc::new)))
            .await
    }

    async fn delivery(&self, account: AccountId, delivery: DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        self.read(move |read| {
            let stored = deliveries::find(read.conn, delivery)?.filter(|stored| stored.account == account);
            stored.map_or(Ok(None), |stored| deliveries::record(read.conn, &stored))
        })
        .await
    }

    async fn list_deliveries(&self, account: AccountId, filter: DeliveryFilter, page: PageAsk) -> Result<Page<DeliveryRecord>, StoreError> {
        self.read(move |read| lists::list(read, account, &filter, page)).await
    }

    async fn create_job(&self, job: Job, recovery: Recovery) -> Result<JobMade, StoreError> {
        self.write(1, move |tx| jobs::create(tx, &job, recovery)).await
    }

    async fn job(&self, account: AccountId, job: JobId) -> Result<Option<Job>, StoreError> {
        self.read(move |read| jobs::find(read.conn, account, job)).await
    }

    async fn list_jobs(&self, account: AccountId, page: PageAsk) -> Result<Page<Job>, StoreError> {
        self.read(move |read| jobs::list(read.conn, account, page)).await
    }

    async fn cancel_job(&self, account: AccountId, job: JobId, now: Timestamp) -> Result<Option<Job>, StoreError> {
        self.write(1, move |tx| jobs::cancel(tx, account, job, now)).await
    }

    async fn running_jobs(&self, after: Option<JobId>, limit: usize) -> Result<Vec<JobId>, StoreError> {
        self.read(move |read| jobs::running(read.conn, after, limit)).await
    }

    async fn step_job(&self, mut step: JobStep) -> Result<JobStepped, StoreError> {
        step.rows_max = step.rows_max.min(TRANSACTION_ROWS_MAX);
        let (job, limits) = (step.job, (step.rows_max, step.now));
        let stepped = |next| JobStepped { queued: None, next };
        match self.read(move |read| recover::plan(read, job, limits)).await? {
            Plan::Ended => Ok(stepped(JobNext::Ended)),
            Plan::Later => Ok(stepped(JobNext::Later)),
            Plan::Go(work) => self.write(step.rows_max, move |tx| recover::carry_out(tx, &step, &work)).await,
        }
    }

    async fn retire(&self, mut step: Retire) -> Result<Retired, StoreError> {
        step.rows_max = step.rows_max.min(TRANSACTION_ROWS_MAX);
        let now = step.now;
        let verdict = self.read(move |read| segments::look(read, now)).await?;
        self.write(step.rows_max, move |tx| retention::step(tx, &step, verdict)).await
    }

    async fn erase_deleted(&self, rows_max: usize) -> Result<bool, StoreError> {
        let rows_max = rows_max.min(TRANSACTION_ROWS_MAX);
        self.write(rows_max, move |tx| erasing::step(tx, rows_max)).await
    }

    async fn list_events(&self, account: AccountId, filter: EventFilter, page: PageAsk) -> Result<Page<Arc<Event>>, StoreError> {
        self.read(move |read| event_lists::list(read, account, &filter, page)).await
    }

    async fn events_behind(
        &self,
        account: AccountId,
        filter: EventFilter,
        after: Position,
        limit: usize,
    ) -> Result<EventsBehind, StoreError> {
        self.read(move |read| event_lists::behind(read, account, &filter, (after, limit)))
            .await
    }

    async fn event_position(&self, account: AccountId, event: EventId) -> Result<Option<Position>, StoreError> {
        self.read(move |read| events::place_of(read.conn, account, &event)).await
    }

    async fn last_position(&self) -> Result<Position, StoreError> {
        self.read(|read| history::last_position(read.conn)).await
    }

    async fn write_once(&self, write: Write, keep: Keep) -> Result<Once, StoreError> {
        self.write(ONCE_ROWS, move |tx| kept::write_once(tx, &write, &keep)).await
    }

    async fn kept_answer(&self, at: AnswerKey, now: Timestamp) -> Result<Option<Kept>, StoreError> {
        let seal = self.seal();
        self.read(move |read| kept::find(read.conn, &at, now, &seal)).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.write(1, |tx| retries::beat(tx)).await
    }
}
