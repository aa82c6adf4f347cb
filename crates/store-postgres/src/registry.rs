//! Accounts, keys and webhooks as the engine sees them.

use std::sync::Arc;

use async_trait::async_trait;
use postrider_model::account::{Account, AccountChange, AccountRef};
use postrider_model::health::Health;
use postrider_model::id::{AccountId, KeyId, WebhookId};
use postrider_model::key::{Key, KeyChange, KeyOwner, TokenHash};
use postrider_model::time::Timestamp;
use postrider_model::webhook::Webhook;
use postrider_ports::page::{Page, PageAsk};
use postrider_ports::registry::{
    AccountChanged, AccountMade, AccountSnapshot, AccountVersion, Changes, WebhookEdit, WebhookEdited, WebhookMade,
};
use postrider_ports::{Registry, StoreError};

use crate::store::{PostgresStore, not_built};

#[async_trait]
impl Registry for PostgresStore {
    async fn create_account(&self, account: Account) -> Result<AccountMade, StoreError> {
        Err(not_built())
    }

    async fn account(&self, account: AccountRef) -> Result<Option<Account>, StoreError> {
        Err(not_built())
    }

    async fn list_accounts(&self, page: PageAsk) -> Result<Page<Account>, StoreError> {
        Err(not_built())
    }

    async fn change_account(&self, account: AccountId, change: AccountChange, now: Timestamp) -> Result<AccountChanged, StoreError> {
        Err(not_built())
    }

    async fn delete_account(&self, account: AccountId, now: Timestamp) -> Result<bool, StoreError> {
        Err(not_built())
    }

    async fn account_snapshot(&self, account: AccountId) -> Result<Option<AccountSnapshot>, StoreError> {
        Err(not_built())
    }

    async fn create_key(&self, key: Key, hash: TokenHash) -> Result<bool, StoreError> {
        Err(not_built())
    }

    async fn find_key(&self, hash: TokenHash) -> Result<Option<(Key, AccountVersion)>, StoreError> {
        Err(not_built())
    }

    async fn find_key_by_id(&self, key: KeyId) -> Result<Option<(Key, AccountVersion)>, StoreError> {
        Err(not_built())
    }

    async fn key(&self, owner: KeyOwner, key: KeyId) -> Result<Option<Key>, StoreError> {
        Err(not_built())
    }

    async fn list_keys(&self, owner: KeyOwner, page: PageAsk) -> Result<Page<Key>, StoreError> {
        Err(not_built())
    }

    async fn change_key(&self, owner: KeyOwner, key: KeyId, change: KeyChange) -> Result<Option<Key>, StoreError> {
        Err(not_built())
    }

    async fn delete_key(&self, owner: KeyOwner, key: KeyId) -> Result<bool, StoreError> {
        Err(not_built())
    }

    async fn touch_keys(&self, used: Vec<(KeyId, Timestamp)>) -> Result<(), StoreError> {
        Err(not_built())
    }

    async fn create_webhook(&self, webhook: Webhook, webhooks_max: usize) -> Result<WebhookMade, StoreError> {
        Err(not_built())
    }

    async fn webhook(&self, account: AccountId, webhook: WebhookId) -> Result<Option<Arc<Webhook>>, StoreError> {
        Err(not_built())
    }

    async fn list_webhooks(&self, account: AccountId, page: PageAsk) -> Result<Page<Arc<Webhook>>, StoreError> {
        Err(not_built())
    }

    async fn edit_webhook(
        &self,
        account: AccountId,
        webhook: WebhookId,
        edit: WebhookEdit,
        now: Timestamp,
    ) -> Result<WebhookEdited, StoreError> {
        Err(not_built())
    }

    async fn delete_webhook(&self, account: AccountId, webhook: WebhookId, now: Timestamp) -> Result<bool, StoreError> {
        Err(not_built())
    }

    async fn store_health(&self, health: Vec<(AccountId, WebhookId, Health)>) -> Result<(), StoreError> {
        Err(not_built())
    }

    async fn changes(&self, after: Option<u64>) -> Result<Changes, StoreError> {
        Err(not_built())
    }
}
