//! Background work in small steps: large fan-outs, deliveries of deleted webhooks, when keys were used.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use postrider_model::id::KeyId;
use postrider_model::time::Timestamp;
use postrider_ports::{Clock, Store, StoreError};
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, mpsc};

use crate::dispatch::Message;
use crate::others::Router;

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
    pub(crate) router: Router,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wanted: Arc<Notify>,
    /// Told when what somebody asked for is done: what a deleted account has left can be erased then.
    pub(crate) done: Arc<Notify>,
}

impl Steps {
    pub(crate) async fn run(self) {
        let mut is_asked_for = false;
        while !self.router.dispatch.is_closed() {
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
        let through = step.through;
        let work = step.webhooks.into_iter().map(|(account, webhook)| (account, webhook, through));
        Ok(self.router.left_behind(work).await && step.more)
    }
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
