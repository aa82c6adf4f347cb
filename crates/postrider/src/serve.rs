//! Puts all parts together: store, sender, engine, API.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use postrider_api::{Api, ApiOptions};
use postrider_engine::{Engine, Keeper, NodeSettings, Parts, Settings, StoreClock};
use postrider_lanes::LanesConfig;
use postrider_model::address::AddressPolicy;
use postrider_model::limits::ATTEMPT_TIME_MAX;
use postrider_model::url::UrlPolicy;
use postrider_ports::{Clock, Random};
use postrider_sender::{HttpSender, SenderOptions, SystemResolver};
use postrider_store_sqlite::Role;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::clock::SystemClock;
use crate::config::{ServeConfig, StoreUrl};
use crate::random::OsRandom;
use crate::store::{Opened, Opening};

/// How long a server that ends waits for its attempts in flight: they end by themselves within this.
const SHUTDOWN_TIME_MAX: Duration = ATTEMPT_TIME_MAX.saturating_add(Duration::from_secs(2));
/// Of all file handles, one in so many may be a delivery in flight: others are idle connections, clients and the store.
const HANDLES_PER_DELIVERY: u64 = 4;
/// One in so many may be a socket to a receiver, idle ones included.
const HANDLES_PER_SOCKET: u64 = 2;

/// A server at work.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    engine: Engine,
    stop: oneshot::Sender<()>,
    api: JoinHandle<()>,
}

impl Server {
    /// Starts one; `handles` is how many files it may have open. Ready when it returns.
    ///
    /// # Errors
    /// A port in use, a store that cannot be opened, certificates that are none.
    pub(crate) async fn start(config: ServeConfig, handles: u64) -> anyhow::Result<Self> {
        // First, since it costs nothing to give it back.
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("cannot listen at {}", config.listen))?;
        let address = listener.local_addr()?;
        warn_of_danger(&config);
        let clock = clock(&config.store.url);
        let random: Arc<dyn Random> = Arc::new(OsRandom::new()?);
        let sender = sender(&config, Arc::clone(&clock), handles)?;
        let settings = settings(&config, handles);
        let opening = Opening {
            role: Role::Server,
            synchronous: config.synchronous,
            connections_max: Some(config.store_connections),
            clock: &clock,
            random: &random,
        };
        let Opened { store, token_key, nodes } = opening.open(config.store).await?;
        let parts = Parts {
            store,
            sender: Arc::new(sender),
            clock: Arc::clone(&clock),
            random,
            nodes,
        };
        let engine = Engine::start(parts, settings).await?;
        let api = postrider_api::router(
            engine.clone(),
            ApiOptions {
                public_url: config.public_url,
                docs_url: config.docs_url,
                metrics: config.metrics,
                token_key: Some(token_key),
                version: env!("CARGO_PKG_VERSION"),
                ..ApiOptions::default()
            },
        );
        let (stop, stopped) = oneshot::channel();
        // An end of the sender is a wish to stop too: the server is gone then.
        let stopped = async move { drop(stopped.await) };
        let api = tokio::spawn(listen(listener, api, stopped, clock));
        Ok(Self {
            address,
            engine,
            stop,
            api,
        })
    }

    /// Where a browser or a client finds it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends it: no more requests are taken, attempts in flight end and are recorded, the rest waits for the next start.
    pub(crate) async fn stop(self) {
        // The receiving end is gone only where the API has ended already.
        let _ = self.stop.send(());
        if let Err(error) = self.api.await {
            tracing::error!(%error, "the API did not end as it should");
        }
        if !self.engine.shutdown(SHUTDOWN_TIME_MAX).await {
            tracing::warn!("some attempts did not end in time: they will be made again");
        }
    }
}

async fn listen(listener: TcpListener, api: Api, stopped: impl Future<Output = ()> + Send + 'static, clock: Arc<dyn Clock>) {
    if let Err(error) = postrider_api::serve(listener, api, stopped, clock).await {
        tracing::error!(%error, "the API ended");
    }
}

/// How often events are committed on PostgreSQL where few wait: a group of ten costs it twice as much an event as one of thirty.
const COMMIT_INTERVAL: Duration = Duration::from_millis(3);
/// How often outcomes are recorded on PostgreSQL: each group is a round trip and a transaction, and nobody waits for it but who counts the
/// repeats after a crash.
const RECORD_INTERVAL: Duration = Duration::from_millis(20);

/// The machine's clock; where many nodes share a database, the database's.
fn clock(store: &StoreUrl) -> Arc<dyn Clock> {
    let machine = Arc::new(SystemClock::new());
    match store {
        StoreUrl::Sqlite(_) => machine,
        StoreUrl::Postgres(_) => Arc::new(StoreClock::new(machine)),
    }
}

fn node_settings(config: &ServeConfig) -> NodeSettings {
    NodeSettings {
        name: config.node_name.clone().unwrap_or_else(machine_name),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        roles: config.roles,
        lease: config.lease,
        write_time_max: postrider_store_postgres::STATEMENT_TIME_MAX,
        keeper: Keeper::Thread,
    }
}

/// What the system calls this machine.
fn machine_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn warn_of_danger(config: &ServeConfig) {
    if config.dev {
        tracing::warn!("--dev: webhooks may be on plain http, on IP addresses and in private networks. Never run it so for others");
    }
}

fn sender(config: &ServeConfig, clock: Arc<dyn Clock>, handles: u64) -> anyhow::Result<HttpSender> {
    let resolver = Arc::new(SystemResolver::new(Arc::clone(&clock))?);
    let defaults = SenderOptions::new(clock, resolver);
    Ok(HttpSender::new(SenderOptions {
        address_policy: AddressPolicy {
            dev: config.dev,
            networks: config.allow_networks.clone(),
        },
        extra_roots_pem: config.ca_pem.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sockets_max: share(handles, HANDLES_PER_SOCKET, defaults.sockets_max),
        ..defaults
    })?)
}

fn settings(config: &ServeConfig, handles: u64) -> Settings {
    let defaults = LanesConfig::default();
    let (commit_interval, record_interval) = match config.store.url {
        StoreUrl::Sqlite(_) => (Duration::ZERO, Duration::ZERO),
        StoreUrl::Postgres(_) => (COMMIT_INTERVAL, RECORD_INTERVAL),
    };
    let in_flight_max = share(handles, HANDLES_PER_DELIVERY, config.in_flight_max);
    Settings {
        url_policy: UrlPolicy {
            dev: config.dev,
            host_suffixes: config.allow_host_suffixes.clone(),
        },
        webhooks_per_account: config.webhooks_per_account,
        lanes: LanesConfig {
            schedule: config.retry_schedule.clone(),
            memory_bytes_max: config.memory_bytes_max,
            unrecorded_max: defaults.unrecorded_max.max(in_flight_max * 2),
            in_flight_max,
            ..defaults
        },
        operator_keys: config.operator_keys.clone(),
        commit_interval,
        record_interval,
        retention: config.retention,
        node: node_settings(config),
        ..Settings::default()
    }
}

/// A limit that leaves file handles for other things.
fn share(handles: u64, one_in: u64, wanted: usize) -> usize {
    wanted.min(usize::try_from(handles / one_in).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_file_handles_mean_few_deliveries_at_once() {
        assert_eq!(share(20_000, HANDLES_PER_DELIVERY, 4_096), 4_096);
        assert_eq!(share(1_024, HANDLES_PER_DELIVERY, 4_096), 256);
        assert_eq!(share(2, HANDLES_PER_DELIVERY, 4_096), 1);
    }
}
