//! The server that is measured: a process of its own, of the same binary.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::fleet::Duty;
use super::options::BenchOptions;
use super::stopwatch::sleep;
use super::usage::Usage;

/// How long a server may take to be ready. A large store takes no longer: start-up costs per webhook.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// How long it may take to end: its attempts in flight may last 25 s.
const STOP_TIME_MAX: Duration = Duration::from_secs(40);

/// A server at work. It ends with this value, and with this process, however that ends.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What it uses.
    pub(crate) usage: Usage,
    child: Child,
    /// Kept open while the server is to live. `Child::wait` would close it, which the server takes for a wish of its own.
    _stdin: Option<ChildStdin>,
}

/// How a server is started.
#[derive(Clone)]
pub(crate) struct ServerOptions {
    args: Vec<String>,
    /// In the environment, since it can hold a password.
    store: String,
    operator_key: String,
}

impl ServerOptions {
    /// As the bench was told.
    pub(crate) fn new(bench: &BenchOptions, store: String, operator_key: &str) -> Self {
        let mut args: Vec<String> = [
            "serve",
            "--dev",
            "--json",
            "--stop-with-stdin",
            "--listen",
            "127.0.0.1:0",
            "--log",
            "error",
        ]
        .map(str::to_owned)
        .into();
        args.extend(["--synchronous".to_owned(), bench.synchronous.clone()]);
        args.extend(bench.serve.iter().cloned());
        Self {
            args,
            store,
            operator_key: operator_key.to_owned(),
        }
    }

    /// The same for a node of this duty.
    pub(crate) fn of_duty(&self, duty: Duty) -> Self {
        let mut options = self.clone();
        if duty != Duty::Both {
            options.args.extend(["--only", duty.name()].map(str::to_owned));
        }
        options
    }

    /// Trust this authority too.
    pub(crate) fn trust(&mut self, ca_file: &Path) {
        self.args.extend(["--ca-file".to_owned(), ca_file.display().to_string()]);
    }
}

impl Server {
    /// Starts one, and waits until it is ready.
    ///
    /// # Errors
    /// Where it ends instead, or says nothing for a minute.
    pub(crate) async fn start(options: &ServerOptions) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        // What the environment says of other servers is not for this one.
        let ours = std::env::vars_os()
            .map(|(name, _)| name)
            .filter(|name| name.to_string_lossy().starts_with("POSTRIDER_"));
        for name in ours {
            command.env_remove(name);
        }
        let mut child = command
            .args(&options.args)
            .env("POSTRIDER_OPERATOR_KEY", &options.operator_key)
            .env("POSTRIDER_STORE", &options.store)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the server")?;
        let pid = child.id().context("the server ended at once")?;
        let stdout = child.stdout.take().context("the server has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::select! {
            line = lines.next_line() => line?.context("the server ended before it was ready: its own words are above")?,
            () = sleep(START_TIME_MAX) => anyhow::bail!("the server was not ready within {} s", START_TIME_MAX.as_secs()),
        };
        Ok(Self {
            address: parse_ready(&line)?,
            usage: Usage::of_process(pid),
            _stdin: child.stdin.take(),
            child,
        })
    }

    /// Asks it to end (SIGTERM), and waits.
    ///
    /// # Errors
    /// Where it had to be killed, or ended with another exit code than 0.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let pid = pid.context("the server had ended before it was told to")?;
        kill_process(pid, Signal::TERM)?;
        tokio::select! {
            status = self.child.wait() => {
                let status = status?;
                anyhow::ensure!(status.success(), "the server ended with {status}");
            }
            () = sleep(STOP_TIME_MAX) => {
                self.child.kill().await?;
                anyhow::bail!("the server did not end within {} s of SIGTERM and was killed", STOP_TIME_MAX.as_secs());
            }
        }
        Ok(())
    }
}

/// `serve --json` prints one line when it is ready: `{"url":"http://127.0.0.1:43121"}`.
fn parse_ready(line: &str) -> anyhow::Result<SocketAddr> {
    let ready: serde_json::Value = serde_json::from_str(line).with_context(|| format!("the server said {line:?}"))?;
    let url = crate::client::text(&ready, "url")?;
    let address = url.strip_prefix("http://").unwrap_or(url);
    address
        .parse()
        .with_context(|| format!("the server said that it listens at {url:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_tells_the_address() {
        assert_eq!(
            parse_ready(r#"{"url":"http://127.0.0.1:81"}"#).unwrap(),
            "127.0.0.1:81".parse().unwrap()
        );
        assert!(parse_ready("hello").is_err());
        assert!(parse_ready(r#"{"url":"nowhere"}"#).is_err());
    }
}
