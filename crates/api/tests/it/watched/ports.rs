//! Each call of the ports, passed on.

use std::sync::Arc;

use async_trait::async_trait;
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

use super::WatchedStore;

#[async_trait]
impl Registry for WatchedStore {
    async fn create_account(&self, account: Account) -> Result<AccountMade, StoreError> {
        self.watch("create_account", self.store.create_account(account)).await
    }

    async fn account(&self, account: AccountRef) -> Result<Option<Account>, StoreError> {
        self.watch("account", self.store.account(account)).await
    }

    async fn list_accounts(&self, page: PageAsk) -> Result<Page<Account>, StoreError> {
        self.watch("list_accounts", self.store.list_accounts(page)).await
    }

    async fn change_account(&self, account: AccountId, change: AccountChange, now: Timestamp) -> Result<AccountChanged, StoreError> {
        self.watch("change_account", self.store.change_account(account, change, now)).await
    }

    async fn delete_account(&self, account: AccountId, now: Timestamp) -> Result<bool, StoreError> {
        self.watch("delete_account", self.store.delete_account(account, now)).await
    }

    async fn account_snapshot(&self, account: AccountId) -> Result<Option<AccountSnapshot>, StoreError> {
        self.watch("account_snapshot", self.store.account_snapshot(account)).await
    }

    async fn create_key(&self, key: Key, hash: TokenHash) -> Result<bool, StoreError> {
        self.watch("create_key", self.store.create_key(key, hash)).await
    }

    async fn find_key(&self, hash: TokenHash) -> Result<Option<(Key, AccountVersion)>, StoreError> {
        self.watch("find_key", self.store.find_key(hash)).await
    }

    async fn find_key_by_id(&self, key: KeyId) -> Result<Option<(Key, AccountVersion)>, StoreError> {
        self.watch("find_key_by_id", self.store.find_key_by_id(key)).await
    }

    async fn key(&self, owner: KeyOwner, key: KeyId) -> Result<Option<Key>, StoreError> {
        self.watch("key", self.store.key(owner, key)).await
    }

    async fn list_keys(&self, owner: KeyOwner, page: PageAsk) -> Result<Page<Key>, StoreError> {
        self.watch("list_keys", self.store.list_keys(owner, page)).await
    }

    async fn change_key(&self, owner: KeyOwner, key: KeyId, change: KeyChange) -> Result<Option<Key>, StoreError> {
        self.watch("change_key", self.store.change_key(owner, key, change)).await
    }

    async fn delete_key(&self, owner: KeyOwner, key: KeyId) -> Result<bool, StoreError> {
        self.watch("delete_key", self.store.delete_key(owner, key)).await
    }

    async fn touch_keys(&self, used: Vec<(KeyId, Timestamp)>) -> Result<(), StoreError> {
        self.watch("touch_keys", self.store.touch_keys(used)).await
    }

    async fn create_webhook(&self, webhook: Webhook, webhooks_max: usize) -> Result<WebhookMade, StoreError> {
        self.watch("create_webhook", self.store.create_webhook(webhook, webhooks_max)).await
    }

    async fn webhook(&self, account: AccountId, webhook: WebhookId) -> Result<Option<Arc<Webhook>>, StoreError> {
        self.watch("webhook", self.store.webhook(account, webhook)).await
    }

    async fn list_webhooks(&self, account: AccountId, page: PageAsk) -> Result<Page<Arc<Webhook>>, StoreError> {
        self.watch("list_webhooks", self.store.list_webhooks(account, page)).await
    }

    async fn edit_webhook(
        &self,
        account: AccountId,
        webhook: WebhookId,
        edit: WebhookEdit,
        now: Timestamp,
    ) -> Result<WebhookEdited, StoreError> {
        self.watch("edit_webhook", self.store.edit_webhook(account, webhook, edit, now))
            .await
    }

    async fn delete_webhook(&self, account: AccountId, webhook: WebhookId, now: Timestamp) -> Result<bool, StoreError> {
        self.watch("delete_webhook", self.store.delete_webhook(account, webhook, now)).await
    }

    async fn store_health(&self, health: Vec<(AccountId, WebhookId, Health)>) -> Result<(), StoreError> {
        self.watch("store_health", self.store.store_health(health)).await
    }

    async fn changes(&self, after: Option<u64>) -> Result<Changes, StoreError> {
        self.watch("changes", self.store.changes(after)).await
    }
}

#[async_trait]
impl Store for WatchedStore {
    async fn commit_events(&self, group: Vec<Submission>) -> Result<Vec<Submitted>, StoreError> {
        self.watch("commit_events", self.store.commit_events(group)).await
    }

    async fn record_outcomes(&self, group: Vec<OutcomeRecord>) -> Result<Vec<Recorded>, StoreError> {
        self.watch("record_outcomes", self.store.record_outcomes(group)).await
    }

    async fn fetch_due(&self, asks: Vec<DueAsk>, now: Timestamp) -> Result<Vec<DueAnswer>, StoreError> {
        self.watch("fetch_due", self.store.fetch_due(asks, now)).await
    }

    async fn waiting(&self, ask: WaitingAsk) -> Result<Vec<Waiting>, StoreError> {
        self.watch("waiting", self.store.waiting(ask)).await
    }

    async fn queued(&self, account: AccountId, delivery: DeliveryId) -> Result<Option<Queued>, StoreError> {
        self.watch("queued", self.store.queued(account, delivery)).await
    }

    async fn expand_fanouts(&self, rows_max: usize) -> Result<Expanded, StoreError> {
        self.watch("expand_fanouts", self.store.expand_fanouts(rows_max)).await
    }

    async fn stop_deleted(&self, rows_max: usize, now: Timestamp) -> Result<bool, StoreError> {
        self.watch("stop_deleted", self.store.stop_deleted(rows_max, now)).await
    }

    async fn create_test(&self, delivery: Delivery, body: Bytes) -> Result<bool, StoreError> {
        self.watch("create_test", self.store.create_test(delivery, body)).await
    }

    async fn retry_delivery(&self, ask: RetryAsk) -> Result<Retried, StoreError> {
        self.watch("retry_delivery", self.store.retry_delivery(ask)).await
    }

    async fn event(&self, account: AccountId, event: EventId) -> Result<Option<Arc<Event>>, StoreError> {
        self.watch("event", self.store.event(account, event)).await
    }

    async fn delivery(&self, account: AccountId, delivery: DeliveryId) -> Result<Option<DeliveryRecord>, StoreError> {
        self.watch("delivery", self.store.delivery(account, delivery)).await
    }

    async fn list_deliveries(&self, account: AccountId, filter: DeliveryFilter, page: PageAsk) -> Result<Page<DeliveryRecord>, StoreError> {
        self.watch("list_deliveries", self.store.list_deliveries(account, filter, page))
            .await
    }

    async fn list_events(&self, account: AccountId, filter: EventFilter, page: PageAsk) -> Result<Page<Arc<Event>>, StoreError> {
        self.watch("list_events", self.store.list_events(account, filter, page)).await
    }

    async fn events_behind(
        &self,
        account: AccountId,
        filter: EventFilter,
        after: Position,
        limit: usize,
    ) -> Result<EventsBehind, StoreError> {
        self.watch("events_behind", self.store.events_behind(account, filter, after, limit))
            .await
    }

    async fn event_position(&self, account: AccountId, event: EventId) -> Result<Option<Position>, StoreError> {
        self.watch("event_position", self.store.event_position(account, event)).await
    }

    async fn last_position(&self) -> Result<Position, StoreError> {
        self.watch("last_position", self.store.last_position()).await
    }

    async fn write_once(&self, write: Write, keep: Keep) -> Result<Once, StoreError> {
        self.watch("write_once", self.store.write_once(write, keep)).await
    }

    async fn kept_answer(&self, at: AnswerKey, now: Timestamp) -> Result<Option<Kept>, StoreError> {
        self.watch("kept_answer", self.store.kept_answer(at, now)).await
    }

    async fn create_job(&self, job: Job, recovery: Recovery) -> Result<JobMade, StoreError> {
        self.watch("create_job", self.store.create_job(job, recovery)).await
    }

    async fn job(&self, account: AccountId, job: JobId) -> Result<Option<Job>, StoreError> {
        self.watch("job", self.store.job(account, job)).await
    }

    async fn list_jobs(&self, account: AccountId, page: PageAsk) -> Result<Page<Job>, StoreError> {
        self.watch("list_jobs", self.store.list_jobs(account, page)).await
    }

    async fn cancel_job(&self, account: AccountId, job: JobId, now: Timestamp) -> Result<Option<Job>, StoreError> {
        self.watch("cancel_job", self.store.cancel_job(account, job, now)).await
    }

    async fn running_jobs(&self, after: Option<JobId>, limit: usize) -> Result<Vec<JobId>, StoreError> {
        self.watch("running_jobs", self.store.running_jobs(after, limit)).await
    }

    async fn step_job(&self, step: JobStep) -> Result<JobStepped, StoreError> {
        self.watch("step_job", self.store.step_job(step)).await
    }

    async fn retire(&self, step: Retire) -> Result<Retired, StoreError> {
        self.watch("retire", self.store.retire(step)).await
    }

    async fn erase_deleted(&self, rows_max: usize) -> Result<bool, StoreError> {
        self.watch("erase_deleted", self.store.erase_deleted(rows_max)).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.watch("check", self.store.check()).await
    }
}
