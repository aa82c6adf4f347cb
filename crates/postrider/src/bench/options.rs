//! What a bench is told, by flags.

use std::time::Duration;

use clap::{Args, value_parser};
use postrider_model::limits::EVENT_DATA_BYTES_MAX;

use super::hanging::HOSTS_MAX;
use super::payload::DATA_BYTES_MIN;
use crate::cli::Hidden;

/// Measure this machine: a server in a process of its own, a load and a receiver, and a table of what came of it.
///
/// Load and receiver share the machine with the server; the table says what each of them cost.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "Examples:\n  \
    postrider bench\n  \
    Each event to five webhooks, over TLS, for a minute\n    \
    postrider bench --fan-out 5 --tls --duration 60\n  \
    On a PostgreSQL of its own, taken in at one node and sent by another\n    \
    postrider bench --postgres --split --connections 64\n  \
    How others fare beside ten thousand receivers that hang, at a steady rate\n    \
    postrider bench --hanging-webhooks 10000 --hanging-hosts 1000 --rate 2000 --json\n\n\
    Exit codes: 0 measured, 1 it could not be, or its result cannot be relied on, 2 wrong usage.")]
pub(crate) struct BenchOptions {
    /// Connections that post at once.
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = value_parser!(u16).range(1..=4096))]
    pub(crate) connections: u16,
    /// Bytes of each event's data.
    #[arg(long, default_value_t = 300, value_name = "BYTES", value_parser = parse_payload)]
    pub(crate) payload: usize,
    /// Webhooks that each event goes to.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = value_parser!(u16).range(1..=1000))]
    pub(crate) fan_out: u16,
    /// Events in each request; 1 posts to /events, more to /events/batch.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = value_parser!(u16).range(1..=1000))]
    pub(crate) batch: u16,
    /// Events a second over all connections [default: as many as go].
    #[arg(long, value_name = "N", value_parser = parse_rate)]
    pub(crate) rate: Option<f64>,
    /// Deliver over TLS, to a receiver with a certificate of an authority made for the run.
    #[arg(long)]
    pub(crate) tls: bool,
    /// Share of the events that go to a receiver which answers 500 (0 to 1).
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", value_parser = parse_share)]
    pub(crate) failing: f64,
    /// Share of the events that go to a receiver which never answers (0 to 1).
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", value_parser = parse_share)]
    pub(crate) hanging: f64,
    /// Further webhooks whose receivers never answer, each with deliveries waiting before the run.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = value_parser!(u32).range(0..=1_000_000))]
    pub(crate) hanging_webhooks: u32,
    /// Hosts that those are on, out of 127.0.0.0/8.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = value_parser!(u32).range(1..=HOSTS_MAX as i64))]
    pub(crate) hanging_hosts: u32,
    /// Deliveries that wait for each of those.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = value_parser!(u32).range(0..=1000))]
    pub(crate) hanging_events: u32,
    /// Further webhooks that are registered and get nothing.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = value_parser!(u32).range(0..=10_000_000))]
    pub(crate) webhooks: u32,
    /// Deliveries that wait for a dead receiver before the run.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = value_parser!(u32).range(0..=100_000_000))]
    pub(crate) waiting: u32,
    /// Restart the server before the run.
    #[arg(long)]
    pub(crate) restart: bool,
    /// Seconds that are measured.
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = parse_seconds)]
    pub(crate) duration: Duration,
    /// Seconds of load before that.
    #[arg(long, default_value = "2", value_name = "SECONDS", value_parser = parse_seconds)]
    pub(crate) warm_up: Duration,
    /// End when so many events were accepted, where that is before the time is over.
    #[arg(long, value_name = "N")]
    pub(crate) events: Option<u64>,
    /// The server's store [default: a new SQLite file in a temporary folder]. A database must be empty.
    #[arg(long, value_name = "sqlite:PATH|postgres://…")]
    pub(crate) store: Option<Hidden>,
    /// Start a PostgreSQL for the run, with default settings, and take it away afterwards. Its own CPU time is counted too.
    #[arg(long, conflicts_with = "store")]
    pub(crate) postgres: bool,
    /// Nodes that share the database, each with its part of the load.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = value_parser!(u16).range(1..=64))]
    pub(crate) nodes: u16,
    /// Two nodes: one that takes all events in, and one that sends all deliveries.
    #[arg(long, conflicts_with = "nodes")]
    pub(crate) split: bool,
    /// Accounts that the load is spread over, each with webhooks of its own [default: 1, with several nodes 16 for each].
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=10_000))]
    pub(crate) accounts: Option<u16>,
    /// How a SQLite store writes: full, normal or off.
    #[arg(long, default_value = "full", value_name = "MODE")]
    pub(crate) synchronous: String,
    /// Post straight to the receiver, with no server: what the bench itself costs.
    #[arg(long, conflicts_with_all = ["fan_out", "batch", "tls", "failing", "hanging", "hanging_webhooks", "webhooks", "waiting", "restart", "postgres", "nodes", "split", "accounts"])]
    pub(crate) direct: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Further arguments for `postrider serve`.
    #[arg(last = true, value_name = "SERVE FLAGS")]
    pub(crate) serve: Vec<String>,
}

/// Accounts of each node, where there are several: webhooks are spread over nodes one by one.
const ACCOUNTS_PER_NODE: u16 = 16;

impl BenchOptions {
    /// Accounts that the load is spread over.
    pub(crate) fn load_accounts(&self) -> usize {
        let usual = if self.nodes > 1 { self.nodes * ACCOUNTS_PER_NODE } else { 1 };
        usize::from(self.accounts.unwrap_or(usual))
    }
}

/// Longest time that a bench runs or warms up.
const SECONDS_MAX: f64 = 3_600.0;
fn parse_payload(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|bytes| (DATA_BYTES_MIN..=EVENT_DATA_BYTES_MAX).contains(bytes))
        .ok_or_else(|| format!("{DATA_BYTES_MIN} to {EVENT_DATA_BYTES_MAX} bytes"))
}

fn parse_share(text: &str) -> Result<f64, String> {
    parse_number(text, 0.0..=1.0).ok_or_else(|| "0 to 1".to_owned())
}

fn parse_rate(text: &str) -> Result<f64, String> {
    parse_number(text, 0.1..=10_000_000.0).ok_or_else(|| "0.1 to 10000000".to_owned())
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    parse_number(text.trim_end_matches('s'), 0.0..=SECONDS_MAX)
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("0 to {SECONDS_MAX} seconds"))
}

fn parse_number(text: &str, range: std::ops::RangeInclusive<f64>) -> Option<f64> {
    text.parse().ok().filter(|number| range.contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(parse_payload("300"), Ok(300));
        assert!(parse_payload("1").is_err());
        assert!(parse_payload("9999999").is_err());
        assert_eq!(parse_share("0.25"), Ok(0.25));
        assert!(parse_share("1.5").is_err());
        assert!(parse_share("NaN").is_err());
        assert_eq!(parse_seconds("1.5s"), Ok(Duration::from_millis(1_500)));
        assert!(parse_seconds("-1").is_err());
        assert!(parse_rate("0").is_err());
    }
}
