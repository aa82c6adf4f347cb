//! `postrider serve`.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use super::output;
use crate::cli::ServeCommand;
use crate::config::{ServeConfig, Shown};
use crate::serve::Server;
use crate::{files, logging};

/// Runs the server until it is told to end.
///
/// # Errors
/// Where the configuration is wrong, or the server cannot be started.
pub(crate) fn execute(command: ServeCommand) -> anyhow::Result<()> {
    if command.print_config {
        let shown = Shown::load(command.flags, environment())?;
        return if command.json {
            output::json(&shown.to_json())
        } else {
            output::line(shown.to_toml().trim_end())
        };
    }
    let config = ServeConfig::load(command.flags, environment())?;
    logging::start(&config.log, config.log_format)?;
    let handles = files::raise_limit();
    runtime(config.worker_threads)?.block_on(async {
        let mut stop = Stop::new(command.stop_with_stdin)?;
        let server = Server::start(config, handles).await?;
        tell_ready(&server, command.json)?;
        tracing::info!(url = server.url(), file_handles = handles, "ready");
        stop.wished().await;
        tracing::info!("ending: attempts in flight are finished first");
        tokio::select! {
            () = server.stop() => Ok(()),
            () = stop.signalled() => anyhow::bail!("told to end twice: attempts in flight were not waited for"),
        }
    })
}

/// The runtime of a server.
///
/// # Errors
/// Where the system gives no threads.
pub(crate) fn runtime(worker_threads: Option<usize>) -> std::io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    if let Some(threads) = worker_threads {
        builder.worker_threads(threads);
    }
    builder.thread_name("postrider").enable_all().build()
}

/// The environment as texts; what is no text is none of ours.
pub(crate) fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
        .collect()
}

/// One line on stdout, for whoever started the server.
fn tell_ready(server: &Server, as_json: bool) -> anyhow::Result<()> {
    let url = server.url();
    let line = if as_json { json!({ "url": url }).to_string() } else { url };
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .context("cannot print the url")
}

/// Wishes that the process should end.
pub(crate) struct Stop {
    terminate: Signal,
    interrupt: Signal,
    stdin: Arc<Notify>,
}

impl Stop {
    /// Listens for SIGTERM and SIGINT, and, where asked, for the end of standard input.
    ///
    /// # Errors
    /// Where the system lets no signal be caught.
    pub(crate) fn new(with_stdin: bool) -> anyhow::Result<Self> {
        let stdin = Arc::new(Notify::new());
        if with_stdin {
            let ended = Arc::clone(&stdin);
            std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
                let mut bytes = [0u8; 64];
                while matches!(std::io::stdin().read(&mut bytes), Ok(1..)) {}
                ended.notify_one();
            })?;
        }
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            stdin,
        })
    }

    /// Waits for the next wish.
    pub(crate) async fn wished(&mut self) {
        let stdin = Arc::clone(&self.stdin);
        tokio::select! {
            () = self.signalled() => {}
            () = stdin.notified() => {}
        }
    }

    /// Waits for the next signal.
    async fn signalled(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
