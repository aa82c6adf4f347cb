//! Opens the store that the configuration names, of whichever kind it is.

use std::sync::Arc;

use anyhow::Context as _;
use postrider_api::TokenKey;
use postrider_ports::{Clock, Nodes, Random, Store, StoreError};
use postrider_store_sqlite::{OpenOptions, Role, SealSource, SqliteStore};

use crate::config::{PostgresUrl, StoreConfig, StoreUrl, Synchronous};

/// How a store is opened.
pub(crate) struct Opening<'a> {
    /// As a server, or beside one.
    pub(crate) role: Role,
    /// How a file is written.
    pub(crate) synchronous: Synchronous,
    /// Connections to a database, at most.
    pub(crate) connections_max: Option<usize>,
    /// Time.
    pub(crate) clock: &'a Arc<dyn Clock>,
    /// Chance.
    pub(crate) random: &'a Arc<dyn Random>,
}

/// An open store.
pub(crate) struct Opened {
    /// It.
    pub(crate) store: Arc<dyn Store>,
    /// Signs access tokens: the same after a restart, and on every node.
    pub(crate) token_key: TokenKey,
    /// The other nodes on it; a file has none.
    pub(crate) nodes: Option<Arc<dyn Nodes>>,
}

impl Opening<'_> {
    /// Opens it.
    ///
    /// # Errors
    /// What the store says: it names the file, or the server, and never a password.
    pub(crate) async fn open(&self, config: StoreConfig) -> anyhow::Result<Opened> {
        match config.url {
            StoreUrl::Sqlite(ref path) => Ok(self.file(path.clone(), config)?),
            StoreUrl::Postgres(ref url) => {
                let shown = url.to_string();
                self.database(url.clone(), config).await.context(shown)
            }
        }
    }

    fn file(&self, path: std::path::PathBuf, config: StoreConfig) -> Result<Opened, StoreError> {
        let mut options = OpenOptions::new(path, Arc::clone(self.random), Arc::clone(self.clock));
        options.role = self.role;
        options.synchronous = match self.synchronous {
            Synchronous::Full => postrider_store_sqlite::Synchronous::Full,
            Synchronous::Normal => postrider_store_sqlite::Synchronous::Normal,
            Synchronous::Off => postrider_store_sqlite::Synchronous::Off,
        };
        options.seal = config.seal.map_or(SealSource::FileBeside, SealSource::Given);
        let store = SqliteStore::open(options)?;
        Ok(Opened {
            token_key: TokenKey::new(store.derive_key(TokenKey::PURPOSE)?),
            store: Arc::new(store),
            nodes: None,
        })
    }

    async fn database(&self, url: PostgresUrl, config: StoreConfig) -> Result<Opened, StoreError> {
        let seal = config.seal.ok_or_else(|| StoreError::CannotOpen {
            what: url.to_string(),
            reason: "there is no secret key".to_owned(),
        })?;
        let (random, clock) = (Arc::clone(self.random), Arc::clone(self.clock));
        let mut options = postrider_store_postgres::OpenOptions::new(url.reveal(), seal, random, clock);
        if let Some(connections_max) = self.connections_max {
            options.connections_max = connections_max;
        }
        let store = postrider_store_postgres::connect(options).await?;
        if self.role == Role::Server {
            for warning in store.warnings().await? {
                tracing::warn!("{warning}");
            }
        }
        Ok(Opened {
            token_key: TokenKey::new(store.derive_key(TokenKey::PURPOSE)?),
            nodes: Some(Arc::new(store.nodes())),
            store: Arc::new(store),
        })
    }
}
