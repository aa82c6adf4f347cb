//! What changes and deletes accounts, keys and webhooks: the store first, then the caches and lanes of this node, then the answer. So
//! what was answered is seen by all that comes after it. What makes them is in `write`.

use postrider_lanes::input::Standing;
use postrider_model::account::AccountChange;
use postrider_model::id::{AccountId, KeyId, WebhookId};
use postrider_model::key::{Key, KeyChange, KeyOwner};
use postrider_ports::StoreError;
use postrider_ports::nodes::Wake;
use postrider_ports::registry::{AccountChanged, WebhookEdit, WebhookEdited};

use crate::Engine;
use crate::dispatch::Message;
use crate::feed::{Touched, tell};

impl Engine {
    /// Changes an account. Where it is suspended its deliveries wait.
    ///
    /// # Errors
    /// The store is gone.
    pub async fn change_account(&self, account: AccountId, change: AccountChange) -> Result<AccountChanged, StoreError> {
        let changed = self
            .inner
            .parts
            .store
            .change_account(account, change, self.inner.parts.clock.wall())
            .await?;
        self.tell(account, Touched::Account).await?;
        Ok(changed)
    }

    /// Deletes an account: its keys die and its deliveries stop at once. False where there is none.
    ///
    /// # Errors
    /// The store is gone.
    pub async fn delete_account(&self, account: AccountId) -> Result<bool, StoreError> {
        // What the lanes hold of it is known only from its webhooks, so they are read before.
        self.inner.directory.account(account).await?;
        let deleted = self
            .inner
            .parts
            .store
            .delete_account(account, self.inner.parts.clock.wall())
            .await?;
        self.tell(account, Touched::Account).await?;
        self.inner.steps.notify_one();
        self.wake_who_dispatches();
        Ok(deleted)
    }

    /// Changes a key; it holds at once on this node. `None` where there is none.
    ///
    /// # Errors
    /// The store is gone.
    pub async fn change_key(&self, owner: KeyOwner, key: KeyId, change: KeyChange) -> Result<Option<Key>, StoreError> {
        let changed = self.inner.parts.store.change_key(owner, key, change).await?;
        self.forget_keys(owner);
        self.wake_others();
        Ok(changed)
    }

    /// Deletes a key; it holds at once on this node. False where there is none.
    ///
    /// # Errors
    /// The store is gone.
    pub async fn delete_key(&self, owner: KeyOwner, key: KeyId) -> Result<bool, StoreError> {
        let deleted = self.inner.parts.store.delete_key(owner, key).await?;
        self.forget_keys(owner);
        self.wake_others();
        Ok(deleted)
    }

    /// Edits a webhook: its fields, or its secret.
    ///
    /// # Errors
    /// The store is gone.
    pub async fn edit_webhook(&self, account: AccountId, webhook: WebhookId, edit: WebhookEdit) -> Result<WebhookEdited, StoreError> {
        let now = self.inner.parts.clock.wall();
        let edited = self.inner.parts.store.edit_webhook(account, webhook, edit, now).await?;
        if matches!(edited, WebhookEdited::Edited(_)) {
            self.tell(account, Touched::Webhook(webhook)).await?;
        }
        Ok(edited)
    }

    /// Deletes a webhook: what is pending stops at once, and ends in the store in steps. False where there is none.
    ///
    /// # Errors
    /// The store is gone.
    pub async fn delete_webhook(&self, account: AccountId, webhook: WebhookId) -> Result<bool, StoreError> {
        let target = self.inner.directory.target(account, webhook).await?;
        let deleted = self
            .inner
            .parts
            .store
            .delete_webhook(account, webhook, self.inner.parts.clock.wall())
            .await?;
        self.inner.directory.forget_account(account);
        self.wake_others();
        if let Some(target) = target {
            let mut lane = target.lane();
            lane.standing = Standing::Deleted;
            self.send(Message::Inputs(vec![postrider_lanes::Input::WebhookChanged { lane }]))
                .await;
        }
        self.inner.steps.notify_one();
        self.wake_who_dispatches();
        Ok(deleted)
    }

    pub(crate) async fn tell(&self, account: AccountId, touched: Touched) -> Result<(), StoreError> {
        self.wake_others();
        tell(&self.inner.directory, &self.inner.dispatch, account, &[touched]).await
    }

    /// Something was changed that other nodes may have cached, or have lanes of.
    pub(crate) fn wake_others(&self) {
        if let Some(others) = &self.inner.others {
            others.waker.all(Wake::Changes);
        }
    }

    /// Work was stored that whoever dispatches finds by itself, though not at once.
    pub(crate) fn wake_who_dispatches(&self) {
        if let Some(others) = &self.inner.others {
            others.wake_who_dispatches();
        }
    }

    pub(crate) fn forget_keys(&self, owner: KeyOwner) {
        self.inner.directory.forget_keys(owner);
        if let KeyOwner::Account(account) = owner {
            // Its version has changed: the next commit reads it anew without being refused first.
            self.inner.directory.forget_account(account);
        }
    }

    pub(crate) async fn send(&self, message: Message) {
        if self.inner.dispatch.send(message).await.is_err() {
            tracing::debug!("changed while stopping: the next start sees it in the store");
        }
    }
}
