//! The store: events, deliveries, and what waits to be sent.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use postrider_model::attempt::Attempt;
use postrider_model::delivery::{Change, Delivery, DeliveryRecord};
use postrider_model::event::Event;
use postrider_model::id::{AccountId, DeliveryId, EventId, JobId, WebhookId};
use postrider_model::job::{Job, Recovery};
use postrider_model::name::EventNamePattern;
use postrider_model::queue::{Position, Queued};
use postrider_model::slot::SlotSet;
use postrider_model::time::Timestamp;

use crate::error::StoreError;
use crate::once::{AnswerKey, Keep, Kept, Once, Write};
use crate::page::{Page, PageAsk};
use crate::registry::{AccountVersion, Registry};

/// An event to be stored, and the deliveries to be made of it.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The event.
    pub event: Arc<Event>,
    /// Each with the webhook that it goes to. They are due at once.
    pub deliveries: Vec<(DeliveryId, WebhookId)>,
}

/// The events of one request: all or none of them are stored.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Whose they are.
    pub account: AccountId,
    /// The version of the account that they were fanned out with.
    pub version: AccountVersion,
    /// In the order of the request.
    pub events: Vec<NewEvent>,
    /// Keeps the answer with them, where the request has an idempotency key: rendered from `Written::Events`.
    pub keep: Option<Keep>,
}

/// What came of one request. It never fails another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// All are stored; one entry for each event, in their order.
    Stored(Vec<StoredEvent>),
    /// The account has changed since `version`: fan out again. Nothing was stored.
    Stale,
    /// There is no such account. Nothing was stored.
    NoAccount,
    /// Another event with this id and other content is there, or comes earlier in the request. Nothing was stored.
    IdTaken {
        /// Which event of the request.
        index: usize,
    },
    /// An answer stands under the request's idempotency key already. Nothing was stored.
    Kept(Kept),
    /// This request alone cannot be stored, whatever the reason; the others of its group were.
    Refused(StoreError),
}

/// What came of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredEvent {
    /// It is new.
    New {
        /// Its place in the order of the store.
        position: Position,
        /// Whether its deliveries stand in the queue. Where not (a large fan-out), `expand_fanouts` brings them there in steps.
        queued: bool,
    },
    /// It was there already, with the same content: this one. Nothing is to be delivered.
    Repeated(Arc<Event>),
}

/// What happened to a delivery: kept with the attempt that made it happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeRecord {
    /// Whose it is.
    pub account: AccountId,
    /// Which delivery.
    pub delivery: DeliveryId,
    /// What happened.
    pub change: Change,
    /// The attempt, where there was one.
    pub attempt: Option<Attempt>,
    /// When.
    pub at: Timestamp,
}

/// What came of recording an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// The delivery was changed.
    Applied,
    /// The delivery had moved on, or is gone: nothing was changed.
    Superseded,
    /// The store takes it neither now nor later, for what it is or where it would stand: nothing was changed, so the delivery is due as before.
    Refused,
    /// Others hold its row for longer than a call may wait: nothing was changed. Ask again with the same.
    Locked,
}

/// A wish for the due deliveries of one webhook.
#[derive(Clone, Debug)]
pub struct DueAsk {
    /// Whose it is.
    pub account: AccountId,
    /// Which webhook.
    pub webhook: WebhookId,
    /// At most so many rows.
    pub rows_max: usize,
    /// About so many bytes of bodies; the first row comes whatever its size.
    pub bytes_max: usize,
    /// What the asker has already: these are passed over, and do not count.
    pub known: Vec<DeliveryId>,
    /// Only test deliveries, as if there were no others: for a webhook that is switched off. Costs the same whatever waits beside them.
    pub tests_only: bool,
}

/// The due deliveries of one webhook, earliest due first, of equal due the one stored first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueAnswer {
    /// Of which webhook.
    pub webhook: WebhookId,
    /// The rows.
    pub rows: Vec<Queued>,
    /// Whether all that was due is among them or known: everything stored up to `through` was looked at.
    pub complete: bool,
    /// When the first of what is not due yet becomes due.
    pub next_due: Option<Timestamp>,
    /// Every write up to this place was seen by this answer.
    pub through: Position,
    /// No write behind this place was. Of those between the two it may have seen some: where a store's writes become visible one by
    /// one in the order of their places, there are none between.
    pub perhaps: Position,
}

/// A wish for the webhooks for which something is pending.
#[derive(Clone, Copy, Debug)]
pub struct WaitingAsk {
    /// Only those of these slots.
    pub slots: SlotSet,
    /// Behind this one, in an order of the store's own; from the first where `None`.
    pub after: Option<(AccountId, WebhookId)>,
    /// At most so many.
    pub limit: usize,
}

impl WaitingAsk {
    /// The first of all slots.
    pub const fn first(limit: usize) -> Self {
        Self {
            slots: SlotSet::ALL,
            after: None,
            limit,
        }
    }
}

/// A webhook for which something is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Whose it is.
    pub account: AccountId,
    /// Which webhook.
    pub webhook: WebhookId,
    /// When the first of its deliveries is due.
    pub due: Timestamp,
}

/// What one step of expanding large fan-outs did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// Webhooks that have new work in the queue.
    pub webhooks: Vec<(AccountId, WebhookId)>,
    /// The place of the last delivery that was brought to the queue: a read that has seen up to there has seen them all, one from
    /// before has not.
    pub through: Position,
    /// Whether there is more to expand.
    pub more: bool,
}

/// A wish for an attempt of a delivery now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAsk {
    /// Whose it is.
    pub account: AccountId,
    /// Which delivery.
    pub delivery: DeliveryId,
    /// The id of the new delivery that is made where this one has succeeded.
    pub fresh: DeliveryId,
    /// When.
    pub now: Timestamp,
}

/// What came of asking for a retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retried {
    /// It is due now: the same delivery, or a new one of the same event where it had succeeded.
    Due {
        /// As it waits.
        queued: Queued,
        /// As it is shown.
        record: Box<DeliveryRecord>,
    },
    /// The account has no such delivery.
    NotFound,
    /// Its webhook is not active.
    WebhookInactive,
    /// Its webhook is deleted.
    WebhookDeleted,
}

/// Status of a delivery, as a filter of lists. `in_progress` is not the store's to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFilter {
    /// Waits.
    Pending,
    /// Was acknowledged.
    Succeeded,
    /// Ended without.
    Failed,
}

/// Bounds on a time, all of them to be met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// Not before this (inclusive).
    pub from: Option<Timestamp>,
    /// Before this (exclusive).
    pub until: Option<Timestamp>,
}

impl TimeRange {
    /// Whether the moment lies in it.
    pub fn contains(&self, moment: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= moment) && self.until.is_none_or(|until| moment < until)
    }
}

/// Which deliveries of an account a list shows.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// Of this webhook, deleted or not.
    pub webhook: Option<WebhookId>,
    /// With this status.
    pub status: Option<StatusFilter>,
    /// Of this event.
    pub event: Option<EventId>,
    /// Of events with such a name.
    pub name: Option<EventNamePattern>,
    /// Of events about this resource.
    pub resource_id: Option<String>,
    /// Made in this time.
    pub created: TimeRange,
}

/// Which events of an account a list shows.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// With such a name.
    pub name: Option<EventNamePattern>,
    /// About this resource.
    pub resource_id: Option<String>,
    /// About resources of this type.
    pub resource_type: Option<String>,
    /// Made in this time.
    pub created: TimeRange,
}

impl EventFilter {
    /// Whether it wants the event.
    pub fn wants(&self, event: &Event) -> bool {
        self.name.as_ref().is_none_or(|pattern| pattern.matches(&event.name))
            && self.resource_id.as_ref().is_none_or(|id| *id == event.resource.id)
            && self.resource_type.as_ref().is_none_or(|kind| *kind == event.resource.resource_type)
            && self.created.contains(event.created_at)
    }
}

/// Events in the order in which they were stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsBehind {
    /// Oldest first.
    pub rows: Vec<Arc<Event>>,
    /// All that the filter wants up to here is among the rows or was before them: ask behind this next time.
    pub next: Position,
    /// Whether there may be more behind `next` already.
    pub has_more: bool,
}

/// What came of asking for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobMade {
    /// It runs.
    Made,
    /// The account has no such webhook.
    NoWebhook,
    /// Its webhook, or the account, is not active.
    WebhookInactive,
    /// As many jobs of this account run as may (`JOBS_RUNNING_MAX`).
    TooMany,
}

/// One step of a job.
#[derive(Clone, Debug)]
pub struct JobStep {
    /// Which job.
    pub job: JobId,
    /// At most so many rows are written; about ten times as many are looked at.
    pub rows_max: usize,
    /// Ids for deliveries that are made: as many as `rows_max`.
    pub fresh: Vec<DeliveryId>,
    /// When.
    pub now: Timestamp,
}

/// What a step of a job did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobStepped {
    /// The webhook that has new work in the queue, and the place of the last of it, as in `Expanded::through`.
    pub queued: Option<(AccountId, WebhookId, Position)>,
    /// What comes next.
    pub next: JobNext,
}

/// How a job goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobNext {
    /// There is more to do now.
    More,
    /// So much waits for its webhook already that fresh events would wait behind it: later.
    Later,
    /// It has ended, now or before.
    Ended,
}

/// One step of taking away what is kept no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retire {
    /// Events and ended deliveries made before this go.
    pub before: Timestamp,
    /// When: kept answers that have ended go too.
    pub now: Timestamp,
    /// At most so many rows are written: the writer is not held for longer than a few ms. A store that hides what is old and drops it in
    /// one piece may take away more.
    pub rows_max: usize,
}

/// What such a step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retired {
    /// Events that were taken away. About, where they are so many that they would have to be counted for this alone.
    pub events: usize,
    /// Deliveries that were taken away; about, too.
    pub deliveries: usize,
    /// Whether there is more to take away now.
    pub has_more: bool,
}

/// Events, deliveries and the queue of what is pending. Calls are all or nothing, and durable when they return.
#[async_trait]
pub trait Store: Registry {
    /// Stores the events of many requests, and their deliveries, in as few transactions as they fit in (at most
    /// `TRANSACTION_ROWS_MAX` rows each). Durable when it returns. One result for each request, in their order; a group that
    /// fails is split until the guilty one stands alone.
    ///
    /// # Errors
    /// Only what concerns all: the store is gone.
    async fn commit_events(&self, group: Vec<Submission>) -> Result<Vec<Submitted>, StoreError>;

    /// Records many outcomes in as few transactions as they fit in. One result for each, in their order. Each is
    /// compare-and-set by `Delivery::apply`. What is to blame for itself alone is told in its own result, and holds up no other.
    ///
    /// # Errors
    /// The store is gone: ask again with the same.
    async fn record_outcomes(&self, group: Vec<OutcomeRecord>) -> Result<Vec<Recorded>, StoreError>;

    /// The deliveries of many webhooks that are due at `now`, with their bodies. One answer for each ask. What belongs to a deleted
    /// webhook is passed over.
    async fn fetch_due(&self, asks: Vec<DueAsk>, now: Timestamp) -> Result<Vec<DueAnswer>, StoreError>;

    /// Webhooks of some slots for which something is pending. Costs per webhook, not per delivery.
    async fn waiting(&self, ask: WaitingAsk) -> Result<Vec<Waiting>, StoreError>;

    /// One pending delivery of an account as it waits; `None` where it is not pending (any more).
    async fn queued(&self, account: AccountId, delivery: DeliveryId) -> Result<Option<Queued>, StoreError>;

    /// Brings deliveries of large fan-outs into the queue: one step of at most `rows_max` rows.
    async fn expand_fanouts(&self, rows_max: usize) -> Result<Expanded, StoreError>;

    /// Ends pending deliveries of deleted webhooks and accounts as `webhook_deleted`: one step of at most `rows_max` rows. True where
    /// there is more to do.
    async fn stop_deleted(&self, rows_max: usize, now: Timestamp) -> Result<bool, StoreError>;

    /// Keeps a test delivery with its body. False where the webhook is gone.
    async fn create_test(&self, delivery: Delivery, body: Bytes) -> Result<bool, StoreError>;

    /// Makes a delivery due now by `Delivery::apply(Change::Retried)`; of one that succeeded, makes a new one with the id `fresh`.
    async fn retry_delivery(&self, ask: RetryAsk) -> Result<Retried, StoreError>;

    /// One event of an account. Those of test deliveries are not found.
    async fn event(&self, account: AccountId, event: EventId) -> Result<Option<Arc<Event>>, StoreError>;

    /// One delivery of an account, with its attempts and its payload.
    async fn delivery(&self, account: AccountId, delivery: DeliveryId) -> Result<Option<DeliveryRecord>, StoreError>;

    /// Lists the deliveries of an account, newest first.
    async fn list_deliveries(&self, account: AccountId, filter: DeliveryFilter, page: PageAsk) -> Result<Page<DeliveryRecord>, StoreError>;

    /// Lists the events of an account, newest first.
    async fn list_events(&self, account: AccountId, filter: EventFilter, page: PageAsk) -> Result<Page<Arc<Event>>, StoreError>;

    /// The events of an account behind a place, oldest first, at most `limit` of them and `PAGE_BYTES_MAX` of bodies. Whoever asks
    /// again behind `next` misses nothing that was or will be stored, and sees nothing twice. `Position::default()` is before all.
    async fn events_behind(
        &self,
        account: AccountId,
        filter: EventFilter,
        after: Position,
        limit: usize,
    ) -> Result<EventsBehind, StoreError>;

    /// The place of an event; `None` where the account has none of this id (any more).
    async fn event_position(&self, account: AccountId, event: EventId) -> Result<Option<Position>, StoreError>;

    /// The place of the last write: what is stored later lies behind it.
    async fn last_position(&self) -> Result<Position, StoreError>;

    /// Does a write and keeps its answer under an idempotency key, in one transaction; nothing where an answer that has not ended
    /// (`IDEMPOTENCY_KEPT`) stands there already. Answers with a secret are sealed.
    async fn write_once(&self, write: Write, keep: Keep) -> Result<Once, StoreError>;

    /// The answer that stands under an idempotency key at `now`.
    async fn kept_answer(&self, at: AnswerKey, now: Timestamp) -> Result<Option<Kept>, StoreError>;

    /// Makes a job that recovers a webhook.
    async fn create_job(&self, job: Job, recovery: Recovery) -> Result<JobMade, StoreError>;

    /// One job of an account.
    async fn job(&self, account: AccountId, job: JobId) -> Result<Option<Job>, StoreError>;

    /// Lists the jobs of an account, newest first.
    async fn list_jobs(&self, account: AccountId, page: PageAsk) -> Result<Page<Job>, StoreError>;

    /// Stops a job: what it has not done yet is left. The job as it is then, unchanged where it had ended; `None` where there is none.
    async fn cancel_job(&self, account: AccountId, job: JobId, now: Timestamp) -> Result<Option<Job>, StoreError>;

    /// Jobs that run, in the order of their ids behind `after`.
    async fn running_jobs(&self, after: Option<JobId>, limit: usize) -> Result<Vec<JobId>, StoreError>;

    /// One step of a job, in one transaction: looks at events from the oldest on, sends again what is wanted of them (`RecoverWhat::judge`),
    /// each once, and keeps how far it came. A crash repeats nothing of it. The first steps only count. `Later` while the webhook or
    /// the account is not active, or `RECOVER_WAITING_MAX` of its deliveries are due; the job fails where one of them is deleted.
    async fn step_job(&self, step: JobStep) -> Result<JobStepped, StoreError>;

    /// One step of taking away what is kept no longer: old events with their ended deliveries (whenever those were made) and attempts;
    /// deliveries that still wait for a webhook or account that is not active; tests; kept answers; ended jobs. A delivery that still is
    /// on its way keeps its event, which is looked at again within the hours after.
    async fn retire(&self, step: Retire) -> Result<Retired, StoreError>;

    /// Erases what deleted accounts have left, once nothing of it is pending: one step of at most `rows_max` rows. True where there is
    /// more to do.
    async fn erase_deleted(&self, rows_max: usize) -> Result<bool, StoreError>;

    /// Whether it can be written to now: a small durable write.
    async fn check(&self) -> Result<(), StoreError>;
}
