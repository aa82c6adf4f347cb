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
use tokio_postgres::error::SqlState;

use crate::fault::Fault;
use crate::store::PostgresStore;
use crate::{accounts, changes, keys, webhooks};

#[async_trait]
impl Registry for PostgresStore {
    async fn create_account(&self, account: Account) -> Result<AccountMade, StoreError> {
        let positions = self.inner.positions;
        let conn = self.begin().await?;
        conn.end(accounts::create(&conn, positions, &account).await).await
    }

    async fn account(&self, account: AccountRef) -> Result<Option<Account>, StoreError> {
        let conn = self.conn().await?;
        accounts::find(&conn, &account).await.map_err(Fault::into_store)
    }

    async fn list_accounts(&self, page: PageAsk) -> Result<Page<Account>, StoreError> {
        let conn = self.conn().await?;
        accounts::list(&conn, page).await.map_err(Fault::into_store)
    }

    async fn change_account(&self, account: AccountId, change: AccountChange, now: Timestamp) -> Result<AccountChanged, StoreError> {
        let positions = self.inner.positions;
        let conn = self.begin().await?;
        let changed = accounts::change(&conn, positions, account, &change, now).await;
        let is_taken = matches!(&changed, Err(fault) if fault.code() == Some(&SqlState::UNIQUE_VIOLATION));
        match conn.end(changed).await {
            // Another took the same `external_id` at this moment, and has it now.
            Err(_) if is_taken => Ok(AccountChanged::ExternalIdTaken),
            changed => changed,
        }
    }

    async fn delete_account(&self, account: AccountId, now: Timestamp) -> Result<bool, StoreError> {
        let positions = self.inner.positions;
        let conn = self.begin().await?;
        conn.end(accounts::delete(&conn, positions, account, now).await).await
    }

    async fn account_snapshot(&self, account: AccountId) -> Result<Option<AccountSnapshot>, StoreError> {
        let conn = self.snapshot().await?;
        conn.end(accounts::snapshot(&conn, &self.inner, account).await).await
    }

    async fn create_key(&self, key: Key, hash: TokenHash) -> Result<bool, StoreError> {
        let positions = self.inner.positions;
        let conn = self.begin().await?;
        conn.end(keys::create(&conn, positions, &key, &hash).await).await
    }

    async fn find_key(&self, hash: TokenHash) -> Result<Option<(Key, AccountVersion)>, StoreError> {
        let conn = self.conn().await?;
        keys::by_hash(&conn, &hash).await.map_err(Fault::into_store)
    }

    async fn find_key_by_id(&self, key: KeyId) -> Result<Option<(Key, AccountVersion)>, StoreError> {
        let conn = self.conn().await?;
        keys::by_id(&conn, key).await.map_err(Fault::into_store)
    }

    async fn key(&self, owner: KeyOwner, key: KeyId) -> Result<Option<Key>, StoreError> {
        let conn = self.conn().await?;
        keys::find(&conn, owner, key).await.map_err(Fault::into_store)
    }

    async fn list_keys(&self, owner: KeyOwner, page: PageAsk) -> Result<Page<Key>, StoreError> {
        let conn = self.conn().await?;
        keys::list(&conn, owner, page).await.map_err(Fault::into_store)
    }

    async fn change_key(&self, owner: KeyOwner, key: KeyId, change: KeyChange) -> Result<Option<Key>, StoreError> {
        let positions = self.inner.positions;
        let conn = self.begin().await?;
        conn.end(keys::change(&conn, positions, owner, key, &change).await).await
    }

    async fn delete_key(&self, owner: KeyOwner, key: KeyId) -> Result<bool, StoreError> {
        let positions = self.inner.positions;
        let conn = self.begin().await?;
        conn.end(keys::delete(&conn, positions, owner, key).await).await
    }

    async fn touch_keys(&self, used: Vec<(KeyId, Timestamp)>) -> Result<(), StoreError> {
        let conn = self.conn().await?;
        keys::touch(&conn, &used).await.map_err(Fault::into_commit_error)
    }

    async fn create_webhook(&self, webhook: Webhook, webhooks_max: usize) -> Result<WebhookMade, StoreError> {
        let conn = self.begin().await?;
        conn.end(webhooks::create(&conn, &self.inner, &webhook, webhooks_max).await).await
    }

    async fn webhook(&self, account: AccountId, webhook: WebhookId) -> Result<Option<Arc<Webhook>>, StoreError> {
        let conn = self.conn().await?;
        let found = webhooks::find(&conn, account, webhook, &self.inner.seal).await;
        Ok(found.map_err(Fault::into_store)?.map(Arc::new))
    }

    async fn list_webhooks(&self, account: AccountId, page: PageAsk) -> Result<Page<Arc<Webhook>>, StoreError> {
        let conn = self.conn().await?;
        webhooks::list(&conn, account, page, &self.inner.seal)
            .await
            .map_err(Fault::into_store)
    }

    async fn edit_webhook(
        &self,
        account: AccountId,
        webhook: WebhookId,
        edit: WebhookEdit,
        now: Timestamp,
    ) -> Result<WebhookEdited, StoreError> {
        let conn = self.begin().await?;
        conn.end(webhooks::edit(&conn, &self.inner, (account, webhook), edit, now).await)
            .await
    }

    async fn delete_webhook(&self, account: AccountId, webhook: WebhookId, now: Timestamp) -> Result<bool, StoreError> {
        let positions = self.inner.positions;
        let conn = self.begin().await?;
        conn.end(webhooks::delete(&conn, positions, account, webhook, now).await).await
    }

    async fn store_health(&self, health: Vec<(AccountId, WebhookId, Health)>) -> Result<(), StoreError> {
        let conn = self.conn().await?;
        webhooks::store_health(&conn, &health).await.map_err(Fault::into_commit_error)
    }

    async fn changes(&self, after: Option<u64>) -> Result<Changes, StoreError> {
        let positions = self.inner.positions;
        let conn = self.conn().await?;
        changes::read(&conn, positions, after).await.map_err(Fault::into_store)
    }
}
