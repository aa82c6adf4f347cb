//! One bench from its beginning to its end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpSocket;

use super::hanging::Hanging;
use super::load::{self, LoadOptions};
use super::options::BenchOptions;
use super::payload::{Kind, RequestShape};
use super::receiver::Receiver;
use super::report::{CpuSample, Measurements, Report};
use super::server::{Server, ServerOptions};
use super::setup::Setup;
use super::stopwatch::{Stopwatch, sleep};
use super::thread::Measured;
use super::tls::TestTls;
use super::window::{Latencies, Window, read};
use crate::random::{OsRandom, new_operator_token};

/// How often the run looks whether enough events were accepted, or whether all has arrived.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// How long after the load's end nothing more may arrive before the run stops to wait.
const DRAIN_SILENCE_MAX: Duration = Duration::from_secs(10);
/// How long it waits at most.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(120);

/// Measures, and tells people on the way how far it is.
///
/// # Errors
/// Where the server cannot be started, set up or ended.
pub(crate) async fn run(options: &BenchOptions, tell: &dyn Fn(&str)) -> anyhow::Result<Report> {
    let window = Arc::new(Window::new(Stopwatch::start()));
    let tls = options.tls.then(TestTls::make).transpose()?;
    let receiver = Receiver::start(Arc::clone(&window), tls.as_ref().map(|tls| tls.acceptor.clone()))?;
    let mut stage = match options.direct {
        true => Stage::direct(options, &receiver),
        false => Stage::with_server(options, &window, &receiver, tls.as_ref(), tell).await?,
    };
    if options.restart {
        stage.restart(tell).await?;
    }
    let load = load::start(stage.load_options(options), Arc::clone(&window))?;
    let cpu = measure(options, &window, &stage, &load, &receiver, tell).await;
    window.stop();
    let answers = load.join()?;
    drain(options, &window, tell).await;
    let usage = stage.server.as_ref().map(|server| server.usage.clone());
    let latencies = receiver.finish()?;
    // Made while the server still runs: it reads the server's memory.
    let report = Report::new(&Measurements {
        options,
        window: &window,
        cpu,
        server: usage.as_ref(),
        latencies: &latencies,
        answers: &answers,
    });
    stage.end(tell).await?;
    Ok(report)
}

/// What a run plays on.
struct Stage {
    server: Option<Server>,
    server_options: Option<ServerOptions>,
    shape: RequestShape,
    address: std::net::SocketAddr,
    hanging: Option<Hanging>,
    /// The port of the dead receiver: kept so that nobody takes it.
    _dead: Option<TcpSocket>,
    /// Removed when the run ends.
    _folder: Option<TempDir>,
}

impl Stage {
    /// Without a server: the load posts to the receiver.
    fn direct(options: &BenchOptions, receiver: &Receiver) -> Self {
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

    async fn with_server(
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
        let hanging = hanging(options, window)?;
        let dead = prepare(options, &setup, hanging.as_ref(), tell).await?;
        let token = setup.account("load").await?;
        register(options, &setup, &token, receiver).await?;
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

    async fn restart(&mut self, tell: &dyn Fn(&str)) -> anyhow::Result<()> {
        if let (Some(server), Some(options)) = (self.server.take(), &self.server_options) {
            tell("restarting the server");
            server.stop().await?;
            let server = Server::start(options).await?;
            self.address = server.address;
            self.server = Some(server);
        }
        Ok(())
    }

    fn load_options(&self, options: &BenchOptions) -> LoadOptions {
        LoadOptions {
            server: self.address,
            shape: self.shape.clone(),
            connections: usize::from(options.connections),
            rate: options.rate,
            failing: options.failing,
            hanging: options.hanging,
        }
    }

    async fn end(self, tell: &dyn Fn(&str)) -> anyhow::Result<()> {
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
        setup.many_webhooks(Kind::Healthy, urls.collect()).await?;
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
    let healthy = (0..options.fan_out).map(|index| url(Kind::Healthy, index)).collect();
    setup.webhooks(token, Kind::Healthy, healthy).await?;
    if options.failing > 0.0 {
        setup.webhooks(token, Kind::Failing, vec![url(Kind::Failing, 0)]).await?;
    }
    if options.hanging > 0.0 {
        setup.webhooks(token, Kind::Hanging, vec![url(Kind::Hanging, 0)]).await?;
    }
    Ok(())
}

/// Warms up, opens the window, waits, and closes it; the CPU time at both its ends.
async fn measure(
    options: &BenchOptions,
    window: &Window,
    stage: &Stage,
    load: &Measured<Latencies>,
    receiver: &Receiver,
    tell: &dyn Fn(&str),
) -> (CpuSample, CpuSample) {
    let sample = || CpuSample {
        server: stage.server.as_ref().and_then(|server| server.usage.cpu_micros()),
        load: load.usage.cpu_micros(),
        receiver: receiver.thread.usage.cpu_micros(),
    };
    tell(&format!("warming up for {:.1} s", options.warm_up.as_secs_f64()));
    sleep(options.warm_up).await;
    tell(&format!("measuring for {:.1} s", options.duration.as_secs_f64()));
    let before = sample();
    window.open();
    let end = window.watch.nanos() + nanos(options.duration);
    loop {
        let left = end.saturating_sub(window.watch.nanos());
        let enough = options.events.is_some_and(|events| read(&window.load.events) >= events);
        if left == 0 || enough {
            break;
        }
        let all = Duration::from_nanos(left);
        sleep(if options.events.is_some() { all.min(LOOK_INTERVAL) } else { all }).await;
    }
    window.close();
    (before, sample())
}

/// Waits until all accepted events have arrived: their latency belongs to the result.
async fn drain(options: &BenchOptions, window: &Window, tell: &dyn Fn(&str)) {
    let expected = read(&window.load.healthy_ever) * u64::from(options.fan_out);
    let arrived = || {
        if options.direct {
            expected
        } else {
            read(&window.receiver.acknowledged_ever)
        }
    };
    let begin = window.watch.nanos();
    let (mut last, mut changed) = (arrived(), begin);
    if last < expected {
        tell(&format!("{} deliveries are still to arrive", expected - last));
    }
    while arrived() < expected {
        sleep(LOOK_INTERVAL).await;
        let now = window.watch.nanos();
        if arrived() != last {
            (last, changed) = (arrived(), now);
        }
        if now - changed > nanos(DRAIN_SILENCE_MAX) || now - begin > nanos(DRAIN_TIME_MAX) {
            break;
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
