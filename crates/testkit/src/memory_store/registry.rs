//! Accounts, keys and webhooks.

use std::sync::Arc;

use postrider_model::account::{Account, AccountChange, AccountRef};
use postrider_model::health::Health;
use postrider_model::id::{AccountId, KeyId, WebhookId};
use postrider_model::key::{Key, KeyChange, KeyOwner, TokenHash};
use postrider_model::time::Timestamp;
use postrider_model::webhook::Webhook;
use postrider_ports::registry::{
    AccountChanged, AccountMade, AccountSnapshot, AccountVersion, Changes, Told, WebhookEdit, WebhookEdited, WebhookMade,
};
use postrider_ports::{Page, PageAsk};

use super::tables::{AccountRow, KeyRow, Tables, WebhookRow, page};

impl Tables {
    pub(super) fn create_account(&mut self, account: Account) -> AccountMade {
        if let Some(external) = &account.external_id
            && let Some(first) = self.account(&AccountRef::External(external.clone()))
        {
            return AccountMade::Exists(first);
        }
        let id = account.id;
        let position = self.next_position();
        self.accounts.insert(
            id,
            AccountRow {
                position,
                account,
                version: AccountVersion::default(),
                is_deleted: false,
            },
        );
        self.account_changed(id, None);
        AccountMade::Made
    }

    fn live_accounts(&self) -> impl Iterator<Item = &AccountRow> {
        self.accounts.values().filter(|row| !row.is_deleted)
    }

    pub(super) fn account(&self, account: &AccountRef) -> Option<Account> {
        let is_meant = |row: &&AccountRow| match account {
            AccountRef::Id(id) => row.account.id == *id,
            AccountRef::External(external) => row.account.external_id.as_ref() == Some(external),
        };
        self.live_accounts().find(is_meant).map(|row| row.account.clone())
    }

    pub(super) fn list_accounts(&self, ask: PageAsk) -> Page<Account> {
        page(self.live_accounts().map(|row| (row.position, row.account.clone())), ask)
    }

    pub(super) fn change_account(&mut self, id: AccountId, change: AccountChange, now: Timestamp) -> AccountChanged {
        let Some(mut account) = self.account(&AccountRef::Id(id)) else {
            return AccountChanged::NotFound;
        };
        if let Some(external) = change.external_id {
            let holder = external
                .as_ref()
                .and_then(|external| self.account(&AccountRef::External(external.clone())));
            if holder.is_some_and(|holder| holder.id != id) {
                return AccountChanged::ExternalIdTaken;
            }
            account.external_id = external;
        }
        account.name = change.name.unwrap_or(account.name);
        account.is_active = change.is_active.unwrap_or(account.is_active);
        account.modified_at = now;
        if let Some(row) = self.accounts.get_mut(&id) {
            row.account = account.clone();
        }
        self.account_changed(id, None);
        AccountChanged::Changed(account)
    }

    pub(super) fn delete_account(&mut self, id: AccountId) -> bool {
        let Some(row) = self.accounts.get_mut(&id).filter(|row| !row.is_deleted) else {
            return false;
        };
        row.is_deleted = true;
        self.keys.retain(|_, row| row.key.owner != KeyOwner::Account(id));
        for row in self.webhooks.values_mut().filter(|row| row.webhook.account == id) {
            row.is_deleted = true;
        }
        self.account_changed(id, None);
        true
    }

    pub(super) fn snapshot(&self, id: AccountId) -> Option<AccountSnapshot> {
        let row = self.accounts.get(&id).filter(|row| !row.is_deleted)?;
        let mut webhooks: Vec<&WebhookRow> = self.live_webhooks(id).collect();
        webhooks.sort_by_key(|row| row.position);
        Some(AccountSnapshot {
            version: row.version,
            account: row.account.clone(),
            webhooks: webhooks.into_iter().map(|row| Arc::new(row.webhook.clone())).collect(),
        })
    }

    pub(super) fn create_key(&mut self, key: Key, hash: TokenHash) -> bool {
        let owner = key.owner;
        if let KeyOwner::Account(account) = owner
            && self.account(&AccountRef::Id(account)).is_none()
        {
            return false;
        }
        let position = self.next_position();
        self.keys.insert(key.id, KeyRow { position, key, hash });
        self.owner_changed(owner);
        true
    }

    pub(super) fn find_key(&self, hash: TokenHash) -> Option<(Key, AccountVersion)> {
        self.with_version(self.keys.values().find(|row| row.hash == hash)?)
    }

    pub(super) fn find_key_by_id(&self, key: KeyId) -> Option<(Key, AccountVersion)> {
        self.with_version(self.keys.get(&key)?)
    }

    fn with_version(&self, row: &KeyRow) -> Option<(Key, AccountVersion)> {
        let version = match row.key.owner {
            KeyOwner::Operator => AccountVersion::default(),
            KeyOwner::Account(account) => self.accounts.get(&account)?.version,
        };
        Some((row.key.clone(), version))
    }

    pub(super) fn key(&self, owner: KeyOwner, key: KeyId) -> Option<Key> {
        let row = self.keys.get(&key).filter(|row| row.key.owner == owner)?;
        Some(row.key.clone())
    }

    pub(super) fn list_keys(&self, owner: KeyOwner, ask: PageAsk) -> Page<Key> {
        let rows = self.keys.values().filter(|row| row.key.owner == owner);
        page(rows.map(|row| (row.position, row.key.clone())), ask)
    }

    pub(super) fn change_key(&mut self, owner: KeyOwner, key: KeyId, change: KeyChange) -> Option<Key> {
        let row = self.keys.get_mut(&key).filter(|row| row.key.owner == owner)?;
        if let Some(name) = change.name {
            row.key.name = name;
        }
        row.key.scopes = change.scopes.unwrap_or(row.key.scopes);
        row.key.expires_at = change.expires_at.unwrap_or(row.key.expires_at);
        let changed = row.key.clone();
        self.owner_changed(owner);
        Some(changed)
    }

    pub(super) fn delete_key(&mut self, owner: KeyOwner, key: KeyId) -> bool {
        if self.key(owner, key).is_none() {
            return false;
        }
        self.keys.remove(&key);
        self.owner_changed(owner);
        true
    }

    pub(super) fn touch_keys(&mut self, used: &[(KeyId, Timestamp)]) {
        for (key, at) in used {
            if let Some(row) = self.keys.get_mut(key) {
                row.key.last_used_at = row.key.last_used_at.max(Some(*at));
            }
        }
    }

    fn live_webhooks(&self, account: AccountId) -> impl Iterator<Item = &WebhookRow> {
        self.webhooks
            .values()
            .filter(move |row| row.webhook.account == account && !row.is_deleted)
    }

    pub(super) fn create_webhook(&mut self, webhook: Webhook, webhooks_max: usize) -> WebhookMade {
        let (account, id) = (webhook.account, webhook.id);
        if self.account(&AccountRef::Id(account)).is_none() {
            return WebhookMade::NoAccount;
        }
        if self.live_webhooks(account).count() >= webhooks_max {
            return WebhookMade::TooMany;
        }
        let position = self.next_position();
        self.webhooks.insert(
            id,
            WebhookRow {
                position,
                webhook,
                is_deleted: false,
            },
        );
        self.account_changed(account, Some(id));
        WebhookMade::Made
    }

    pub(super) fn webhook(&self, account: AccountId, webhook: WebhookId) -> Option<Arc<Webhook>> {
        let row = self.webhooks.get(&webhook)?;
        (row.webhook.account == account && !row.is_deleted).then(|| Arc::new(row.webhook.clone()))
    }

    pub(super) fn list_webhooks(&self, account: AccountId, ask: PageAsk) -> Page<Arc<Webhook>> {
        let rows = self.live_webhooks(account);
        page(rows.map(|row| (row.position, Arc::new(row.webhook.clone()))), ask)
    }

    pub(super) fn edit_webhook(&mut self, (account, id): (AccountId, WebhookId), edit: WebhookEdit, now: Timestamp) -> WebhookEdited {
        let Some(webhook) = self.webhook(account, id).map(Arc::unwrap_or_clone) else {
            return WebhookEdited::NotFound;
        };
        let edited = match edit {
            WebhookEdit::Change(change) => change.apply(webhook, now),
            WebhookEdit::Rotate(rotation) => match rotation.apply(webhook, now) {
                Ok(webhook) => webhook,
                Err(too_many) => return WebhookEdited::TooManySecrets(too_many),
            },
        };
        if let Some(row) = self.webhooks.get_mut(&id) {
            row.webhook = edited.clone();
        }
        self.account_changed(account, Some(id));
        WebhookEdited::Edited(Arc::new(edited))
    }

    pub(super) fn delete_webhook(&mut self, account: AccountId, id: WebhookId) -> bool {
        if self.webhook(account, id).is_none() {
            return false;
        }
        if let Some(row) = self.webhooks.get_mut(&id) {
            row.is_deleted = true;
        }
        self.account_changed(account, Some(id));
        true
    }

    pub(super) fn store_health(&mut self, health: &[(AccountId, WebhookId, Health)]) {
        for (account, webhook, health) in health {
            if let Some(row) = self.webhooks.get_mut(webhook).filter(|row| row.webhook.account == *account) {
                row.webhook.health = *health;
            }
        }
    }

    pub(super) fn changes(&self, after: Option<u64>) -> Changes {
        let through = self.feed.len() as u64;
        let behind = usize::try_from(after.unwrap_or(through)).unwrap_or(usize::MAX);
        let lines = (0u64..).zip(&self.feed).skip(behind);
        Changes {
            changes: lines.map(|(place, changed)| Told { place, changed: *changed }).collect(),
            through: through.max(after.unwrap_or_default()),
        }
    }
}
