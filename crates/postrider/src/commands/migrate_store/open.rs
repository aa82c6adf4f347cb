//! Which stores, and the keys that seal their secrets.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use postrider_model::seal::SealKey;
use postrider_ports::{Archive, Clock, Random};
use postrider_store_sqlite::{OpenOptions, SealSource, SqliteStore, key_path};

use super::super::serve::environment;
use crate::cli::{Hidden, MigrateStoreCommand, StoreFlags, WrongUsage};
use crate::config::{StoreConfig, StoreUrl};

/// Nobody else waits, and some of what is asked is asked of all that there is.
const STATEMENT_TIME_MAX: Duration = Duration::from_secs(3_600);

/// What a store is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It has to be there.
    Read,
    /// It is made where it is not there, and may have been filled in part.
    Fill,
}

/// Both stores, open; no server can use a SQLite one of them meanwhile.
pub(super) struct Stores {
    pub(super) from: Box<dyn Archive>,
    pub(super) to: Box<dyn Archive>,
    pub(super) from_name: String,
    pub(super) to_name: String,
    /// The file whose key now seals a database too.
    pub(super) key_file: Option<String>,
}

/// Opens both.
pub(super) async fn open(command: MigrateStoreCommand, shell: (&Arc<dyn Clock>, &Arc<dyn Random>)) -> anyhow::Result<Stores> {
    let read = |url: &Hidden| {
        let flags = StoreFlags {
            store: Some(url.clone()),
            secret_key_file: command.secret_key_file.clone(),
        };
        StoreConfig::load_without_key(flags, None, environment())
    };
    let (from, to) = (read(&command.from)?, read(&command.to)?);
    if from.url == to.url {
        return Err(WrongUsage("--from and --to are the same store".to_owned()).into());
    }
    let (from_name, to_name) = (name_of(&from.url)?, name_of(&to.url)?);
    let files = [file_of(&from.url), file_of(&to.url)];
    let borrowed = files.iter().flatten().find(|file| file.exists());
    let is_borrowed = |config: &StoreConfig| matches!(config.url, StoreUrl::Postgres(_)) && config.seal.is_none();
    let key_file = borrowed
        .filter(|_| is_borrowed(&to) || is_borrowed(&from))
        .map(|file| file.display().to_string());
    let (from, to) = (with_key(from, borrowed)?, with_key(to, borrowed)?);
    Ok(Stores {
        from: open_one(from, shell, Use::Read).await.context(from_name.clone())?,
        to: open_one(to, shell, if command.check_only { Use::Read } else { Use::Fill })
            .await
            .context(to_name.clone())?,
        from_name,
        to_name,
        key_file,
    })
}

/// How a store is called, wherever the command is run.
fn name_of(url: &StoreUrl) -> anyhow::Result<String> {
    match url {
        StoreUrl::Sqlite(path) => {
            let path = std::path::absolute(path).context("the path of a store cannot be told")?;
            Ok(format!("sqlite:{}", path.display()))
        }
        StoreUrl::Postgres(url) => Ok(url.to_string()),
    }
}

fn file_of(url: &StoreUrl) -> Option<std::path::PathBuf> {
    match url {
        StoreUrl::Sqlite(path) => Some(key_path(path)),
        StoreUrl::Postgres(_) => None,
    }
}

/// The file beside a SQLite store seals it, whatever else is given; a database without a key of its own takes the same.
fn with_key(config: StoreConfig, borrowed: Option<&std::path::PathBuf>) -> anyhow::Result<StoreConfig> {
    let StoreConfig { url, seal } = config;
    let seal = match &url {
        StoreUrl::Sqlite(path) if key_path(path).exists() => None,
        StoreUrl::Sqlite(_) => seal,
        StoreUrl::Postgres(_) => match (seal, borrowed) {
            (Some(seal), _) => Some(seal),
            (None, Some(file)) => Some(read_key(file)?),
            (None, None) => {
                let needed = "the secrets of a PostgreSQL store are sealed: give --secret-key-file, or POSTRIDER_SECRET_KEY";
                return Err(WrongUsage(needed.to_owned()).into());
            }
        },
    };
    Ok(StoreConfig { url, seal })
}

fn read_key(file: &Path) -> anyhow::Result<SealKey> {
    let text = zeroize::Zeroizing::new(std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?);
    SealKey::parse(&text).with_context(|| file.display().to_string())
}

async fn open_one(
    config: StoreConfig,
    (clock, random): (&Arc<dyn Clock>, &Arc<dyn Random>),
    purpose: Use,
) -> anyhow::Result<Box<dyn Archive>> {
    let (clock, random) = (Arc::clone(clock), Arc::clone(random));
    match config.url {
        StoreUrl::Sqlite(path) => {
            anyhow::ensure!(purpose == Use::Fill || path.exists(), "there is no store at {}", path.display());
            let mut options = OpenOptions::new(path, random, clock);
            options.is_filled = purpose == Use::Fill;
            options.read_time_max = STATEMENT_TIME_MAX;
            options.seal = config.seal.map_or(SealSource::FileBeside, SealSource::Given);
            Ok(Box::new(SqliteStore::open(options)?))
        }
        StoreUrl::Postgres(url) => {
            let seal = config.seal.context("there is no secret key")?;
            let mut options = postrider_store_postgres::OpenOptions::new(url.reveal(), seal, random, clock);
            options.is_filled = purpose == Use::Fill;
            options.statement_time_max = STATEMENT_TIME_MAX;
            if purpose == Use::Read {
                let tables = postrider_store_postgres::survey(&options).await?.tables;
                anyhow::ensure!(tables > 0, "there is no store in this database");
            }
            Ok(Box::new(postrider_store_postgres::connect(options).await?))
        }
    }
}
