//! What a run plays on: a server, and what stands in it before the load begins.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::net::TcpSocket;

use super::cluster::{Cluster, ServerProcess};
use super::fleet::{Duty, Fleet};
use super::ground::Ground;
use super::hanging::Hanging;
use super::load::LoadOptions;
use super::options::BenchOptions;
use super::payload::{Kind, RequestShape};
use super::receiver::Receiver;
use super::server::ServerOptions;
use super::setup::Setup;
use super::stopwatch::sleep;
use super::tls::TestTls;
use super::usage::Usage;
use super::window::{Window, add, read};
use crate::random::{OsRandom, new_operator_token};

/// Events that each measured webhook gets before anything else happens.
const PROVING_EVENTS: u64 = 200;
/// How long their deliveries may take.
const PROVING_TIME_MAX: Duration = Duration::from_secs(60);
/// How often the stage looks whether they have arrived.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// What a run plays on.
pub(crate) struct Stage {
    fleet: Option<Fleet>,
    /// The PostgreSQL that was started for the run.
    cluster: Option<Cluster>,
    /// What the PostgreSQL uses that the servers are on.
    postgres_usage: Option<Usage>,
    /// Whether the store is in memory.
    is_in_memory: bool,
    /// One for each account of the load.
    shapes: Vec<RequestShape>,
    addresses: Vec<SocketAddr>,
    hanging: Option<Hanging>,
    /// The port of the dead receiver: kept so that nobody takes it.
    _dead: Option<TcpSocket>,
    /// Removed when the run ends.
    _folder: Option<TempDir>,
}

impl Stage {
    /// Without a server: the load posts to the receiver.
    pub(crate) fn direct(options: &BenchOptions, receiver: &Receiver) -> Self {
        Self {
            fleet: None,
            cluster: None,
            postgres_usage: None,
            is_in_memory: false,
            shapes: vec![shape(options, Kind::Healthy.path(), "none".to_owned())],
            addresses: vec![receiver.address],
            hanging: None,
            _dead: None,
            _folder: None,
        }
    }

    /// With a server, and all that the options ask to be there.
    ///
    /// # Errors
    /// Where the server cannot be started or refuses something.
    pub(crate) async fn with_server(
        options: &BenchOptions,
        window: &Arc<Window>,
        receiver: &Receiver,
        tls: Option<&TestTls>,
        tell: &dyn Fn(&str),
    ) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("postrider-bench-").tempdir()?;
        let operator_key = new_operator_token(&OsRandom::new()?).reveal().to_owned();
        let ground = Ground::prepare(options, folder.path(), tell).await?;
        let server_options = server_options(ServerOptions::new(options, ground.store, &operator_key), folder.path(), tls)?;
        let fleet = Fleet::start(server_options, duties(options)).await?;
        let addresses = fleet.addresses();
        let server = *addresses.first().context("no node answers requests")?;
        tell(&format!("the server listens at {server}"));
        let setup = Setup { server, operator_key };
        let mut tokens = Vec::new();
        for _ in 0..options.load_accounts() {
            let token = setup.account("load").await?;
            register(options, &setup, &token, receiver).await?;
            tokens.push(token);
        }
        prove(options, &setup, &tokens, window).await?;
        let hanging = hanging(options, window)?;
        let dead = prepare(options, &setup, hanging.as_ref(), tell).await?;
        let path = if options.batch > 1 { "/events/batch" } else { "/events" };
        Ok(Self {
            addresses,
            fleet: Some(fleet),
            cluster: ground.cluster,
            postgres_usage: ground.postgres.map(ServerProcess::usage),
            is_in_memory: ground.is_in_memory,
            shapes: tokens.into_iter().map(|token| shape(options, path, token)).collect(),
            hanging,
            _dead: dead,
            _folder: Some(folder),
        })
    }

    /// Ends the server gracefully, and starts another on its store.
    ///
    /// # Errors
    /// Where it does not end, or the other does not start.
    pub(crate) async fn restart(&mut self, tell: &dyn Fn(&str)) -> anyhow::Result<()> {
        if let Some(fleet) = &mut self.fleet {
            tell("restarting the server");
            fleet.restart().await?;
            self.addresses = fleet.addresses();
        }
        Ok(())
    }

    /// What each server does and uses.
    pub(crate) fn server_usages(&self) -> Vec<(Duty, &Usage)> {
        self.fleet.iter().flat_map(Fleet::usages).collect()
    }

    /// What PostgreSQL uses, where it is on this machine.
    pub(crate) const fn postgres_usage(&self) -> Option<&Usage> {
        self.postgres_usage.as_ref()
    }

    /// Whether the store is in memory, and no commit waits for a disk.
    pub(crate) const fn is_in_memory(&self) -> bool {
        self.is_in_memory
    }

    /// The load that plays on it.
    pub(crate) fn load_options(&self, options: &BenchOptions) -> LoadOptions {
        LoadOptions {
            servers: self.addresses.clone(),
            shapes: self.shapes.clone(),
            connections: usize::from(options.connections),
            rate: options.rate,
            failing: options.failing,
            hanging: options.hanging,
        }
    }

    /// Ends all that it started.
    ///
    /// # Errors
    /// Where the server does not end as it should.
    pub(crate) async fn end(self, tell: &dyn Fn(&str)) -> anyhow::Result<()> {
        // Hanging receivers end first: the server waits for its attempts in flight otherwise.
        if let Some(hanging) = self.hanging {
            hanging.finish()?;
        }
        if let Some(mut fleet) = self.fleet {
            tell("ending the server");
            fleet.stop().await?;
        }
        if let Some(cluster) = self.cluster {
            cluster.end().await?;
        }
        Ok(())
    }
}

fn duties(options: &BenchOptions) -> Vec<Duty> {
    if options.split {
        vec![Duty::Api, Duty::Dispatch]
    } else {
        vec![Duty::Both; usize::from(options.nodes)]
    }
}

/// Some deliveries before anything hangs: the webhooks that are measured are in good standing by then, as those of others are when a
/// receiver begins to hang.
async fn prove(options: &BenchOptions, setup: &Setup, tokens: &[String], window: &Window) -> anyhow::Result<()> {
    for token in tokens {
        let first = window.tally.take_numbers(PROVING_EVENTS);
        setup
            .events(token, Kind::Healthy, first..first + PROVING_EVENTS, options.payload)
            .await?;
        window.tally.accept(first, PROVING_EVENTS);
    }
    let events = PROVING_EVENTS * tokens.len() as u64;
    add(&window.load.healthy_ever, events);
    let expected = events * u64::from(options.fan_out);
    let begin = window.watch.nanos();
    while read(&window.receiver.acknowledged_ever) < expected {
        let waited = Duration::from_nanos(window.watch.nanos() - begin);
        anyhow::ensure!(
            waited < PROVING_TIME_MAX,
            "the first {expected} deliveries did not arrive within {} s",
            PROVING_TIME_MAX.as_secs()
        );
        sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}

fn shape(options: &BenchOptions, path: &str, token: String) -> RequestShape {
    RequestShape {
        path: path.to_owned(),
        host: "127.0.0.1".to_owned(),
        token,
        data_bytes: options.payload,
        batch: (options.batch > 1).then_some(usize::from(options.batch)),
    }
}

fn server_options(mut server: ServerOptions, folder: &Path, tls: Option<&TestTls>) -> anyhow::Result<ServerOptions> {
    if let Some(tls) = tls {
        let file = folder.join("ca.pem");
        std::fs::write(&file, &tls.ca_pem)?;
        server.trust(&file);
    }
    Ok(server)
}

fn hanging(options: &BenchOptions, window: &Arc<Window>) -> anyhow::Result<Option<Hanging>> {
    if options.hanging_webhooks == 0 {
        return Ok(None);
    }
    Hanging::start(options.hanging_hosts as usize, Arc::clone(window)).map(Some)
}

/// What is there beside the load: registered webhooks, hanging ones, waiting deliveries.
async fn prepare(
    options: &BenchOptions,
    setup: &Setup,
    hanging: Option<&Hanging>,
    tell: &dyn Fn(&str),
) -> anyhow::Result<Option<TcpSocket>> {
    if options.webhooks > 0 {
        tell(&format!("registering {} webhooks", options.webhooks));
        let urls = (0..options.webhooks).map(|index| format!("http://127.0.0.1:9/idle/{index}"));
        setup.many_webhooks(Kind::Healthy, &urls.collect::<Vec<_>>()).await?;
    }
    if let Some(hanging) = hanging {
        tell(&format!(
            "registering {} webhooks that hang, on {} hosts",
            options.hanging_webhooks,
            hanging.addresses.len()
        ));
        let events = options.hanging_events as usize;
        setup.hanging(options.hanging_webhooks as usize, &hanging.addresses, events).await?;
    }
    if options.waiting == 0 {
        return Ok(None);
    }
    tell(&format!("posting {} events for a dead receiver", options.waiting));
    setup.waiting(options.waiting as usize, options.payload).await.map(Some)
}

/// The webhooks of the load's own account.
async fn register(options: &BenchOptions, setup: &Setup, token: &str, receiver: &Receiver) -> anyhow::Result<()> {
    let scheme = if options.tls { "https" } else { "http" };
    let url = |kind: Kind, index: u16| format!("{scheme}://{}{}/{index}", receiver.address, kind.path());
    let healthy: Vec<String> = (0..options.fan_out).map(|index| url(Kind::Healthy, index)).collect();
    setup.webhooks(token, Kind::Healthy, &healthy).await?;
    if options.failing > 0.0 {
        setup.webhooks(token, Kind::Failing, &[url(Kind::Failing, 0)]).await?;
    }
    if options.hanging > 0.0 {
        setup.webhooks(token, Kind::Hanging, &[url(Kind::Hanging, 0)]).await?;
    }
    Ok(())
}
