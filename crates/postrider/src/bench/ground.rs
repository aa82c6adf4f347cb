//! The store that a run is on: a file, a PostgreSQL of its own, or a database that somebody names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use super::cluster::{Cluster, ServerProcess};
use super::disk::is_in_memory;
use super::options::BenchOptions;
use crate::cli::WrongUsage;
use crate::clock::SystemClock;
use crate::config::{StoreConfig, StoreUrl};
use crate::random::OsRandom;

/// What the servers stand on.
pub(crate) struct Ground {
    /// As `--store` says it.
    pub(crate) store: String,
    /// The PostgreSQL that was started for the run.
    pub(crate) cluster: Option<Cluster>,
    /// The PostgreSQL that the servers are on, where that is on this machine.
    pub(crate) postgres: Option<ServerProcess>,
    /// Whether the store is in memory, and no commit waits for a disk.
    pub(crate) is_in_memory: bool,
}

impl Ground {
    /// Makes it, or looks whether it is as it has to be.
    ///
    /// # Errors
    /// Where PostgreSQL cannot be started or asked, or where the database that is named holds anything.
    pub(crate) async fn prepare(options: &BenchOptions, folder: &Path, tell: &dyn Fn(&str)) -> anyhow::Result<Self> {
        if options.postgres {
            tell("making a PostgreSQL");
            let cluster = Cluster::start().await?;
            return Ok(Self {
                store: cluster.url.clone(),
                postgres: Some(cluster.server),
                is_in_memory: cluster.server.is_in_memory(),
                cluster: Some(cluster),
            });
        }
        let store = options
            .store
            .as_ref()
            .map_or_else(|| format!("sqlite:{}", folder.join("bench.db").display()), |store| store.0.clone());
        let config = StoreConfig::of_trying_out(&store)?;
        let (postgres, is_in_memory) = match &config.url {
            StoreUrl::Postgres(_) => {
                let server = look_at(config).await?;
                (server, server.is_some_and(ServerProcess::is_in_memory))
            }
            StoreUrl::Sqlite(_) if options.split || options.nodes > 1 => {
                return Err(WrongUsage("several nodes need a PostgreSQL: say --postgres, or --store postgres://…".to_owned()).into());
            }
            StoreUrl::Sqlite(file) => (None, is_in_memory(&folder_of(file))),
        };
        Ok(Self {
            store,
            cluster: None,
            postgres,
            is_in_memory,
        })
    }
}

/// A file's folder, which is there before the file.
fn folder_of(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    folder.unwrap_or(Path::new(".")).to_owned()
}

/// A run writes as it likes: not where anything is. The server that the database is on.
async fn look_at(config: StoreConfig) -> anyhow::Result<Option<ServerProcess>> {
    let (StoreUrl::Postgres(url), Some(seal)) = (config.url, config.seal) else {
        return Ok(None);
    };
    let (random, clock) = (Arc::new(OsRandom::new()?), Arc::new(SystemClock::new()));
    let options = postrider_store_postgres::OpenOptions::new(url.reveal(), seal, random, clock);
    let survey = postrider_store_postgres::survey(&options).await.with_context(|| url.to_string())?;
    anyhow::ensure!(
        survey.tables == 0,
        "{url} is not empty: it has {} tables. A bench needs a database of its own",
        survey.tables
    );
    Ok(ServerProcess::of(survey.process))
}
