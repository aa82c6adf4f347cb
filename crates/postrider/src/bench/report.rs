//! What came of a bench: a table for people, JSON for programs.

use serde::Serialize;

use super::fleet::Duty;
use super::options::BenchOptions;
use super::usage::Usage;
use super::window::{Latencies, Window, read};

/// Where the rows of PostgreSQL stand in the table: behind those of the server.
const SERVER_ROWS: std::ops::Range<usize> = 7..7;

/// CPU time so far of all that run, in microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct CpuSample {
    /// Of each server's process.
    pub(crate) servers: Vec<Option<u64>>,
    /// Of all processes of PostgreSQL.
    pub(crate) postgres: Option<u64>,
    /// Of the load's thread.
    pub(crate) load: Option<u64>,
    /// Of the receiver's thread.
    pub(crate) receiver: Option<u64>,
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// What was asked for.
    settings: Settings,
    /// Length of the measured window.
    seconds: f64,
    /// Requests that were accepted.
    requests: u64,
    /// Events that were accepted.
    events: u64,
    events_per_second: f64,
    /// Deliveries that were acknowledged.
    deliveries: u64,
    deliveries_per_second: f64,
    /// Attempts that the failing receiver answered with 500.
    failed_attempts: u64,
    /// Attempts that hanging receivers hold or held, before the window too.
    hanging_attempts: u64,
    /// From the moment when a request begins to be written until the receiver has the whole delivery.
    latency_ms: Quantiles,
    /// From the same moment until the answer to the request is there.
    answer_ms: Quantiles,
    server: ServerUse,
    /// What PostgreSQL used, where it runs on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    postgres: Option<PostgresUse>,
    /// What the bench itself cost.
    bench: BenchUse,
    /// Requests that were not accepted, and connections that broke, before and after the window too.
    refused: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_refusal: Option<String>,
    /// Deliveries of accepted events that had not arrived when the wait for them ended.
    missing: u64,
    /// Deliveries that arrived though they had arrived before.
    repeated: u64,
    /// Whether the store was in memory, and no commit waited for a disk.
    store_in_memory: bool,
}

#[derive(Debug, Serialize)]
struct Settings {
    version: &'static str,
    connections: u16,
    payload_bytes: usize,
    fan_out: u16,
    batch: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    tls: bool,
    failing: f64,
    hanging: f64,
    hanging_webhooks: u32,
    hanging_hosts: u32,
    webhooks: u32,
    waiting: u32,
    restart: bool,
    synchronous: String,
    direct: bool,
    postgres: bool,
    nodes: u16,
    split: bool,
    accounts: usize,
}

#[derive(Debug, Serialize)]
struct Quantiles {
    p50: f64,
    p99: f64,
    max: f64,
}

#[derive(Debug, Serialize)]
struct ServerUse {
    /// CPU time of user and kernel for each delivery that was acknowledged or answered with a failure, of all nodes together.
    cpu_micros_per_delivery: Option<f64>,
    /// Cores that they kept busy.
    cores: Option<f64>,
    /// The most memory that one of them had, since it was started.
    rss_peak_mib: Option<f64>,
    /// The memory at the end of the window, of the largest.
    rss_mib: Option<f64>,
    /// The same for each of several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<NodeUse>,
}

#[derive(Debug, Serialize)]
struct NodeUse {
    duty: &'static str,
    cpu_micros_per_delivery: Option<f64>,
}

#[derive(Debug, Serialize)]
struct PostgresUse {
    /// CPU time of all its processes.
    cpu_micros_per_delivery: f64,
    /// Cores that it kept busy.
    cores: f64,
    /// With that of the servers.
    cpu_micros_per_delivery_in_all: Option<f64>,
}

#[derive(Debug, Serialize)]
struct BenchUse {
    load_cpu_micros_per_request: Option<f64>,
    receiver_cpu_micros_per_delivery: Option<f64>,
}

/// What a report is made of.
pub(crate) struct Measurements<'a> {
    /// What was asked for.
    pub(crate) options: &'a BenchOptions,
    /// The counts.
    pub(crate) window: &'a Window,
    /// When the window opened and when it closed.
    pub(crate) cpu: (CpuSample, CpuSample),
    /// Of the servers, in the order of the samples.
    pub(crate) servers: &'a [(Duty, &'a Usage)],
    /// Whether the store is in memory.
    pub(crate) is_in_memory: bool,
    /// From POST to receiver.
    pub(crate) latencies: &'a Latencies,
    /// From POST to answer.
    pub(crate) answers: &'a Latencies,
}

impl Report {
    /// Sums up.
    pub(crate) fn new(measured: &Measurements<'_>) -> Self {
        let (window, options) = (measured.window, measured.options);
        let seconds = window.seconds();
        let events = read(&window.load.events);
        let requests = read(&window.load.requests);
        let deliveries = read(&window.receiver.acknowledged);
        let failed_attempts = read(&window.receiver.failed);
        let (from, to) = &measured.cpu;
        let answered = deliveries + failed_attempts;
        Self {
            settings: Settings::new(options),
            seconds,
            requests,
            events,
            events_per_second: events as f64 / seconds,
            deliveries,
            deliveries_per_second: deliveries as f64 / seconds,
            failed_attempts,
            hanging_attempts: read(&window.receiver.hanging_ever),
            latency_ms: Quantiles::of(measured.latencies),
            answer_ms: Quantiles::of(measured.answers),
            server: measured.server_use(seconds, answered),
            postgres: measured.postgres_use(seconds, answered),
            bench: BenchUse {
                load_cpu_micros_per_request: per(difference(from.load, to.load), requests),
                receiver_cpu_micros_per_delivery: per(difference(from.receiver, to.receiver), answered),
            },
            refused: read(&window.load.refused),
            first_refusal: window.first_trouble(),
            missing: window.tally.missing(),
            repeated: window.tally.repeated(),
            store_in_memory: measured.is_in_memory,
        }
    }

    /// As one line of JSON.
    ///
    /// # Errors
    /// Never in fact: numbers and texts are always JSON.
    pub(crate) fn to_json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    /// As a table.
    pub(crate) fn to_table(&self) -> String {
        let mut rows = vec![
            ("events/s", format!("{:.0}", self.events_per_second)),
            ("deliveries/s", format!("{:.0}", self.deliveries_per_second)),
            ("latency, POST to receiver", self.latency_ms.to_text()),
            ("latency, POST to answer", self.answer_ms.to_text()),
            ("server, CPU-µs per delivery", self.server.cpu_text()),
            ("server, cores busy", number(self.server.cores, 2)),
            ("server, peak RSS in MiB", number(self.server.rss_peak_mib, 1)),
            ("load, CPU-µs per request", number(self.bench.load_cpu_micros_per_request, 1)),
            (
                "receiver, CPU-µs per delivery",
                number(self.bench.receiver_cpu_micros_per_delivery, 1),
            ),
            (
                "measured",
                format!("{:.1} s, {} events, {} deliveries", self.seconds, self.events, self.deliveries),
            ),
        ];
        if let Some(postgres) = &self.postgres {
            rows.splice(SERVER_ROWS, postgres.rows());
        }
        if self.failed_attempts > 0 {
            rows.push(("attempts answered 500", self.failed_attempts.to_string()));
        }
        if self.hanging_attempts > 0 {
            rows.push(("attempts left hanging", self.hanging_attempts.to_string()));
        }
        if let Some(first) = &self.first_refusal {
            rows.push(("requests refused", format!("{}, the first: {first}", self.refused)));
        }
        rows.push(("missing, repeated", format!("{}, {}", self.missing, self.repeated)));
        let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        rows.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
    }

    /// What to know about it that does not make it wrong, a line each.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        let memory = self.store_in_memory.then(|| {
            "the store was in memory (tmpfs), where a commit waits for no disk: a folder on a disk is named by TMPDIR=… or --store"
                .to_owned()
        });
        let repeated = (self.repeated > 0).then(|| format!("{} deliveries arrived once more than they should", self.repeated));
        memory.into_iter().chain(repeated)
    }

    /// Why this is no result to rely on; `None` where it is one.
    pub(crate) fn flaw(&self) -> Option<String> {
        if self.missing > 0 {
            return Some(format!("{} deliveries of accepted events did not arrive", self.missing));
        }
        (self.events == 0).then(|| {
            let why = self.first_refusal.as_deref().unwrap_or("the window was too short");
            format!("no event was accepted: {why}")
        })
    }
}

impl Settings {
    fn new(options: &BenchOptions) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            connections: options.connections,
            payload_bytes: options.payload,
            fan_out: options.fan_out,
            batch: options.batch,
            rate: options.rate,
            tls: options.tls,
            failing: options.failing,
            hanging: options.hanging,
            hanging_webhooks: options.hanging_webhooks,
            hanging_hosts: options.hanging_hosts,
            webhooks: options.webhooks,
            waiting: options.waiting,
            restart: options.restart,
            synchronous: options.synchronous.clone(),
            direct: options.direct,
            postgres: options.postgres,
            nodes: if options.split { 2 } else { options.nodes },
            split: options.split,
            accounts: options.load_accounts(),
        }
    }
}

impl Measurements<'_> {
    fn server_use(&self, seconds: f64, answered: u64) -> ServerUse {
        let (from, to) = &self.cpu;
        let each: Vec<Option<u64>> = from
            .servers
            .iter()
            .zip(&to.servers)
            .map(|(from, to)| difference(*from, *to))
            .collect();
        let all = each.iter().copied().sum::<Option<u64>>().filter(|_| !each.is_empty());
        let usages = || self.servers.iter().map(|(_, usage)| *usage);
        let nodes = self.servers.iter().zip(&each).map(|((duty, _), micros)| NodeUse {
            duty: duty.name(),
            cpu_micros_per_delivery: per(*micros, answered),
        });
        ServerUse {
            cpu_micros_per_delivery: per(all, answered),
            cores: all.map(|micros| micros as f64 / 1e6 / seconds),
            rss_peak_mib: usages().filter_map(Usage::rss_peak_bytes).max().map(mib),
            rss_mib: usages().filter_map(Usage::rss_bytes).max().map(mib),
            nodes: nodes.filter(|_| each.len() > 1).collect(),
        }
    }

    fn postgres_use(&self, seconds: f64, answered: u64) -> Option<PostgresUse> {
        let (from, to) = &self.cpu;
        let micros = difference(from.postgres, to.postgres)?;
        let each = per(Some(micros), answered)?;
        Some(PostgresUse {
            cpu_micros_per_delivery: each,
            cores: micros as f64 / 1e6 / seconds,
            cpu_micros_per_delivery_in_all: self
                .server_use(seconds, answered)
                .cpu_micros_per_delivery
                .map(|server| server + each),
        })
    }
}

impl ServerUse {
    fn cpu_text(&self) -> String {
        let all = number(self.cpu_micros_per_delivery, 1);
        if self.nodes.is_empty() {
            return all;
        }
        let each = self
            .nodes
            .iter()
            .map(|node| format!("{} {}", node.duty, number(node.cpu_micros_per_delivery, 1)));
        format!("{all} ({})", each.collect::<Vec<_>>().join(", "))
    }
}

impl PostgresUse {
    fn rows(&self) -> [(&'static str, String); 3] {
        let all = self.cpu_micros_per_delivery_in_all;
        let share = all.map(|all| self.cpu_micros_per_delivery / all * 100.0);
        [
            ("PostgreSQL, CPU-µs per delivery", format!("{:.1}", self.cpu_micros_per_delivery)),
            ("PostgreSQL, cores busy", format!("{:.2}", self.cores)),
            (
                "both, CPU-µs per delivery",
                format!("{}, of it PostgreSQL {} %", number(all, 1), number(share, 0)),
            ),
        ]
    }
}

impl Quantiles {
    fn of(latencies: &Latencies) -> Self {
        Self {
            p50: latencies.quantile_millis(0.5),
            p99: latencies.quantile_millis(0.99),
            max: latencies.max_millis(),
        }
    }

    fn to_text(&self) -> String {
        format!("p50 {:.2} ms, p99 {:.2} ms, max {:.1} ms", self.p50, self.p99, self.max)
    }
}

fn difference(from: Option<u64>, to: Option<u64>) -> Option<u64> {
    Some(to?.saturating_sub(from?))
}

fn per(micros: Option<u64>, count: u64) -> Option<f64> {
    (count > 0).then_some(micros? as f64 / count as f64)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

fn number(value: Option<f64>, places: usize) -> String {
    value.map_or_else(|| "not known".to_owned(), |value| format!("{value:.places$}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::stopwatch::Stopwatch;
    use super::super::window::add;
    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: BenchOptions,
    }

    fn report(fill: impl FnOnce(&Window)) -> Report {
        let options = Line::parse_from(["bench", "--fan-out", "2"]).options;
        let window = Window::new(Stopwatch::start(), options.fan_out);
        window.open();
        fill(&window);
        window.close();
        let latencies = Latencies::new().unwrap();
        let sample = |server, postgres| CpuSample {
            servers: vec![Some(server)],
            postgres: Some(postgres),
            ..CpuSample::default()
        };
        Report::new(&Measurements {
            options: &options,
            window: &window,
            cpu: (sample(1_000, 0), sample(9_000, 2_000)),
            servers: &[],
            is_in_memory: true,
            latencies: &latencies,
            answers: &latencies,
        })
    }

    #[test]
    fn failed_attempts_cost_the_server_too() {
        let report = report(|window| {
            add(&window.load.events, 50);
            add(&window.receiver.acknowledged, 75);
            add(&window.receiver.failed, 25);
        });
        assert_eq!(report.server.cpu_micros_per_delivery, Some(80.0));
        let all = report.postgres.as_ref().unwrap().cpu_micros_per_delivery_in_all;
        assert_eq!(all, Some(100.0));
        assert!(report.to_table().contains("100.0, of it PostgreSQL 20 %"), "{}", report.to_table());
        assert_eq!(report.bench.load_cpu_micros_per_request, None);
        assert_eq!(report.flaw(), None);
    }

    #[test]
    fn what_did_not_arrive_is_a_flaw() {
        let report = report(|window| {
            add(&window.load.events, 10);
            // As many arrive as were to arrive: one twice, and one not at all.
            window.tally.accept(window.tally.take_numbers(10), 10);
            (0..20)
                .filter(|delivery| *delivery != 7)
                .for_each(|delivery| window.tally.arrive(delivery / 2, delivery % 2));
            window.tally.arrive(4, 0);
        });
        assert_eq!((report.missing, report.repeated), (1, 1));
        let warnings: Vec<String> = report.warnings().collect();
        assert!(
            warnings[0].contains("TMPDIR") && warnings[1].starts_with("1 deliveries"),
            "{warnings:?}"
        );
        assert!(report.flaw().unwrap().contains("1 deliveries"));
        assert!(report.to_table().contains("missing, repeated              1, 1"));
    }

    #[test]
    fn a_run_without_events_says_why() {
        let report = report(|window| window.trouble(|| "401: no".to_owned()));
        assert!(report.flaw().unwrap().contains("401: no"));
        let json: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
        assert_eq!(json["refused"], 1);
        assert_eq!(json["settings"]["fan_out"], 2);
    }
}
