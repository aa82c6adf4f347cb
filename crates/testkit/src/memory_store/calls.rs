//! The calls of the port: each is one look at the tables or one change of them.

use std::sync::Arc;

use bytes::Bytes;
use postrider_model::account::{Account, AccountChange, AccountRef};
use postrider_model::delivery::{Delivery, DeliveryRecord};
use postrider_model::event::Event;
use postrider_model::health::Health;
use postrider_model::id::{AccountId, DeliveryId, EventId, JobId, KeyId, WebhookId};
use postrider_model::job::{Job, Recovery};
use postrider_model::key::{Key, KeyChange, KeyOwner, TokenHash};
use postrider_model::queue::{Position, Queued};
use postrider_model::time::Timestamp;
use postrider_model::webhook::Webhook;
use postrider_ports::once::{AnswerKey, Keep, Kept, Once, Write};
use postrider_ports::registry::{
    AccountChanged, AccountMade, AccountSnapshot, AccountVersion, Changes, WebhookEdit, WebhookEdited, WebhookMade,
};
use postrider_ports::store::{
    DeliveryFilter, DueAnswer, DueAsk, EventFilter, EventsBehind, Expanded, JobMade, JobStep, JobStepped, OutcomeRecord, Recorded, Retire,
    Retired, Retried, RetryAsk, Submission, Submitted, Waiting, WaitingAsk,
};
use postrider_ports::{Page, PageAsk, Registry, Store, StoreError};

use super::{MemoryStore, async_trait};

#[async_trait]
impl Registry for MemoryStore {
    async fn create_account(&self, account: Account) -> Result<AccountMade, StoreError> {
        self.write(|tables| tables.create_account(account)).await
    }

    async fn account(&self, account: AccountRef) -> Result<Option<Account>, StoreError> {
        self.read(|tables| tables.account(&account)).await
    }

    async fn list_accounts(&self, page: PageAsk) -> Result<Page<Account>, StoreError> {
        self.read(|tables| tables.list_accounts(page)).await
    }

    async fn change_account(&self, account: AccountId, change: AccountChange, now: Timestamp) -> Result<AccountChanged, StoreError> {
        self.write(|tables| tables.change_account(account, change, now)).await
    }

    async fn delete_account(&self, account: AccountId, _now: Timestamp) -> Result<bool, StoreError> {
        self.write(|tables| tables.delete_account(account)).await
    }

    async fn account_snapshot(&self, account: AccountId) -> Result<Option<AccountSnapshot>, StoreError> {
        self.read(|tables| tables.snapshot(account)).await
    }

    async fn create_key(&self, key: Key, hash: TokenHash) -> Result<bool, StoreError> {
        self.write(|tables| tables.create_key(key, hash)).await
    }

    async fn find_key(&self, hash: TokenHash) -> Result<Option<(Key, AccountVersion)>, StoreError> {
        self.read(|tables| tables.find_key(hash)).await
    }

    async fn find_key_by_id(&self, key: KeyId) -> Result<Option<(Key, AccountVersion)>, StoreError> {
        self.read(|tables| tables.find_key_by_id(key)).await
    }

    async fn key(&self, owner: KeyOwner, key: KeyId) -> Result<Option<Key>, StoreError> {
        self.read(|tables| tables.key(owner, key)).await
    }

    async fn list_keys(&self, owner: KeyOwner, page: PageAsk) -> Result<Page<Key>, StoreError> {
        self.read(|tables| tables.list_keys(owner, page)).await
    }

    async fn change_key(&self, owner: KeyOwner, key: KeyId, change: KeyChange) -> Result<Option<Key>, StoreError> {
        self.write(|tables| tables.change_key(owner, key, change)).await
    }

    async fn delete_key(&self, owner: KeyOwner, key: KeyId) -> Result<bool, StoreError> {
        self.write(|tables| tables.delete_key(owner, key)).await
    }

    async fn touch_keys(&self, used: Vec<(KeyId, Timestamp)>) -> Result<(), StoreError> {
        self.write(|tables| tables.touch_keys(&used)).await
    }

    async fn create_webhook(&self, webhook: Webhook, webhooks_max: usize) -> Result<WebhookMade, StoreError> {
        self.write(|tables| tables.create_webhook(webhook, webhooks_max)).await
    }

    async fn webhook(&self, account: AccountId, webhook: WebhookId) -> Result<Option<Arc<Webhook>>, StoreError> {
        self.read(|tables| tables.webhook(account, webhook)).await
    }

    async fn list_webhooks(&self, account: AccountId, page: PageAsk) -> Result<Page<Arc<Webhook>>, StoreError> {
        self.read(|tables| tables.list_webhooks(account, page)).await
    }

    async fn edit_webhook(
        &self,
        account: AccountId,
        webhook: WebhookId,
        edit: WebhookEdit,
        now: Timestamp,
    ) -> Result<WebhookEdited, StoreError> {
        self.write(|tables| tables.edit_webhook((account, webhook), edit, now)).await
    }

    async fn delete_webhook(&self, account: AccountId, webhook: WebhookId, _now: Timestamp) -> Result<bool, StoreError> {
        self.write(|tables| tables.delete_webhook(account, webhook)).await
    }

    async fn store_health(&self, health: Vec<(AccountId, WebhookId, Health)>) -> Result<(), StoreError> {
        self.write(|tables| tables.store_health(&health)).await
    }

    async fn changes(&self, after: Option<u64>) -> Result<Changes, StoreError> {
        self.read(|tables| tables.changes(after)).await
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit_events(&self, group: Vec<Submission>) -> Result<Vec<Submitted>, StoreError> {
        self.write(|tables| group.iter().map(|submission| tables.submit(submission)).collect())
            .await
    }

    async fn record_outcomes(&self, group: Vec<OutcomeRecord>) -> Result<Vec<Recorded>, StoreError> {
        let stuck = self.script.lock().stuck;
        self.write(|tables| group.into_iter().map(|outcome| tables.record(outcome, stuck)).collect())
            .await
    }

    async fn fetch_due(&self, asks: Vec<DueAsk>, now: Timestamp) -> Result<Vec<DueAnswer>, StoreError> {
        self.read(|tables| asks.iter().map(|ask| tables.fetch_due(ask, now)).collect())
            .await
    }

    async fn waiting(&self, ask: WaitingAsk) -> Result<Vec<Waiting>, StoreError> {
        self.read(|tables| tables.waiting(&ask)).await
    }

    async fn queued(&self, account: AccountId, delivery: DeliveryId) -> Result<Option<Queued>, StoreError> {
        self.read(|tables| tables.queued(account, delivery)).await
    }

    async fn expand_fanouts(&self, rows_max: usize) -> Result<Expanded, StoreError> {
        self.write(|tables| tables.expand_fanouts(rows_max)).await
    }

    async fn stop_deleted(&self, rows_max: usize, now: Timestamp) -> Result<bool, StoreError> {
        self.write(|tables| tables.stop_deleted(rows_max, now)).await
    }

    async fn create_test(&self, delivery: Delivery, body: Bytes) -> Result<bool, StoreError> {
        self.write(|tables| tables.create_test(delivery, body)).await?
    }

    async fn retry_delivery(&self, ask: RetryAsk) -> Result<Retried, StoreError> {
        self.write(|tables| tables.retry(ask)).await
    }

    async fn event(&self, account: AccountId, event: EventId) -> Result<Option<Arc<Event>>, StoreError> {
        self.read(|tables| tables.event(account, &event)).await
    }

    async fn delivery(&self, account: AccountId, delivery: DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        self.read(|tables| tables.delivery(account, delivery)).await
    }

    async fn list_deliveries(&self, account: AccountId, filter: DeliveryFilter, page: PageAsk) -> Result<Page<DeliveryRecord>, StoreError> {
        self.read(|tables| tables.list_deliveries(account, &filter, page)).await
    }

    async fn list_events(&self, account: AccountId, filter: EventFilter, page: PageAsk) -> Result<Page<Arc<Event>>, StoreError> {
        self.read(|tables| tables.list_events(account, &filter, page)).await
    }

    async fn events_behind(
        &self,
        account: AccountId,
        filter: EventFilter,
        after: Position,
        limit: usize,
    ) -> Result<EventsBehind, StoreError> {
        self.read(|tables| tables.events_behind(account, &filter, after, limit)).await
    }

    async fn event_position(&self, account: AccountId, event: EventId) -> Result<Option<Position>, StoreError> {
        self.read(|tables| tables.event_position(account, &event)).await
    }

    async fn last_position(&self) -> Result<Position, StoreError> {
        self.read(|tables| tables.last_position()).await
    }

    async fn write_once(&self, write: Write, keep: Keep) -> Result<Once, StoreError> {
        self.write(|tables| tables.write_once(write, &keep)).await?
    }

    async fn kept_answer(&self, at: AnswerKey, now: Timestamp) -> Result<Option<Kept>, StoreError> {
        self.read(|tables| tables.kept_answer(&at, now)).await
    }

    async fn create_job(&self, job: Job, recovery: Recovery) -> Result<JobMade, StoreError> {
        self.write(|tables| tables.create_job(job, recovery)).await
    }

    async fn job(&self, account: AccountId, job: JobId) -> Result<Option<Job>, StoreError> {
        self.read(|tables| tables.job(account, job)).await
    }

    async fn list_jobs(&self, account: AccountId, page: PageAsk) -> Result<Page<Job>, StoreError> {
        self.read(|tables| tables.list_jobs(account, page)).await
    }

    async fn cancel_job(&self, account: AccountId, job: JobId, now: Timestamp) -> Result<Option<Job>, StoreError> {
        self.write(|tables| tables.cancel_job(account, job, now)).await
    }

    async fn running_jobs(&self, after: Option<JobId>, limit: usize) -> Result<Vec<JobId>, StoreError> {
        self.read(|tables| tables.running_jobs(after, limit)).await
    }

    async fn step_job(&self, step: JobStep) -> Result<JobStepped, StoreError> {
        self.write(|tables| tables.step_job(&step)).await
    }

    async fn retire(&self, step: Retire) -> Result<Retired, StoreError> {
        self.write(|tables| tables.retire(&step)).await
    }

    async fn erase_deleted(&self, rows_max: usize) -> Result<bool, StoreError> {
        self.write(|tables| tables.erase_deleted(rows_max)).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.write(|_| ()).await
    }
}
