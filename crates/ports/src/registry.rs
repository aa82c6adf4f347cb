//! What changes seldom: accounts, keys and webhooks.

use std::sync::Arc;

use async_trait::async_trait;
use postrider_model::account::{Account, AccountChange, AccountRef};
use postrider_model::health::Health;
use postrider_model::id::{AccountId, DeliveryId, KeyId, WebhookId};
use postrider_model::key::{Key, KeyChange, KeyOwner, TokenHash};
use postrider_model::time::Timestamp;
use postrider_model::webhook::{Rotation, TooManySecrets, Webhook, WebhookChange};

use crate::error::StoreError;
use crate::page::{Page, PageAsk};

/// Counts the changes of an account, its keys and its webhooks. Whoever caches them says with which version a commit was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AccountVersion(pub u64);

/// All that ingest needs to know of an account: read in one snapshot.
#[derive(Clone, Debug)]
pub struct AccountSnapshot {
    /// The version that this is.
    pub version: AccountVersion,
    /// The account.
    pub account: Account,
    /// Its webhooks that are not deleted, active or not.
    pub webhooks: Vec<Arc<Webhook>>,
}

/// What came of making an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountMade {
    /// It is new.
    Made,
    /// There is one with this `external_id`: this one.
    Exists(Account),
}

/// What came of changing an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountChanged {
    /// The account as it is now.
    Changed(Account),
    /// There is none.
    NotFound,
    /// Another account has this `external_id`.
    ExternalIdTaken,
}

/// What came of making a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookMade {
    /// It is there.
    Made,
    /// The account has as many as it may.
    TooMany,
    /// There is no such account.
    NoAccount,
}

/// How a webhook is edited.
#[derive(Clone, Debug)]
pub enum WebhookEdit {
    /// Fields take new values.
    Change(WebhookChange),
    /// A new secret takes the place of the others.
    Rotate(Rotation),
}

/// What came of editing a webhook.
#[derive(Clone, Debug)]
pub enum WebhookEdited {
    /// The webhook as it is now.
    Edited(Arc<Webhook>),
    /// The account has no such webhook.
    NotFound,
    /// Six secrets would sign at once.
    TooManySecrets(TooManySecrets),
}

/// One line of the feed of changes that others made (another node, a command of the CLI).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// The operator's own keys.
    OperatorKeys,
    /// An account, its keys or its webhooks.
    Account(AccountId),
    /// One webhook of an account: made, changed or deleted.
    Webhook(AccountId, WebhookId),
    /// A delivery to this webhook that is wanted now, a retry or a test: for whoever owns the webhook's slot. A store of one node, which is
    /// told directly, has none of these.
    Delivery(AccountId, WebhookId, DeliveryId),
}

/// One line of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its own number: a line may be told again, and is known by it.
    pub place: u64,
    /// What it says.
    pub changed: Changed,
}

/// The changes behind a place in the feed, and the place to ask from next time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Oldest first, each at least once: where a write that began earlier is still open, what was told is told again.
    pub changes: Vec<Told>,
    /// Ask behind this next time.
    pub through: u64,
}

/// Accounts, keys and webhooks. All writes are durable when they return, and raise the account's version in the same transaction.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Makes an account, unless its `external_id` is there already.
    async fn create_account(&self, account: Account) -> Result<AccountMade, StoreError>;
    /// Finds an account; a deleted one is not found.
    async fn account(&self, account: AccountRef) -> Result<Option<Account>, StoreError>;
    /// Lists accounts, newest first.
    async fn list_accounts(&self, page: PageAsk) -> Result<Page<Account>, StoreError>;
    /// Changes an account.
    async fn change_account(&self, account: AccountId, change: AccountChange, now: Timestamp) -> Result<AccountChanged, StoreError>;
    /// Deletes an account: a tombstone, its keys die with it; its rows follow in steps (`Store::stop_deleted`). False where there is none.
    async fn delete_account(&self, account: AccountId, now: Timestamp) -> Result<bool, StoreError>;
    /// The account, its version and its webhooks, read in one snapshot; `None` where there is none.
    async fn account_snapshot(&self, account: AccountId) -> Result<Option<AccountSnapshot>, StoreError>;

    /// Keeps a key under its token's hash. False where its account is gone.
    async fn create_key(&self, key: Key, hash: TokenHash) -> Result<bool, StoreError>;
    /// The key of a token, and the version of its account (zero for the operator's); expired ones too.
    async fn find_key(&self, hash: TokenHash) -> Result<Option<(Key, AccountVersion)>, StoreError>;
    /// A key by its id, whoever owns it, and the version of its account (zero for the operator's); expired ones too.
    async fn find_key_by_id(&self, key: KeyId) -> Result<Option<(Key, AccountVersion)>, StoreError>;
    /// One key of an owner.
    async fn key(&self, owner: KeyOwner, key: KeyId) -> Result<Option<Key>, StoreError>;
    /// Lists the keys of an owner, newest first.
    async fn list_keys(&self, owner: KeyOwner, page: PageAsk) -> Result<Page<Key>, StoreError>;
    /// Changes a key; `None` where there is none.
    async fn change_key(&self, owner: KeyOwner, key: KeyId, change: KeyChange) -> Result<Option<Key>, StoreError>;
    /// Deletes a key. False where there is none.
    async fn delete_key(&self, owner: KeyOwner, key: KeyId) -> Result<bool, StoreError>;
    /// Notes when keys were last used. May be lost in a crash; raises no version.
    async fn touch_keys(&self, used: Vec<(KeyId, Timestamp)>) -> Result<(), StoreError>;

    /// Makes a webhook, where its account has fewer than `webhooks_max`.
    async fn create_webhook(&self, webhook: Webhook, webhooks_max: usize) -> Result<WebhookMade, StoreError>;
    /// One webhook of an account; a deleted one is not found.
    async fn webhook(&self, account: AccountId, webhook: WebhookId) -> Result<Option<Arc<Webhook>>, StoreError>;
    /// Lists the webhooks of an account, newest first.
    async fn list_webhooks(&self, account: AccountId, page: PageAsk) -> Result<Page<Arc<Webhook>>, StoreError>;
    /// Edits a webhook: read, changed and written in one transaction.
    async fn edit_webhook(
        &self,
        account: AccountId,
        webhook: WebhookId,
        edit: WebhookEdit,
        now: Timestamp,
    ) -> Result<WebhookEdited, StoreError>;
    /// Deletes a webhook: a tombstone; its pending deliveries end in steps (`Store::stop_deleted`). False where there is none.
    async fn delete_webhook(&self, account: AccountId, webhook: WebhookId, now: Timestamp) -> Result<bool, StoreError>;
    /// Keeps what was learned of receivers. Raises no version; unknown webhooks are left out.
    async fn store_health(&self, health: Vec<(AccountId, WebhookId, Health)>) -> Result<(), StoreError>;

    /// What others changed behind a place in the feed; with `None`, only the place where the feed stands now.
    async fn changes(&self, after: Option<u64>) -> Result<Changes, StoreError>;
}
