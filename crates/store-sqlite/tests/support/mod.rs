//! What the tests of the store share.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::PathBuf;
use std::sync::Arc;

use postrider_ports::StoreError;
use postrider_store_sqlite::{OpenOptions, SqliteStore, Synchronous};
use postrider_testkit::clock::SimClock;
use postrider_testkit::random::SeededRandom;
use tempfile::TempDir;

/// A folder that vanishes, with stores in it.
pub(crate) struct Folder {
    folder: TempDir,
    pub(crate) clock: SimClock,
    random: Arc<SeededRandom>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            clock: SimClock::new(),
            random: Arc::new(SeededRandom::new(7)),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// How the tests open a store: nothing waits for the disk, for no test cuts the power.
    pub(crate) fn options(&self, name: &str) -> OpenOptions {
        OpenOptions {
            synchronous: Synchronous::Off,
            ..OpenOptions::new(self.path(name), Arc::clone(&self.random) as _, Arc::new(self.clock.clone()))
        }
    }

    pub(crate) fn open_as(&self, name: &str) -> SqliteStore {
        SqliteStore::open(self.options(name)).unwrap()
    }

    pub(crate) fn open(&self) -> SqliteStore {
        self.open_as("postrider.db")
    }

    /// Why a store cannot be opened.
    pub(crate) fn refusal(&self, options: OpenOptions) -> StoreError {
        SqliteStore::open(options).err().expect("it cannot be opened")
    }
}
