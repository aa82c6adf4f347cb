//! The suite that every store must pass, on SQLite.

use std::ops::Deref;

use postrider_ports::Store;
use postrider_store_sqlite::SqliteStore;

use crate::support::Folder;

/// A store, and the folder that vanishes with it.
struct Kept {
    store: SqliteStore,
    _folder: Folder,
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
    Kept { store, _folder: folder }
}

postrider_testkit::every_promise!(super::empty_store);
