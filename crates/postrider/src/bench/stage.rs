//! What a run plays on: a server, and what stands in it before the load begins.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpSocket;

use super::hanging::Hanging;
use super::load::LoadOptions;
use super::options::BenchOptions;
use super::payload::{Kind, RequestShape};
use super::receiver::Receiver;
use super::server::{Server, ServerOptions};
use super::setup::Setup;
use super::stopwatch::sleep;
use super::tls::TestTls;
use super::usage::Usage;
use super::window::{Window, add, read};
use crate::random::{OsRandom, new_operator_token};

/// Events that each measured webhook gets before anything else happens.
const PROVING_EVENTS: usize = 200;
/// How long their deliveries may take.
const PROVING_TIME_MAX: Duration = Duration::from_secs(60);
/// How often the stage looks whether they have arrived.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// What a run plays on.
pub(crate) struct Stage {
    server: Option<Server>,
    server_options: Option<ServerOptions>,
    shape: RequestShape,
    address: SocketAddr,
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
            server: None,
            server_options: None,
            shape: shape(options, Kind::Healthy.path(), "none".to_owned()),
            address: receiver.address,
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
        let server_options = server_options(options, folder.path(), &operator_key, tls)?;
        let server = Server::start(&server_options).await?;
        tell(&format!("the server listens at {}", server.address));
        let setup = Setup {
            server: server.address,
            operator_key,
        };
        let token = setup.account("load").await?;
        register(options, &setup, &token, receiver).await?;
        prove(options, &setup, &token, window).await?;
        let hanging = hanging(options, window)?;
        let dead = prepare(options, &setup, hanging.as_ref(), tell).await?;
        let path = if options.batch > 1 { "/events/batch" } else { "/events" };
        Ok(Self {
            address: server.address,
            server: Some(server),
            server_options: Some(server_options),
            shape: shape(options, path, token),
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
        if let (Some(server), Some(options)) = (self.server.take(), &self.server_options) {
            tell("restarting the server");
            server.stop().await?;
            let server = Server::start(options).await?;
            self.address = server.address;
            self.server = Some(server);
        }
        Ok(())
    }

    /// What the server uses, where there is one.
    pub(crate) fn server_usage(&self) -> Option<&Usage> {
        self.server.as_ref().map(|server| &server.usage)
    }

    /// The load that plays on it.
    pub(crate) fn load_options(&self, options: &BenchOptions) -> LoadOptions {
        LoadOptions {
            server: self.address,
            shape: self.shape.clone(),
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
        if let Some(server) = self.server {
            tell("ending the server");
            server.stop().await?;
        }
        Ok(())
    }
}

/// Some deliveries before anything hangs: the webhooks that are measured are in good standing by then, as those of others are when a
/// receiver begins to hang.
async fn prove(options: &BenchOptions, setup: &Setup, token: &str, window: &Window) -> anyhow::Result<()> {
    setup.events(token, Kind::Healthy, PROVING_EVENTS, options.payload).await?;
    add(&window.load.healthy_ever, PROVING_EVENTS as u64);
    let expected = PROVING_EVENTS as u64 * u64::from(options.fan_out);
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

fn server_options(options: &BenchOptions, folder: &Path, operator_key: &str, tls: Option<&TestTls>) -> anyhow::Result<ServerOptions> {
    let mut server = ServerOptions::new(options, folder, operator_key);
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
