//! Background work in small steps: large fan-outs, deliveries of deleted webhooks, changes that others made, when keys were used.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use postrider_lanes::Input;
use postrider_model::id::{AccountId, KeyId, WebhookId};
use postrider_model::key::KeyOwner;
use postrider_model::time::Timestamp;
use postrider_ports::registry::Changed;
use postrider_ports::{Clock, Store, StoreError};
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, mpsc};

use crate::directory::Directory;
use crate::dispatch::Message;

/// Rows of one step: few enough that the store's writer is not held for long.
const STEP_ROWS_MAX: usize = 500;
/// How long after a failed step the next is tried, and how often the steps are tried unasked.
const IDLE_INTERVAL: Duration = Duration::from_secs(30);
/// How often the uses of keys are written down.
const KEY_USES_INTERVAL: Duration = Duration::from_secs(60);
/// Keys whose use is remembered between two writes; further ones are left out.
const KEY_USES_MAX: usize = 10_000;

/// Work in steps, begun at start, when it is asked for, and every now and then.
pub(crate) struct Steps {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) dispatch: mpsc::Sender<Message>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wanted: Arc<Notify>,
    /// Told when what somebody asked for is done: what a deleted account has left can be erased then.
    pub(crate) done: Arc<Notify>,
}

impl Steps {
    pub(crate) async fn run(self) {
        let mut is_asked_for = false;
        while !self.dispatch.is_closed() {
            match self.all().await {
                Ok(()) if is_asked_for => self.done.notify_one(),
                Ok(()) => {}
                Err(error) => tracing::warn!(%error, "background work has to wait for the store"),
            }
            tokio::select! {
                // In a fixed order: a seed replays what happened.
                biased;
                () = self.wanted.notified() => is_asked_for = true,
                () = self.clock.sleep_until(self.clock.mono() + IDLE_INTERVAL) => is_asked_for = false,
            }
        }
    }

    async fn all(&self) -> Result<(), StoreError> {
        while self.expand().await? {}
        while self.store.stop_deleted(STEP_ROWS_MAX, self.clock.wall()).await? {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn expand(&self) -> Result<bool, StoreError> {
        let step = self.store.expand_fanouts(STEP_ROWS_MAX).await?;
        let mut inputs = Vec::with_capacity(step.webhooks.len());
        for (account, webhook) in step.webhooks {
            // Whether it still is there is judged when it is refilled.
            inputs.push(Input::LeftBehind {
                account,
                webhook,
                through: step.through,
            });
        }
        if !inputs.is_empty() && self.dispatch.send(Message::Inputs(inputs)).await.is_err() {
            return Ok(false);
        }
        Ok(step.more)
    }
}

/// Hears what others changed: another process on the same store.
pub(crate) struct Feed {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) dispatch: mpsc::Sender<Message>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) interval: Duration,
    /// Where the feed stood before anything was cached.
    pub(crate) through: u64,
}

impl Feed {
    pub(crate) async fn run(mut self) {
        while !self.dispatch.is_closed() {
            self.clock.sleep_until(self.clock.mono() + self.interval).await;
            if let Err(error) = self.read().await {
                tracing::warn!(%error, "changes that others made cannot be read yet, trying again");
            }
        }
    }

    async fn read(&mut self) -> Result<(), StoreError> {
        let feed = self.store.changes(Some(self.through)).await?;
        // Of an account that changed a hundred times since the last look, the last state says all.
        let mut touched: BTreeMap<AccountId, Vec<Touched>> = BTreeMap::new();
        for told in feed.changes {
            match told.changed {
                Changed::OperatorKeys => self.directory.forget_keys(KeyOwner::Operator),
                Changed::Account(account) => touched.entry(account).or_default().push(Touched::Account),
                Changed::Webhook(account, webhook) => touched.entry(account).or_default().push(Touched::Webhook(webhook)),
                Changed::Delivery(..) => {}
            }
        }
        for (account, touched) in touched {
            // What is not cached is read when it is asked for. (Only keys are changed by another process beside a server on SQLite.)
            if self.directory.is_cached(account) {
                tell(&self.directory, &self.dispatch, account, &touched).await?;
            } else {
                self.directory.forget_keys(KeyOwner::Account(account));
            }
        }
        self.through = feed.through;
        Ok(())
    }
}

/// What was changed of an account.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Touched {
    /// The account itself, or its keys.
    Account,
    /// One of its webhooks.
    Webhook(WebhookId),
}

/// Forgets what is cached of an account and its keys, and tells the lanes how its webhooks stand now. One at a time: who read the older
/// state must not speak last.
pub(crate) async fn tell(
    directory: &Directory,
    dispatch: &mpsc::Sender<Message>,
    account: AccountId,
    touched: &[Touched],
) -> Result<(), StoreError> {
    let _turn = directory.telling.lock().await;
    let inputs = refresh(directory, account, touched).await?;
    if !inputs.is_empty() && dispatch.send(Message::Inputs(inputs)).await.is_err() {
        tracing::debug!("changed while stopping: the next start sees it in the store");
    }
    Ok(())
}

async fn refresh(directory: &Directory, account: AccountId, touched: &[Touched]) -> Result<Vec<Input>, StoreError> {
    let before = directory.forget_account(account);
    directory.forget_keys(KeyOwner::Account(account));
    let after = directory.account(account).await?;
    let mut inputs = Vec::new();
    for target in before.iter().flat_map(|entry| entry.targets()) {
        let now = after.as_ref().and_then(|entry| entry.target(target.webhook.id));
        if now.is_none() {
            let mut lane = target.lane();
            lane.standing = postrider_lanes::input::Standing::Deleted;
            inputs.push(Input::WebhookChanged { lane });
        }
    }
    let known = |webhook| before.as_ref().and_then(|entry| entry.target(webhook));
    for target in after.iter().flat_map(|entry| entry.targets()) {
        let lane = target.lane();
        // Its lane may not know what the cache knew (a change whose answer was lost): what was touched is always told. The others need no
        // word where nothing changed: their lanes would only be read anew.
        let is_touched = touched.iter().any(|touched| match touched {
            Touched::Account => true,
            Touched::Webhook(webhook) => *webhook == target.webhook.id,
        });
        if is_touched || known(target.webhook.id).is_none_or(|old| old.lane() != lane) {
            inputs.push(Input::WebhookChanged { lane });
        }
    }
    Ok(inputs)
}

/// Remembers when keys were used, and writes it down every now and then.
pub(crate) struct KeyUses {
    /// At most `KEY_USES_MAX` entries. Written by every request, emptied by the task below.
    used: Mutex<FxHashMap<KeyId, Timestamp>>,
}

impl KeyUses {
    pub(crate) fn new() -> Self {
        Self {
            used: Mutex::new(FxHashMap::default()),
        }
    }

    pub(crate) fn note(&self, key: KeyId, now: Timestamp) {
        let mut used = self.used.lock();
        if used.len() < KEY_USES_MAX || used.contains_key(&key) {
            used.insert(key, now);
        }
    }

    pub(crate) async fn run(self: Arc<Self>, store: Arc<dyn Store>, clock: Arc<dyn Clock>, dispatch: mpsc::Sender<Message>) {
        while !dispatch.is_closed() {
            clock.sleep_until(clock.mono() + KEY_USES_INTERVAL).await;
            let used: Vec<_> = std::mem::take(&mut *self.used.lock()).into_iter().collect();
            if !used.is_empty()
                && let Err(error) = store.touch_keys(used).await
            {
                tracing::debug!(%error, "when keys were last used was not stored");
            }
        }
    }
}
