//! The server's configuration: a file, the environment and flags, read and checked once, at start.

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod layers;
mod server;
mod settings;
mod shown;
mod store;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use postrider_api::MetricsAccess;
use postrider_lanes::RetrySchedule;
use postrider_model::key::TokenHash;
use postrider_model::seal::SealKey;
use postrider_ports::nodes::Roles;
use tracing_subscriber::EnvFilter;

use self::layers::{Given, Layers, Origin};
pub(crate) use self::settings::SETTINGS;
pub(crate) use self::shown::Shown;
pub(crate) use self::store::{PostgresUrl, StoreConfig, StoreUrl};
use self::values::Read;
pub(crate) use self::values::{LogFormat, Synchronous, duration};
use crate::cli::ServeFlags;

/// Most worker threads that can be asked for.
const WORKER_THREADS_MAX: usize = 1_024;
/// Most deliveries in flight that can be asked for.
const IN_FLIGHT_MAX: usize = 65_536;
/// Most connections to PostgreSQL that can be asked for.
const STORE_CONNECTIONS_MAX: usize = 1_000;

/// What is wrong with the configuration: it names the place, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    /// A variable that begins like ours.
    #[error("unknown environment variable {0}: no setting has this name")]
    UnknownVariable(String),
    /// A key of the file.
    #[error("unknown key {key:?} in {file}: no setting that a file may hold has this name")]
    UnknownKey {
        /// Its name.
        key: String,
        /// The file.
        file: String,
    },
    /// The file cannot be read.
    #[error("cannot read {file}: {reason}")]
    File {
        /// The file.
        file: String,
        /// Why not.
        reason: String,
    },
    /// A value that its setting cannot have.
    #[error("{origin}: {problem}")]
    Bad {
        /// Where it was given.
        origin: String,
        /// What it must be.
        problem: String,
    },
    /// Something without which nothing can be done.
    #[error("no {what} is given: {how}")]
    Missing {
        /// What it is.
        what: &'static str,
        /// How it is given.
        how: &'static str,
    },
    /// Two settings of which only one may be given.
    #[error("{0} and {1} are both given: which one is meant?")]
    Both(String, String),
}

impl ConfigError {
    fn bad(origin: &Origin, problem: impl Into<String>) -> Self {
        Self::Bad {
            origin: origin.to_string(),
            problem: problem.into(),
        }
    }
}

/// Everything that a server is told.
pub(crate) struct ServeConfig {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Which store.
    pub(crate) store: StoreConfig,
    /// What this node does.
    pub(crate) roles: Roles,
    /// What this node is called; as its machine where nothing is said.
    pub(crate) node_name: Option<String>,
    /// How long a node may be silent before others take its work.
    pub(crate) lease: Duration,
    /// Connections to PostgreSQL.
    pub(crate) store_connections: usize,
    /// How it writes.
    pub(crate) synchronous: Synchronous,
    /// Certificates that receivers may have beside the system's, in PEM.
    pub(crate) ca_pem: Option<Vec<u8>>,
    /// Whether the rules of urls and addresses are lifted.
    pub(crate) dev: bool,
    /// When failed deliveries are tried again.
    pub(crate) retry_schedule: RetrySchedule,
    /// How long events and ended deliveries are kept.
    pub(crate) retention: Duration,
    /// Private networks that may be sent to.
    pub(crate) allow_networks: Vec<IpNet>,
    /// Ends of special names that may be registered.
    pub(crate) allow_host_suffixes: Vec<String>,
    /// Webhooks that an account may have.
    pub(crate) webhooks_per_account: usize,
    /// What links in answers begin with.
    pub(crate) public_url: Option<String>,
    /// Where error codes are explained.
    pub(crate) docs_url: Option<String>,
    /// Who may read `/metrics`.
    pub(crate) metrics: MetricsAccess,
    /// Deliveries in flight at once.
    pub(crate) in_flight_max: usize,
    /// Bytes of deliveries that wait in memory.
    pub(crate) memory_bytes_max: usize,
    /// What is logged.
    pub(crate) log: String,
    /// How that looks.
    pub(crate) log_format: LogFormat,
    /// Threads that work.
    pub(crate) worker_threads: Option<usize>,
    /// Operator keys of the environment.
    pub(crate) operator_keys: Vec<TokenHash>,
}

impl ServeConfig {
    /// Reads the flags, the environment and the file of `--config`.
    ///
    /// # Errors
    /// `ConfigError` says what is wrong where.
    pub(crate) fn load(flags: ServeFlags, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let file = flags.config.clone();
        Self::read(&mut layers(flags.into_pairs(), file, environment)?)
    }

    fn read(layers: &mut Layers) -> Result<Self, ConfigError> {
        let mut setting = Settings(layers);
        let retry_schedule = setting.or_default("retry_schedule", schedule)?;
        let retention_min = values::retention_min(retry_schedule.length());
        let dev = setting.or_default("dev", values::truth)?;
        let only = setting.0.peek("only").map(|given| given.origin.clone());
        let roles = setting.get("only", values::only)?.unwrap_or(Roles { api: true, dispatch: true });
        let store = StoreConfig::read(&mut setting, dev)?;
        if let (StoreUrl::Sqlite(_), Some(only)) = (&store.url, only) {
            return Err(ConfigError::bad(
                &only,
                "is for nodes that share a PostgreSQL store: one process alone uses a SQLite file, and has to do both",
            ));
        }
        Ok(Self {
            listen: setting.or_default("listen", values::listen)?,
            store,
            roles,
            node_name: setting.get("node_name", values::node_name)?,
            lease: setting.or_default("lease", values::lease)?,
            store_connections: setting.or_default("store_connections", |text| {
                values::count(text, postrider_store_postgres::CONNECTIONS_MIN, STORE_CONNECTIONS_MAX)
            })?,
            synchronous: setting.or_default("synchronous", values::synchronous)?,
            ca_pem: setting.file("ca_file")?,
            dev,
            retry_schedule,
            retention: setting.or_default("retention", |text| values::retention(text, retention_min))?,
            allow_networks: setting.get("allow_network", values::networks)?.unwrap_or_default(),
            allow_host_suffixes: setting.get("allow_host_suffix", values::host_suffixes)?.unwrap_or_default(),
            webhooks_per_account: setting.or_default("webhooks_per_account", |text| values::count(text, 1, usize::MAX))?,
            public_url: setting.get("public_url", values::public_url)?,
            docs_url: setting.get("docs_url", values::public_url)?,
            metrics: setting.or_default("metrics", values::metrics)?,
            in_flight_max: setting.or_default("in_flight_max", |text| values::count(text, 1, IN_FLIGHT_MAX))?,
            memory_bytes_max: setting.or_default("memory_max", values::bytes)?,
            log: setting.or_default("log", log)?,
            log_format: setting.or_default("log_format", values::log_format)?,
            worker_threads: setting.get("worker_threads", |text| values::count(text, 1, WORKER_THREADS_MAX))?,
            operator_keys: setting.get("operator_key", values::operator_keys)?.unwrap_or_default(),
        })
    }
}

impl ServeFlags {
    fn into_pairs(self) -> Vec<(&'static str, Option<String>)> {
        let mut pairs = self.store.into_pairs();
        pairs.extend([
            ("listen", self.listen),
            ("only", self.only),
            ("node_name", self.node_name),
            ("lease", self.lease),
            ("store_connections", self.store_connections),
            ("synchronous", self.synchronous),
            ("ca_file", self.ca_file),
            ("dev", self.dev),
            ("retry_schedule", self.retry_schedule),
            ("allow_network", self.allow_network),
            ("allow_host_suffix", self.allow_host_suffix),
            ("webhooks_per_account", self.webhooks_per_account),
            ("public_url", self.public_url),
            ("in_flight_max", self.in_flight_max),
            ("memory_max", self.memory_max),
            ("log", self.log),
            ("log_format", self.log_format),
            ("retention", self.retention),
            ("docs_url", self.docs_url),
            ("metrics", self.metrics),
            ("worker_threads", self.worker_threads),
        ]);
        pairs
    }
}

fn layers(
    flags: Vec<(&'static str, Option<String>)>,
    file: Option<String>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Layers, ConfigError> {
    let mut layers = Layers::default();
    layers.add_flags(flags);
    layers.add_environment(environment)?;
    let file = file.or_else(|| layers.take("config").map(|given| given.text));
    if let Some(file) = file {
        let text = std::fs::read_to_string(&file).map_err(|error| ConfigError::File {
            file: file.clone(),
            reason: error.to_string(),
        })?;
        layers.add_file(&file, &text)?;
    }
    Ok(layers)
}

/// Reads settings one by one.
struct Settings<'a>(&'a mut Layers);

impl Settings<'_> {
    fn get<T>(&mut self, key: &str, read: impl FnOnce(&str) -> Read<T>) -> Result<Option<T>, ConfigError> {
        let Some(given) = self.0.take(key) else {
            return Ok(None);
        };
        read(&given.text)
            .map(Some)
            .map_err(|problem| ConfigError::bad(&given.origin, problem))
    }

    fn or<T>(&mut self, key: &'static str, default: &str, read: impl Fn(&str) -> Read<T>) -> Result<T, ConfigError> {
        match self.get(key, &read)? {
            Some(value) => Ok(value),
            None => read(default).map_err(|problem| ConfigError::bad(&Origin::Flag(key), problem)),
        }
    }

    fn or_default<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Read<T>) -> Result<T, ConfigError> {
        self.or(key, settings::default_of(key).unwrap_or_default(), read)
    }

    /// What the file holds that is named.
    fn file(&mut self, key: &str) -> Result<Option<Vec<u8>>, ConfigError> {
        let given = self.0.take(key);
        given
            .map(|given| std::fs::read(&given.text).map_err(|error| unreadable(&given, &error)))
            .transpose()
    }
}

fn read_text(given: &Given) -> Result<String, ConfigError> {
    std::fs::read_to_string(&given.text).map_err(|error| unreadable(given, &error))
}

fn unreadable(given: &Given, error: &std::io::Error) -> ConfigError {
    ConfigError::bad(
        &given.origin,
        format!("cannot read {}: {error}", PathBuf::from(&given.text).display()),
    )
}

fn seal_key(text: &str, origin: &Origin) -> Result<SealKey, ConfigError> {
    SealKey::parse(text).map_err(|error| ConfigError::bad(origin, error.to_string()))
}

fn schedule(text: &str) -> Read<RetrySchedule> {
    text.parse().map_err(|error| format!("{error}"))
}

/// Only checked here; `logging` makes a filter of it.
fn log(text: &str) -> Read<String> {
    EnvFilter::try_new(text)
        .map(|_| text.to_owned())
        .map_err(|error| format!("must be a level or a filter: {error}"))
}

#[cfg(test)]
mod tests;
