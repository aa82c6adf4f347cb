//! `/metrics`: what the server counts, in the text format of Prometheus (version 0.0.4). One table has every metric: the answer and the
//! page of the reference are made of it. Nothing is labelled by account or webhook: there may be millions of them.

use std::fmt::Write as _;
use std::time::Duration;

use http::StatusCode;
use postrider_engine::Count;
use postrider_model::attempt::ErrorKind;
use postrider_model::delivery::FailedReason;
use postrider_model::slot::SLOTS;

use crate::api::Shared;

/// The media type of the answer.
pub(crate) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One metric.
struct Metric {
    name: &'static str,
    kind: Kind,
    what: &'static str,
    read: fn(&Shared, &mut Samples<'_>),
}

/// What becomes of a metric's number.
#[derive(Clone, Copy)]
enum Kind {
    /// It only grows, from zero at each start.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// Takes the numbers of one metric.
struct Samples<'a> {
    name: &'static str,
    out: &'a mut String,
}

impl Samples<'_> {
    fn one(&mut self, number: impl TryInto<u64>) {
        self.labelled(&[], number);
    }

    fn labelled(&mut self, labels: &[(&str, &str)], number: impl TryInto<u64>) {
        self.out.push_str(self.name);
        for (index, (name, value)) in labels.iter().enumerate() {
            self.out.push_str(if index == 0 { "{" } else { "," });
            // Names of routes and versions hold none of the three letters that would have to be escaped.
            self.text(format_args!("{name}=\"{value}\""));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let number = number.try_into().unwrap_or(u64::MAX);
        self.text(format_args!("{end} {number}\n"));
    }

    fn seconds(&mut self, time: Duration) {
        let (name, seconds) = (self.name, time.as_secs_f64());
        self.text(format_args!("{name} {seconds:.3}\n"));
    }

    fn text(&mut self, text: std::fmt::Arguments<'_>) {
        // A string takes all that is written to it.
        let _ = self.out.write_fmt(text);
    }
}

/// Requests by the class of the status that they were answered with. Written by every request, with one relaxed addition.
#[derive(Default)]
pub(crate) struct Answers([Count; 5]);

impl Answers {
    pub(crate) fn count(&self, status: StatusCode) {
        if let Some(count) = self.0.get(usize::from(status.as_u16() / 100).wrapping_sub(1)) {
            count.add(1);
        }
    }

    fn put(&self, samples: &mut Samples<'_>, (method, route): (&str, &str)) {
        for (count, class) in self.0.iter().zip(["1xx", "2xx", "3xx", "4xx", "5xx"]) {
            if count.get() > 0 {
                samples.labelled(&[("method", method), ("route", route), ("status", class)], count.get());
            }
        }
    }
}

const fn counter(name: &'static str, what: &'static str, read: fn(&Shared, &mut Samples<'_>)) -> Metric {
    let kind = Kind::Counter;
    Metric { name, kind, what, read }
}

const fn gauge(name: &'static str, what: &'static str, read: fn(&Shared, &mut Samples<'_>)) -> Metric {
    let kind = Kind::Gauge;
    Metric { name, kind, what, read }
}

/// Every metric there is, in the order in which they are shown.
const METRICS: &[Metric] = &[
    gauge(
        "postrider_build_info",
        "Always 1; `version` is that of the server.",
        |shared, samples| {
            samples.labelled(&[("version", shared.options.version)], 1u64);
        },
    ),
    gauge(
        "postrider_start_time_seconds",
        "When the server started, in seconds since 1970.",
        |shared, samples| {
            samples.one(shared.engine.started_at().as_seconds());
        },
    ),
    counter(
        "postrider_events_accepted_total",
        "Events that were stored as new.",
        |shared, samples| {
            samples.one(shared.engine.counters().events_accepted.get());
        },
    ),
    counter(
        "postrider_ingest_groups_total",
        "Commits of events; each is shared by all requests that waited for it.",
        |shared, samples| samples.one(shared.engine.counters().ingest_groups.get()),
    ),
    gauge(
        "postrider_ingest_waiting",
        "Requests with events that wait for the next commit.",
        |shared, samples| {
            samples.one(shared.engine.ingest_waiting());
        },
    ),
    counter(
        "postrider_deliveries_created_total",
        "Deliveries that were made with new events.",
        |shared, samples| {
            samples.one(shared.engine.counters().deliveries_created.get());
        },
    ),
    counter(
        "postrider_deliveries_succeeded_total",
        "Deliveries that were acknowledged.",
        |shared, samples| {
            samples.one(shared.engine.counters().deliveries_succeeded.get());
        },
    ),
    counter(
        "postrider_deliveries_failed_total",
        "Deliveries that failed for good, by `reason`: `exhausted`, `expired`.",
        |shared, samples| {
            for reason in [FailedReason::Exhausted, FailedReason::Expired] {
                samples.labelled(&[("reason", reason.as_str())], shared.engine.counters().deliveries_failed(reason));
            }
        },
    ),
    counter(
        "postrider_attempts_total",
        "Attempts whose outcome is stored, by `outcome` and, where they failed, by `error_type` (empty where they succeeded).",
        attempts,
    ),
    counter(
        "postrider_outcome_groups_total",
        "Commits of outcomes; each is shared by all that waited for it.",
        |shared, samples| samples.one(shared.engine.counters().outcome_groups.get()),
    ),
    counter(
        "postrider_local_faults_total",
        "Attempts that were not made for a fault on this side: no file handles, no local ports, no name server.",
        |shared, samples| samples.one(shared.engine.counters().local_faults.get()),
    ),
    gauge("postrider_attempts_in_flight", "Attempts under way.", |shared, samples| {
        samples.one(shared.engine.load().in_flight);
    }),
    gauge(
        "postrider_outcomes_unrecorded",
        "Outcomes on their way to the store.",
        |shared, samples| {
            samples.one(shared.engine.load().unrecorded);
        },
    ),
    gauge(
        "postrider_deliveries_waiting",
        "Deliveries that are due and wait in memory.",
        |shared, samples| {
            samples.one(shared.engine.load().waiting);
        },
    ),
    gauge(
        "postrider_memory_deliveries",
        "Deliveries in memory, those in flight and room kept for reads included.",
        |shared, samples| samples.one(shared.engine.load().memory_rows),
    ),
    gauge("postrider_memory_bytes", "What these take, in bytes.", |shared, samples| {
        samples.one(shared.engine.load().memory_bytes);
    }),
    gauge(
        "postrider_lanes",
        "Webhooks in memory, by `state`: `busy`, or `idle` and kept for what was learned of their receivers.",
        |shared, samples| {
            let load = shared.engine.load();
            samples.labelled(&[("state", "busy")], load.lanes.saturating_sub(load.idle_lanes));
            samples.labelled(&[("state", "idle")], load.idle_lanes);
        },
    ),
    gauge("postrider_hosts", "Hosts of receivers in memory.", |shared, samples| {
        samples.one(shared.engine.load().hosts);
    }),
    gauge(
        "postrider_circuits_open",
        "Webhooks whose receivers are ill and are only probed.",
        |shared, samples| {
            samples.one(shared.engine.load().circuits_open);
        },
    ),
    gauge(
        "postrider_refills",
        "Reads of waiting deliveries, by `state`: `under_way`, `waiting`.",
        |shared, samples| {
            let load = shared.engine.load();
            samples.labelled(&[("state", "under_way")], load.refills);
            samples.labelled(&[("state", "waiting")], load.refills_waiting);
        },
    ),
    gauge(
        "postrider_node_ill",
        "1 while this server takes itself for ill: most hosts fail at once, and failures are not counted.",
        |shared, samples| samples.one(u64::from(shared.engine.load().is_ill)),
    ),
    gauge(
        "postrider_slots_owned",
        "Slots that this node sends for, of 1,024. Nodes on one store together own all of them, but for moments.",
        |shared, samples| samples.one(shared.engine.holding().map_or(usize::from(SLOTS), |holding| holding.slots)),
    ),
    gauge(
        "postrider_slot_owners",
        "Nodes that own slots, as this one last heard.",
        |shared, samples| samples.one(shared.engine.holding().map_or(1, |holding| holding.owners)),
    ),
    gauge(
        "postrider_lease_seconds",
        "How long this node's lease still holds; without one it sends nothing. Only where nodes share a store.",
        |shared, samples| {
            if let Some(holding) = shared.engine.holding() {
                samples.seconds(holding.lease_left);
            }
        },
    ),
    gauge("postrider_jobs_running", "Jobs that run.", |shared, samples| {
        samples.one(shared.engine.counters().jobs_running.get());
    }),
    counter(
        "postrider_events_retired_total",
        "Events that were taken away at the end of retention.",
        |shared, samples| {
            samples.one(shared.engine.counters().events_retired.get());
        },
    ),
    counter(
        "postrider_deliveries_retired_total",
        "Deliveries that were taken away at the end of retention.",
        |shared, samples| samples.one(shared.engine.counters().deliveries_retired.get()),
    ),
    gauge("postrider_streams_open", "Streams of events that are open.", |shared, samples| {
        samples.one(shared.streams.count());
    }),
    gauge("postrider_connections_open", "Connections of clients.", |shared, samples| {
        samples.one(shared.connections.get());
    }),
    counter(
        "postrider_http_requests_total",
        "Requests that were answered, by `method`, `route` (empty where there is none) and class of `status`.",
        |shared, samples| {
            for route in shared.routes() {
                route.answers.put(samples, (route.method.as_str(), route.path));
            }
            shared.unmatched.put(samples, ("", ""));
        },
    ),
];

fn attempts(shared: &Shared, samples: &mut Samples<'_>) {
    let counters = shared.engine.counters();
    let succeeded = counters.attempts_succeeded.get();
    samples.labelled(&[("outcome", "succeeded"), ("error_type", "")], succeeded);
    for kind in ErrorKind::ALL {
        let labels = [("outcome", "failed"), ("error_type", kind.as_str())];
        samples.labelled(&labels, counters.attempts_failed(kind));
    }
}

/// All of them as they stand now.
pub(crate) fn render(shared: &Shared) -> String {
    let mut out = String::with_capacity(8 * 1024);
    for Metric { name, kind, what, read } in METRICS {
        let mut samples = Samples { name, out: &mut out };
        samples.text(format_args!("# HELP {name} {what}\n# TYPE {name} {}\n", kind.as_str()));
        read(shared, &mut samples);
    }
    out
}

/// The page of the reference.
pub(crate) fn page() -> String {
    let mut page = String::from(
        "# Metrics\n\nMade by `cargo run -p xtask -- docs` from `crates/api/src/metrics.rs`.\n\n`GET /metrics` answers in the text format of \
         Prometheus. Who may read it is said by `--metrics`: `open` (anybody), `operator` (an operator's key with `accounts:admin`) or `off`. \
         Counters begin at zero with each start. Nothing is labelled by account or webhook.\n\n| metric | kind | what |\n|---|---|---|\n",
    );
    for Metric { name, kind, what, .. } in METRICS {
        page.push_str(&format!("| `{name}` | {} | {what} |\n", kind.as_str()));
    }
    page
}
