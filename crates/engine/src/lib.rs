//! The tasks around the lanes. An event's way: `ingest` (who wants it, one commit) → `dispatch` (turns, by `postrider_lanes`) → a sender
//! task → `recorder` (one commit) → the lanes again. Beneath it: `refill` and its sweep,
//! `background` steps, `recover` jobs, `retention`. Free of HTTP and SQL.

mod background;
mod backlog;
mod cache;
mod clock;
mod counters;
mod deliveries;
mod directory;
mod dispatch;
mod failures;
mod feed;
mod ingest;
mod nodes;
mod others;
mod pace;
mod recent;
mod recorder;
mod recover;
mod refill;
mod retention;
mod settings;
mod slots;
mod start;
mod streams;
mod subscriptions;
mod waker;
mod webhooks;
mod write;

use std::sync::Arc;

use postrider_model::account::AccountRef;
use postrider_model::id::{AccountId, KeyId};
use postrider_model::time::Timestamp;
use postrider_ports::{Clock, Random, Store, StoreError};
use tokio::sync::{Notify, mpsc, watch};

pub use crate::clock::StoreClock;
pub use crate::counters::{Count, Counters, Gauge};
pub use crate::directory::KnownKey;
pub use crate::dispatch::Load;
pub use crate::ingest::{EventIn, IngestError, Ingested, KeepIngested, RenderIngested};
pub use crate::nodes::{Holding, NodeList};
pub use crate::settings::{Keeper, NodeSettings, Parts, Settings};
pub use crate::streams::NewEvents;
pub use crate::subscriptions::{AccountEntry, Target};

use crate::background::KeyUses;
use crate::directory::Directory;
use crate::dispatch::Message;
use crate::ingest::{Ingest, Tried};
use crate::others::Others;
use crate::slots::mover::Leaving;
use crate::start::Tasks;
use crate::streams::Waiters;

/// The running engine. Cheap to clone; `start` begins it, `shutdown` ends it.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

/// Shared by all handles.
pub(crate) struct Inner {
    pub(crate) parts: Parts,
    pub(crate) settings: Settings,
    pub(crate) directory: Arc<Directory>,
    pub(crate) ingest: Ingest,
    pub(crate) dispatch: mpsc::Sender<Message>,
    /// Asks for background steps now.
    pub(crate) steps: Arc<Notify>,
    /// Told when a job was made.
    pub(crate) jobs: Arc<Notify>,
    pub(crate) key_uses: Arc<KeyUses>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) started_at: Timestamp,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) load: watch::Receiver<Load>,
    /// What this node knows and tells of others; `None` where it is alone.
    pub(crate) others: Option<Arc<Others>>,
    pub(crate) leaving: mpsc::Sender<Leaving>,
    pub(crate) tasks: Tasks,
}

impl Engine {
    /// Where all is kept: reads go straight to it.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.parts.store
    }

    /// Time.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.parts.clock
    }

    /// Chance.
    pub fn random(&self) -> &Arc<dyn Random> {
        &self.inner.parts.random
    }

    /// What it was told at start.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// What is under way, for readiness and metrics.
    pub fn load(&self) -> Load {
        *self.inner.load.borrow()
    }

    /// When it started.
    pub fn started_at(&self) -> Timestamp {
        self.inner.started_at
    }

    /// Requests with events that wait for the next commit.
    pub fn ingest_waiting(&self) -> usize {
        self.inner.ingest.waiting()
    }

    /// What was counted since the start.
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// The key of a token; `None` where no key has it. It may have expired: the caller looks. A text that is no token of ours costs no
    /// read of the store.
    ///
    /// # Errors
    /// The store is gone.
    pub async fn authenticate(&self, token: &str) -> Result<Option<Arc<KnownKey>>, StoreError> {
        let known = self.inner.directory.key(token).await?;
        self.note_use(known.as_deref());
        Ok(known)
    }

    /// The key of this id, whoever owns it; `None` where there is none (any more). It may have expired: the caller looks.
    ///
    /// # Errors
    /// The store is gone.
    pub async fn key_by_id(&self, key: KeyId) -> Result<Option<Arc<KnownKey>>, StoreError> {
        let known = self.inner.directory.key_by_id(key).await?;
        self.note_use(known.as_deref());
        Ok(known)
    }

    fn note_use(&self, known: Option<&KnownKey>) {
        if let Some(known) = known {
            self.inner.key_uses.note(known.key.id, self.inner.parts.clock.wall());
        }
    }

    /// An account with its webhooks; `None` where there is none.
    ///
    /// # Errors
    /// The store is gone.
    pub async fn account(&self, account: AccountId) -> Result<Option<Arc<AccountEntry>>, StoreError> {
        self.inner.directory.account(account).await
    }

    /// The same by either of its names.
    ///
    /// # Errors
    /// The store is gone.
    pub async fn resolve_account(&self, account: &AccountRef) -> Result<Option<Arc<AccountEntry>>, StoreError> {
        self.inner.directory.resolve(account).await
    }

    /// Stores events, and the deliveries that the account's webhooks want of them: all or none. Durable when it returns. With `keep` the
    /// answer is kept in the same transaction, and nothing is stored where one stands under the key already.
    ///
    /// # Errors
    /// `IngestError` says why none was stored. After `KeyChanged` the caller authenticates again: the account, one of its keys or
    /// webhooks was changed elsewhere since it was read.
    pub async fn ingest(
        &self,
        account: &Arc<AccountEntry>,
        events: Vec<EventIn<'_>>,
        keep: Option<KeepIngested>,
    ) -> Result<Vec<Ingested>, IngestError> {
        match self.inner.ingest.try_once(account, &events, keep).await? {
            Tried::Stored(stored) => Ok(stored),
            Tried::Stale => {
                self.inner.directory.forget_account(account.snapshot.account.id);
                Err(IngestError::KeyChanged)
            }
        }
    }

    /// Whether the store can be written to.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.inner.parts.store.check().await
    }
}
