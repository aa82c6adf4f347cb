//! Accounts, keys and webhooks as the engine knows them: a cache over the registry.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use postrider_model::account::AccountRef;
use postrider_model::health::Health;
use postrider_model::id::{AccountId, KeyId, WebhookId};
use postrider_model::key::{Key, KeyOwner, Scopes, Token, TokenHash};
use postrider_model::time::Timestamp;
use postrider_ports::registry::AccountVersion;
use postrider_ports::{Clock, Store, StoreError};

use crate::cache::Cache;
use crate::subscriptions::{AccountEntry, Target};

/// Webhooks that are kept in memory, at some 500 bytes each.
const WEBHOOKS_CACHED_MAX: usize = 250_000;
/// Keys that are kept in memory by their tokens, and as many by their ids, at some 300 bytes each.
const KEYS_CACHED_MAX: usize = 50_000;
/// External ids that are kept in memory.
const EXTERNAL_IDS_CACHED_MAX: usize = 50_000;
/// The id that operator keys of the configuration show.
const CONFIGURED_KEY: KeyId = KeyId::from_u128(0);

/// A key that was found valid, and the version of its account when that was.
#[derive(Debug)]
pub struct KnownKey {
    /// The key. It may have expired since.
    pub key: Key,
    /// The account's version that it was read with.
    pub version: AccountVersion,
}

impl KnownKey {
    /// Whether a store has it: those that the configuration gives are in none, and have no id.
    pub fn is_stored(&self) -> bool {
        self.key.id != CONFIGURED_KEY
    }
}

/// The cache. What this node changes is forgotten at once, what others change when the feed of changes tells.
pub(crate) struct Directory {
    store: Arc<dyn Store>,
    accounts: Cache<AccountId, Arc<AccountEntry>>,
    keys: Cache<TokenHash, Arc<KnownKey>>,
    /// For those that speak for a key without its token.
    keys_by_id: Cache<KeyId, Arc<KnownKey>>,
    external_ids: Cache<String, AccountId>,
    /// Counts what was forgotten. What was read before that may be old, and is not kept: else it would stay for good.
    forgotten: AtomicU64,
    configured: Vec<(TokenHash, Arc<KnownKey>)>,
    /// Held by who reads an account anew and tells the lanes of it.
    pub(crate) telling: tokio::sync::Mutex<()>,
}

impl Directory {
    pub(crate) fn new(store: Arc<dyn Store>, clock: &dyn Clock, operator_keys: &[TokenHash]) -> Self {
        let now = clock.wall();
        let configured = operator_keys.iter().map(|hash| (*hash, Arc::new(configured_key(now)))).collect();
        Self {
            store,
            accounts: Cache::new(WEBHOOKS_CACHED_MAX),
            keys: Cache::new(KEYS_CACHED_MAX),
            keys_by_id: Cache::new(KEYS_CACHED_MAX),
            external_ids: Cache::new(EXTERNAL_IDS_CACHED_MAX),
            forgotten: AtomicU64::new(0),
            configured,
            telling: tokio::sync::Mutex::new(()),
        }
    }

    /// The key of a token; `None` where no key has it.
    pub(crate) async fn key(&self, token: &str) -> Result<Option<Arc<KnownKey>>, StoreError> {
        let hash = TokenHash::of(token);
        if let Some((_, key)) = self.configured.iter().find(|(configured, _)| configured.is_same(&hash)) {
            return Ok(Some(Arc::clone(key)));
        }
        // Only the configuration's keys may be any text: what is no token of ours is in no store.
        let read = async || match Token::is_well_formed(token) {
            true => self.store.find_key(hash).await,
            false => Ok(None),
        };
        self.known(&self.keys, hash, read).await
    }

    /// The key of this id; `None` where there is none. Keys of the configuration have no id.
    pub(crate) async fn key_by_id(&self, id: KeyId) -> Result<Option<Arc<KnownKey>>, StoreError> {
        let read = async || self.store.find_key_by_id(id).await;
        self.known(&self.keys_by_id, id, read).await
    }

    async fn known<K: Eq + Hash + Clone>(
        &self,
        cache: &Cache<K, Arc<KnownKey>>,
        name: K,
        read: impl AsyncFnOnce() -> Result<Option<(Key, AccountVersion)>, StoreError>,
    ) -> Result<Option<Arc<KnownKey>>, StoreError> {
        if let Some(known) = cache.get(&name, |_| 1)
            && self.is_current(&known)
        {
            return Ok(Some(known));
        }
        let forgotten = self.forgotten.load(Ordering::Acquire);
        let Some((key, version)) = read().await? else {
            cache.remove(&name);
            return Ok(None);
        };
        let known = Arc::new(KnownKey { key, version });
        if forgotten == self.forgotten.load(Ordering::Acquire) {
            cache.insert(name, Arc::clone(&known), 1);
        }
        Ok(Some(known))
    }

    /// Whether the account has not changed since the key was read, as far as this node knows.
    fn is_current(&self, known: &KnownKey) -> bool {
        match known.key.owner {
            KeyOwner::Operator => true,
            KeyOwner::Account(account) => self
                .accounts
                .get(&account, |entry| entry.weight())
                .is_none_or(|entry| entry.snapshot.version == known.version),
        }
    }

    /// An account with its webhooks; `None` where there is none.
    pub(crate) async fn account(&self, account: AccountId) -> Result<Option<Arc<AccountEntry>>, StoreError> {
        match self.cached(account) {
            Some(entry) => Ok(Some(entry)),
            None => self.reload(account).await,
        }
    }

    fn cached(&self, account: AccountId) -> Option<Arc<AccountEntry>> {
        self.accounts.get(&account, |entry| entry.weight())
    }

    /// Reads the account anew.
    pub(crate) async fn reload(&self, account: AccountId) -> Result<Option<Arc<AccountEntry>>, StoreError> {
        let forgotten = self.forgotten.load(Ordering::Acquire);
        let Some(snapshot) = self.store.account_snapshot(account).await? else {
            self.accounts.remove(&account);
            return Ok(None);
        };
        let entry = Arc::new(AccountEntry::new(snapshot));
        if forgotten == self.forgotten.load(Ordering::Acquire) {
            self.accounts.insert(account, Arc::clone(&entry), entry.weight());
        }
        Ok(Some(entry))
    }

    /// An account by either of its names.
    pub(crate) async fn resolve(&self, account: &AccountRef) -> Result<Option<Arc<AccountEntry>>, StoreError> {
        let external = match account {
            AccountRef::Id(id) => return self.account(*id).await,
            AccountRef::External(external) => external,
        };
        if let Some(id) = self.external_ids.get(external, |_| 1)
            && let Some(entry) = self.account(id).await?
            && entry.snapshot.account.external_id.as_ref() == Some(external)
        {
            return Ok(Some(entry));
        }
        let Some(found) = self.store.account(account.clone()).await? else {
            return Ok(None);
        };
        self.external_ids.insert(external.clone(), found.id, 1);
        self.account(found.id).await
    }

    /// A webhook of an account; `None` where it is gone.
    pub(crate) async fn target(&self, account: AccountId, webhook: WebhookId) -> Result<Option<Arc<Target>>, StoreError> {
        Ok(self.account(account).await?.and_then(|entry| entry.target(webhook).cloned()))
    }

    /// The same where memory knows it, without waiting.
    pub(crate) fn cached_target(&self, account: AccountId, webhook: WebhookId) -> Option<Arc<Target>> {
        self.cached(account)?.target(webhook).cloned()
    }

    /// The same where the account is known in this version.
    pub(crate) fn cached_target_of(&self, account: AccountId, version: AccountVersion, webhook: WebhookId) -> Option<Arc<Target>> {
        let entry = self.cached(account)?;
        let is_same = entry.snapshot.version == version;
        is_same.then(|| entry.target(webhook).cloned()).flatten()
    }

    pub(crate) fn learn(&self, account: AccountId, webhook: WebhookId, health: Health) {
        if let Some(target) = self.cached_target(account, webhook) {
            target.learn(health);
        }
    }

    pub(crate) fn is_cached(&self, account: AccountId) -> bool {
        self.cached(account).is_some()
    }

    /// Forgets an account: it was changed, or one of its webhooks.
    pub(crate) fn forget_account(&self, account: AccountId) -> Option<Arc<AccountEntry>> {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.accounts.remove(&account)
    }

    /// Forgets everything: it may be of writes that are lost.
    pub(crate) fn forget_all(&self) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.accounts.remove_where(|_| true);
        self.keys.remove_where(|_| true);
        self.keys_by_id.remove_where(|_| true);
        self.external_ids.remove_where(|_| true);
    }

    /// Forgets the keys of an owner: one was changed or deleted.
    pub(crate) fn forget_keys(&self, owner: KeyOwner) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.keys.remove_where(|known| known.key.owner == owner);
        self.keys_by_id.remove_where(|known| known.key.owner == owner);
    }
}

fn configured_key(now: Timestamp) -> KnownKey {
    let key = Key {
        id: CONFIGURED_KEY,
        owner: KeyOwner::Operator,
        name: "POSTRIDER_OPERATOR_KEY".to_owned(),
        hint: String::new(),
        scopes: Scopes::of_operator(),
        created_at: now,
        expires_at: None,
        last_used_at: None,
    };
    KnownKey {
        key,
        version: AccountVersion::default(),
    }
}

#[cfg(test)]
mod tests;
