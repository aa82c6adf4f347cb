//! Logs, on stderr: for people on a terminal, JSON otherwise.

use std::io::{IsTerminal as _, stderr};

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::Subscriber;

/// Logs from now on, as far as the filter lets through.
///
/// # Errors
/// Where the filter is none, or logging was set up before.
pub(crate) fn start(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).context("the log filter")?;
    let subscriber = Subscriber::builder().with_env_filter(filter).with_writer(stderr);
    let started = if stderr().is_terminal() {
        subscriber.with_target(false).try_init()
    } else {
        subscriber.json().flatten_event(true).try_init()
    };
    started.map_err(|error| anyhow::anyhow!(error))
}
