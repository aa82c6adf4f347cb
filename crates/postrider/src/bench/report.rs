//! What came of a bench: a table for people, JSON for programs.

use serde::Serialize;

use super::options::BenchOptions;
use super::usage::Usage;
use super::window::{Latencies, Window, read};

/// CPU time so far of all that run, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuSample {
    /// Of the server's process.
    pub(crate) server: Option<u64>,
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
    /// What the bench itself cost.
    bench: BenchUse,
    /// Requests that were not accepted, and connections that broke, before and after the window too.
    refused: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_refusal: Option<String>,
    /// Deliveries of accepted events that had not arrived when the wait for them ended.
    missing: u64,
    /// Deliveries that arrived more than once.
    repeated: u64,
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
}

#[derive(Debug, Serialize)]
struct Quantiles {
    p50: f64,
    p99: f64,
    max: f64,
}

#[derive(Debug, Serialize)]
struct ServerUse {
    /// CPU time of user and kernel for each delivery that was acknowledged or answered with a failure.
    cpu_micros_per_delivery: Option<f64>,
    /// Cores that it kept busy.
    cores: Option<f64>,
    /// The most memory that it had, since it was started.
    rss_peak_mib: Option<f64>,
    /// The memory at the end of the window.
    rss_mib: Option<f64>,
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
    /// Of the server, where there is one.
    pub(crate) server: Option<&'a Usage>,
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
        let expected = read(&window.load.healthy_ever) * u64::from(options.fan_out);
        let arrived = read(&window.receiver.acknowledged_ever);
        let (from, to) = measured.cpu;
        let server_cpu = difference(from.server, to.server);
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
            server: ServerUse {
                cpu_micros_per_delivery: per(server_cpu, answered),
                cores: server_cpu.map(|micros| micros as f64 / 1e6 / seconds),
                rss_peak_mib: measured.server.and_then(Usage::rss_peak_bytes).map(mib),
                rss_mib: measured.server.and_then(Usage::rss_bytes).map(mib),
            },
            bench: BenchUse {
                load_cpu_micros_per_request: per(difference(from.load, to.load), requests),
                receiver_cpu_micros_per_delivery: per(difference(from.receiver, to.receiver), answered),
            },
            refused: read(&window.load.refused),
            first_refusal: window.first_trouble(),
            missing: expected.saturating_sub(arrived),
            repeated: arrived.saturating_sub(expected),
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
            ("server, CPU-µs per delivery", number(self.server.cpu_micros_per_delivery, 1)),
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
        }
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
        let window = Window::new(Stopwatch::start());
        window.open();
        fill(&window);
        window.close();
        let latencies = Latencies::new().unwrap();
        let from = CpuSample::default();
        let server = |micros| CpuSample { server: micros, ..from };
        Report::new(&Measurements {
            options: &options,
            window: &window,
            cpu: (server(Some(1_000)), server(Some(9_000))),
            server: None,
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
        assert_eq!(report.bench.load_cpu_micros_per_request, None);
        assert_eq!(report.flaw(), None);
    }

    #[test]
    fn what_did_not_arrive_is_a_flaw() {
        let report = report(|window| {
            add(&window.load.events, 10);
            add(&window.load.healthy_ever, 10);
            add(&window.receiver.acknowledged_ever, 19);
        });
        assert_eq!((report.missing, report.repeated), (1, 0));
        assert!(report.flaw().unwrap().contains("1 deliveries"));
        assert!(report.to_table().contains("missing, repeated              1, 0"));
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
