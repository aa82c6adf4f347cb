//! The store as the engine sees it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
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
    DeliveryFilter, DueAnswer, DueAsk, EventFilter, EventsBehind, Expanded, JobMade, JobStep, JobStepped, OutcomeRecord, Recorded, Retire,
    Retired, Retried, RetryAsk, Submission, Submitted, Waiting, WaitingAsk,
};
use postrider_ports::{Random, Store, StoreError};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::conn::Conn;
use crate::fault::Fault;
use crate::line::Way;
use crate::marks::Marks;
use crate::nodes::PostgresNodes;
use crate::pool::Pools;
use crate::position::{self, Positions};
use crate::{
    deliveries, erasing, event_lists, event_reads, events, fanouts, jobs, kept, lists, moved, outcomes, queue, recover, retention, retries,
    server, stopping, waiting,
};

/// The store of many machines: a PostgreSQL database.
pub struct PostgresStore {
    pub(crate) inner: Inner,
}

/// What an open store holds.
pub(crate) struct Inner {
    pub(crate) pools: Pools,
    pub(crate) seal: Arc<SealKey>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) positions: Positions,
    pub(crate) marks: Marks,
    /// The last of the deleted webhooks that were looked at, where there are more. Written and read by `stop_deleted`.
    pub(crate) stopped_through: Mutex<Option<(Uuid, Uuid)>>,
    /// To connections that belong to one purpose, outside the pools.
    pub(crate) way: Way,
}

impl PostgresStore {
    /// This node's door to the others on the same database.
    pub fn nodes(&self) -> PostgresNodes {
        PostgresNodes::new(self.inner.pools.clone(), &self.inner.way)
    }

    pub(crate) const fn new(inner: Inner) -> Self {
        Self { inner }
    }

    /// A key for this purpose alone, derived from the one that seals: it outlives a restart, and is the same on every node.
    ///
    /// # Errors
    /// `StoreError::Seal` where it cannot be derived.
    pub fn derive_key(&self, purpose: &str) -> Result<Zeroizing<[u8; SEAL_KEY_BYTES]>, StoreError> {
        Ok(self.inner.seal.derive(purpose)?)
    }

    /// What of the server's settings loses acknowledged events in some kind of failure, for people to read. Nothing where all is well.
    ///
    /// # Errors
    /// `Unavailable` where the server cannot be asked.
    pub async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        let conn = self.conn().await?;
        server::warnings(&conn).await.map_err(Fault::into_store)
    }

    /// A connection for single statements: each is a transaction of its own.
    pub(crate) async fn conn(&self) -> Result<Conn, StoreError> {
        self.inner.pools.other().await.map_err(Fault::into_store)
    }

    /// A connection for what every delivery needs.
    pub(crate) async fn hot(&self) -> Result<Conn, StoreError> {
        self.inner.pools.hot().await.map_err(Fault::into_store)
    }

    /// A connection within a transaction that writes: `conn.end(f(&conn, …).await).await`.
    pub(crate) async fn begin(&self) -> Result<Conn, StoreError> {
        let conn = self.conn().await?;
        conn.begin_by_index().await.map_err(Fault::into_store)?;
        Ok(conn)
    }

    /// A connection within a transaction that reads one snapshot.
    pub(crate) async fn snapshot(&self) -> Result<Conn, StoreError> {
        let conn = self.conn().await?;
        conn.begin_snapshot().await.map_err(Fault::into_store)?;
        Ok(conn)
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn commit_events(&self, group: Vec<Submission>) -> Result<Vec<Submitted>, StoreError> {
        events::commit(self, &group).await
    }

    async fn record_outcomes(&self, group: Vec<OutcomeRecord>) -> Result<Vec<Recorded>, StoreError> {
        outcomes::record(self, &group).await
    }

    async fn fetch_due(&self, asks: Vec<DueAsk>, now: Timestamp) -> Result<Vec<DueAnswer>, StoreError> {
        queue::fetch_due(self, &asks, now).await.map_err(Fault::into_store)
    }

    async fn waiting(&self, ask: WaitingAsk) -> Result<Vec<Waiting>, StoreError> {
        waiting::waiting(self, &ask).await.map_err(Fault::into_store)
    }

    async fn queued(&self, account: AccountId, delivery: DeliveryId) -> Result<Option<Queued>, StoreError> {
        queue::one(self, account, delivery).await.map_err(Fault::into_store)
    }

    async fn expand_fanouts(&self, rows_max: usize) -> Result<Expanded, StoreError> {
        fanouts::expand(self, rows_max.min(TRANSACTION_ROWS_MAX)).await
    }

    async fn stop_deleted(&self, rows_max: usize, now: Timestamp) -> Result<bool, StoreError> {
        let rows_max = rows_max.min(TRANSACTION_ROWS_MAX);
        stopping::stop_deleted(self, rows_max, now).await
    }

    async fn create_test(&self, delivery: Delivery, body: Bytes) -> Result<bool, StoreError> {
        let conn = self.begin().await?;
        let made = retries::create_test(&conn, self.inner.positions, &delivery, &body).await;
        conn.end(made).await
    }

    async fn retry_delivery(&self, ask: RetryAsk) -> Result<Retried, StoreError> {
        let conn = self.begin().await?;
        conn.end(retries::retry(&conn, self.inner.positions, ask).await).await
    }

    async fn event(&self, account: AccountId, event: EventId) -> Result<Option<Arc<Event>>, StoreError> {
        let conn = self.conn().await?;
        let event = event_reads::by_id(&conn, account, &event).await.map_err(Fault::into_store)?;
        Ok(event.map(Arc::new))
    }

    async fn delivery(&self, account: AccountId, delivery: DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        let conn = self.snapshot().await?;
        conn.end(deliveries::shown(&conn, account, delivery).await).await
    }

    async fn list_deliveries(&self, account: AccountId, filter: DeliveryFilter, page: PageAsk) -> Result<Page<DeliveryRecord>, StoreError> {
        let conn = self.snapshot().await?;
        conn.end(lists::list(&conn, account, &filter, page).await).await
    }

    async fn create_job(&self, job: Job, recovery: Recovery) -> Result<JobMade, StoreError> {
        let conn = self.begin().await?;
        let made = jobs::create(&conn, self.inner.positions, &job, recovery).await;
        conn.end(made).await
    }

    async fn job(&self, account: AccountId, job: JobId) -> Result<Option<Job>, StoreError> {
        let conn = self.conn().await?;
        jobs::find(&conn, account, job).await.map_err(Fault::into_store)
    }

    async fn list_jobs(&self, account: AccountId, page: PageAsk) -> Result<Page<Job>, StoreError> {
        let conn = self.conn().await?;
        jobs::list(&conn, account, page).await.map_err(Fault::into_store)
    }

    async fn cancel_job(&self, account: AccountId, job: JobId, now: Timestamp) -> Result<Option<Job>, StoreError> {
        let conn = self.begin().await?;
        conn.end(jobs::cancel(&conn, account, job, now).await).await
    }

    async fn running_jobs(&self, after: Option<JobId>, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let conn = self.conn().await?;
        jobs::running(&conn, after, limit).await.map_err(Fault::into_store)
    }

    async fn step_job(&self, mut step: JobStep) -> Result<JobStepped, StoreError> {
        step.rows_max = step.rows_max.min(TRANSACTION_ROWS_MAX);
        let conn = self.begin().await?;
        conn.end(recover::step(&conn, self.inner.positions, &step).await).await
    }

    async fn retire(&self, step: Retire) -> Result<Retired, StoreError> {
        retention::retire(self, &step).await
    }

    async fn erase_deleted(&self, rows_max: usize) -> Result<bool, StoreError> {
        erasing::erase_deleted(self, rows_max).await
    }

    async fn list_events(&self, account: AccountId, filter: EventFilter, page: PageAsk) -> Result<Page<Arc<Event>>, StoreError> {
        let conn = self.snapshot().await?;
        conn.end(event_lists::list(&conn, account, &filter, page).await).await
    }

    async fn events_behind(
        &self,
        account: AccountId,
        filter: EventFilter,
        after: Position,
        limit: usize,
    ) -> Result<EventsBehind, StoreError> {
        let conn = self.snapshot().await?;
        let found = event_lists::behind(&conn, self.inner.positions, (account, &filter), (after, limit)).await;
        conn.end(found).await
    }

    async fn event_position(&self, account: AccountId, event: EventId) -> Result<Option<Position>, StoreError> {
        let conn = self.conn().await?;
        event_reads::place_of(&conn, account, &event).await.map_err(Fault::into_store)
    }

    async fn last_position(&self) -> Result<Position, StoreError> {
        let conn = self.conn().await?;
        position::last(&conn, self.inner.positions).await.map_err(Fault::into_store)
    }

    async fn write_once(&self, write: Write, keep: Keep) -> Result<Once, StoreError> {
        let conn = self.begin().await?;
        conn.end(kept::write_once(&conn, &self.inner, write, &keep).await).await
    }

    async fn kept_answer(&self, at: AnswerKey, now: Timestamp) -> Result<Option<Kept>, StoreError> {
        let conn = self.conn().await?;
        kept::find(&conn, &self.inner.seal, &at, now).await.map_err(Fault::into_store)
    }

    async fn check(&self) -> Result<(), StoreError> {
        let conn = self.conn().await?;
        moved::beat(&conn, self.inner.positions).await.map_err(Fault::into_store)
    }
}
