//! Logs, on stderr: for people on a terminal, JSON otherwise.

use std::io::{IsTerminal as _, stderr};

use anyhow::Context as _;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterFn, filter_fn};
use tracing_subscriber::fmt::Subscriber;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::LogFormat;

/// Logs from now on, as far as the filter lets through.
///
/// # Errors
/// Where the filter is none, or logging was set up before.
pub(crate) fn start(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).context("the log filter")?;
    let subscriber = Subscriber::builder().with_env_filter(filter).with_writer(stderr);
    let is_terminal = stderr().is_terminal();
    let is_human = match format {
        LogFormat::Auto => is_terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let has_colours = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let started = if is_human {
        let subscriber = subscriber.with_target(false).with_ansi(has_colours);
        subscriber.finish().with(without_values()).try_init()
    } else {
        subscriber.json().flatten_event(true).finish().with(without_values()).try_init()
    };
    Ok(started?)
}

/// Lets nothing through that shows values of statements, whatever was asked for: the client of PostgreSQL writes all of them to its debug
/// log, payloads and sealed secrets among them.
fn without_values() -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    filter_fn(|metadata| *metadata.level() <= Level::INFO || !metadata.target().starts_with("tokio_postgres"))
}
