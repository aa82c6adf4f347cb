//! The suite that every store must pass, on SQLite.

use std::ops::Deref;

use postrider_ports::Store;
use postrider_store_sqlite::SqliteStore;
use postrider_testkit::conformance::archive::Archives;

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

/// Stores that can be read out and filled.
struct Files;

impl Archives for Files {
    type Kind = SqliteStore;
    type Opened = Movable;

    async fn empty(&self) -> Movable {
        Movable(empty_store().await)
    }

    async fn open_again(&self, Movable(Kept { store, folder }): Movable) -> Movable {
        drop(store);
        let store = folder.open_as("empty.db");
        Movable(Kept { store, folder })
    }
}

struct Movable(Kept);

impl Deref for Movable {
    type Target = SqliteStore;

    fn deref(&self) -> &SqliteStore {
        &self.0.store
    }
}

async fn archives() -> Box<Files> {
    Box::new(Files)
}

postrider_testkit::every_promise!(archives: super::archives);
