//! Opens the store that the configuration names.

use std::sync::Arc;

use postrider_ports::{Clock, Random, StoreError};
use postrider_store_sqlite::{OpenOptions, Role, SealSource, SqliteStore};

use crate::config::{StoreConfig, StoreUrl, Synchronous};

/// Opens it, as a server or beside one.
///
/// # Errors
/// What the store says: it names the file.
pub(crate) fn open(
    config: StoreConfig,
    role: Role,
    synchronous: Synchronous,
    clock: &Arc<dyn Clock>,
    random: &Arc<dyn Random>,
) -> Result<SqliteStore, StoreError> {
    let StoreUrl::Sqlite(path) = config.url;
    let mut options = OpenOptions::new(path, Arc::clone(random), Arc::clone(clock));
    options.role = role;
    options.synchronous = match synchronous {
        Synchronous::Full => postrider_store_sqlite::Synchronous::Full,
        Synchronous::Normal => postrider_store_sqlite::Synchronous::Normal,
        Synchronous::Off => postrider_store_sqlite::Synchronous::Off,
    };
    options.seal = config.seal.map_or(SealSource::FileBeside, SealSource::Given);
    SqliteStore::open(options)
}
