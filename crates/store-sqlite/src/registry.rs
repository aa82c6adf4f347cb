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

use crate::store::SqliteStore;
use crate::{accounts, changes, keys, webhooks};

/// Rows that a call of the registry writes, about: what it changes, the version, the feed.
const ROWS: usize = 4;

#[async_trait]
impl Registry for SqliteStore {
    async fn create_account(&self, account: Account) -> Result<AccountMade, StoreError> {
        self.write(ROWS, move |tx| accounts::create(tx, &account)).await
    }

    async fn account(&self, account: AccountRef) -> Result<Option<Account>, StoreError> {
        self.read(move |read| accounts::find(read.conn, &account)).await
    }

    async fn list_accounts(&self, page: PageAsk) -> Result<Page<Account>, StoreError> {
        self.read(move |read| accounts::list(read.conn, page)).await
    }

    async fn change_account(&self, account: AccountId, change: AccountChange, now: Timestamp) -> Result<AccountChanged, StoreError> {
        self.write(ROWS, move |tx| accounts::change(tx, account, &change, now)).await
    }

    async fn delete_account(&self, account: AccountId, now: Timestamp) -> Result<bool, StoreError> {
        self.write(ROWS, move |tx| accounts::delete(tx, account, now)).await
    }

    async fn account_snapshot(&self, account: AccountId) -> Result<Option<AccountSnapshot>, StoreError> {
        let seal = self.seal();
        self.read(move |read| accounts::snapshot(read, account, &seal)).await
    }

    async fn create_key(&self, key: Key, hash: TokenHash) -> Result<bool, StoreError> {
        self.write(ROWS, move |tx| keys::create(tx, &key, &hash)).await
    }

    async fn find_key(&self, hash: TokenHash) -> Result<Option<(Key, AccountVersion)>, StoreError> {
        self.read(move |read| keys::by_hash(read.conn, &hash)).await
    }

    async fn find_key_by_id(&self, key: KeyId) -> Result<Option<(Key, AccountVersion)>, StoreError> {
        self.read(move |read| keys::by_id(read.conn, key)).await
    }

    async fn key(&self, owner: KeyOwner, key: KeyId) -> Result<Option<Key>, StoreError> {
        self.read(move |read| keys::find(read.conn, owner, key)).await
    }

    async fn list_keys(&self, owner: KeyOwner, page: PageAsk) -> Result<Page<Key>, StoreError> {
        self.read(move |read| keys::list(read.conn, owner, page)).await
    }

    async fn change_key(&self, owner: KeyOwner, key: KeyId, change: KeyChange) -> Result<Option<Key>, StoreError> {
        self.write(ROWS, move |tx| keys::change(tx, owner, key, &change)).await
    }

    async fn delete_key(&self, owner: KeyOwner, key: KeyId) -> Result<bool, StoreError> {
        self.write(ROWS, move |tx| keys::delete(tx, owner, key)).await
    }

    async fn touch_keys(&self, used: Vec<(KeyId, Timestamp)>) -> Result<(), StoreError> {
        self.write(used.len(), move |tx| keys::touch(tx, &used)).await
    }

    async fn create_webhook(&self, webhook: Webhook, webhooks_max: usize) -> Result<WebhookMade, StoreError> {
        self.write(ROWS, move |tx| webhooks::create(tx, &webhook, webhooks_max)).await
    }

    async fn webhook(&self, account: AccountId, webhook: WebhookId) -> Result<Option<Arc<Webhook>>, StoreError> {
        let seal = self.seal();
        self.read(move |read| Ok(webhooks::find(read.conn, account, webhook, &seal)?.map(Arc::new)))
            .await
    }

    async fn list_webhooks(&self, account: AccountId, page: PageAsk) -> Result<Page<Arc<Webhook>>, StoreError> {
        let seal = self.seal();
        self.read(move |read| webhooks::list(read.conn, account, page, &seal)).await
    }

    async fn edit_webhook(
        &self,
        account: AccountId,
        webhook: WebhookId,
        edit: WebhookEdit,
        now: Timestamp,
    ) -> Result<WebhookEdited, StoreError> {
        self.write(ROWS, move |tx| webhooks::edit(tx, account, webhook, edit.clone(), now))
            .await
    }

    async fn delete_webhook(&self, account: AccountId, webhook: WebhookId, now: Timestamp) -> Result<bool, StoreError> {
        self.write(ROWS, move |tx| webhooks::delete(tx, account, webhook, now)).await
    }

    async fn store_health(&self, health: Vec<(AccountId, WebhookId, Health)>) -> Result<(), StoreError> {
        self.write(health.len(), move |tx| webhooks::store_health(tx, &health)).await
    }

    async fn changes(&self, after: Option<u64>) -> Result<Changes, StoreError> {
        self.read(move |read| changes::read(read.conn, after)).await
    }
}
