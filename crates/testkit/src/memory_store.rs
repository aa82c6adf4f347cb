//! A store in memory, with faults that a test can script. It keeps what it holds as long as somebody holds it: dropping the engine
//! and keeping the store is a crash.

mod calls;
mod deliveries;
mod events;
mod jobs;
mod kept;
mod look;
mod queue;
mod registry;
mod retention;
mod tables;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use postrider_model::id::WebhookId;
use postrider_ports::StoreError;
use postrider_ports::store::Recorded;
use tokio::sync::Notify;

use self::tables::Tables;

/// What goes wrong next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Nothing is kept.
    Unavailable,
    /// It is kept, and the answer is lost.
    Unknown,
    /// What is there cannot be read.
    Corrupt,
}

/// What a test wants to go wrong.
#[derive(Debug, Default)]
struct Script {
    /// Writes that find the store gone, from the next one on.
    refused_writes: u32,
    /// Writes after those whose answer is lost.
    lost_answers: u32,
    /// Reads that find the store gone, from the next one on.
    refused_reads: u32,
    /// Reads after those that pass.
    sound_reads: u32,
    /// Reads after those that find damage.
    damaged_reads: u32,
    /// What becomes of the outcomes of deliveries to this webhook.
    stuck: Option<(WebhookId, Recorded)>,
}

impl Script {
    const fn next_write(&mut self) -> Option<Fault> {
        if self.refused_writes > 0 {
            self.refused_writes -= 1;
            return Some(Fault::Unavailable);
        }
        if self.lost_answers > 0 {
            self.lost_answers -= 1;
            return Some(Fault::Unknown);
        }
        None
    }

    const fn next_read(&mut self) -> Option<Fault> {
        if self.refused_reads > 0 {
            self.refused_reads -= 1;
            return Some(Fault::Unavailable);
        }
        if self.sound_reads > 0 {
            self.sound_reads -= 1;
            return None;
        }
        if self.damaged_reads > 0 {
            self.damaged_reads -= 1;
            return Some(Fault::Corrupt);
        }
        None
    }
}

/// Everything a server keeps, in memory.
#[derive(Debug)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
    script: Mutex<Script>,
    is_frozen: AtomicBool,
    /// Wakes those who wait in the order in which they came: a seed replays it, as a `watch` does not.
    thawed: Notify,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store without faults.
    pub fn new() -> Self {
        Self {
            tables: Mutex::new(Tables::default()),
            script: Mutex::new(Script::default()),
            is_frozen: AtomicBool::new(false),
            thawed: Notify::new(),
        }
    }

    /// An empty store that many nodes share: its feed tells of what the owner of a webhook must hear.
    pub fn shared() -> Self {
        let store = Self::new();
        store.tables.lock().is_shared = true;
        store
    }

    /// The next so many writes fail as `StoreError::Unavailable`, and nothing of them is kept.
    pub fn refuse_writes(&self, count: u32) {
        self.script.lock().refused_writes = count;
    }

    /// The next so many writes are kept, but answer `StoreError::Unknown`.
    pub fn lose_answers(&self, count: u32) {
        self.script.lock().lost_answers = count;
    }

    /// The next so many reads fail as `StoreError::Unavailable`.
    pub fn refuse_reads(&self, count: u32) {
        self.script.lock().refused_reads = count;
    }

    /// After `sound` reads that pass, the next so many fail as `StoreError::Corrupt`.
    pub fn damage_reads(&self, sound: u32, count: u32) {
        let mut script = self.script.lock();
        (script.sound_reads, script.damaged_reads) = (sound, count);
    }

    /// From now on no call ends, until `thaw`.
    pub fn freeze(&self) {
        self.is_frozen.store(true, Ordering::Release);
    }

    /// Calls go on, those that wait included.
    pub fn thaw(&self) {
        self.is_frozen.store(false, Ordering::Release);
        self.thawed.notify_waiters();
    }

    /// From now on outcomes of deliveries to this webhook are not recorded: as if their rows were damaged (`Refused`) or held by others
    /// (`Locked`).
    pub fn stick(&self, webhook: WebhookId, told: Recorded) {
        self.script.lock().stuck = Some((webhook, told));
    }

    /// Forgets all that was scripted.
    pub fn heal(&self) {
        *self.script.lock() = Script::default();
        self.thaw();
    }

    async fn passed(&self) {
        // Other tasks get their turn, as they do while a real store works.
        tokio::task::yield_now().await;
        loop {
            // Made before the look, so that a thaw between both is not missed.
            let thawed = self.thawed.notified();
            if !self.is_frozen.load(Ordering::Acquire) {
                return;
            }
            thawed.await;
        }
    }

    async fn write<T>(&self, change: impl FnOnce(&mut Tables) -> T + Send) -> Result<T, StoreError> {
        self.passed().await;
        let fault = self.script.lock().next_write();
        match fault {
            None => Ok(change(&mut self.tables.lock())),
            Some(Fault::Unavailable | Fault::Corrupt) => Err(unavailable()),
            Some(Fault::Unknown) => {
                change(&mut self.tables.lock());
                Err(StoreError::Unknown {
                    reason: "a test lost the answer".to_owned(),
                })
            }
        }
    }

    async fn read<T>(&self, look: impl FnOnce(&Tables) -> T + Send) -> Result<T, StoreError> {
        self.passed().await;
        match self.script.lock().next_read() {
            None => Ok(look(&self.tables.lock())),
            Some(Fault::Corrupt) => Err(StoreError::Corrupt {
                reason: "a test damaged the store".to_owned(),
            }),
            Some(Fault::Unavailable | Fault::Unknown) => Err(unavailable()),
        }
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable {
        reason: "a test took the store away".to_owned(),
        retry_after: Duration::from_secs(1),
    }
}
