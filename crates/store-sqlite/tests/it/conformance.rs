//! The suite that every store must pass, on SQLite.

use std::ops::Deref;

use postrider_ports::Store;
use postrider_store_sqlite::SqliteStore;
use postrider_testkit::conformance::archive::Reopened;

use crate::support::Folder;

/// A store, and the folder that vanishes with it.
struct Kept {
    store: SqliteStore,
    folder: Folder,
}

impl Deref for Kept {
    type Target = dyn Store;

    fn deref(&self) -> &(dyn Store + 'static) {
        &self.store
    }
}

async fn empty_store() -> Kept {
    let folder = Folder::new();
    let store = folder.open_as("empty.db");
    Kept { store, folder }
}

postrider_testkit::every_promise!(super::empty_store);

/// The same, as what can be read out and filled.
struct Movable(Kept);

impl Deref for Movable {
    type Target = SqliteStore;

    fn deref(&self) -> &SqliteStore {
        &self.0.store
    }
}

impl Reopened for Movable {
    async fn open_again(self) -> Self {
        let Kept { store, folder } = self.0;
        drop(store);
        let store = folder.open_as("empty.db");
        Self(Kept { store, folder })
    }
}

async fn empty_archive() -> Movable {
    Movable(empty_store().await)
}

postrider_testkit::every_promise_of_archives!(super::empty_archive);
