//! What the threads of a bench share: when the measured window is, and what was counted.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use hdrhistogram::Histogram;

use super::stopwatch::Stopwatch;
use super::tally::Tally;

/// Longest latency that is told apart, in microseconds: ten minutes.
const LATENCY_MICROS_MAX: u64 = 600_000_000;

/// Shared by the load, the receiver and the one who watches both. The load and the receiver write the counters that bear their
/// names, the watcher opens and closes the window and reads all.
#[derive(Debug)]
pub(crate) struct Window {
    /// The clock of all three.
    pub(crate) watch: Stopwatch,
    /// When the window opened, in nanoseconds of `watch`; the end of time before that.
    opened: AtomicU64,
    /// When it closed.
    closed: AtomicU64,
    /// Whether the load is to end.
    stop: AtomicBool,
    /// Written by the load.
    pub(crate) load: LoadCounts,
    /// Written by the receiver.
    pub(crate) receiver: ReceiverCounts,
    /// Which deliveries were to come, and which came.
    pub(crate) tally: Tally,
    /// The first answer that was not a success, or the first connection that broke. Written once by the load.
    first_trouble: Mutex<Option<String>>,
}

/// What the load counts.
#[derive(Debug, Default)]
pub(crate) struct LoadCounts {
    /// Requests that were answered, in the window.
    pub(crate) requests: AtomicU64,
    /// Events that were accepted, in the window.
    pub(crate) events: AtomicU64,
    /// Events for healthy webhooks that were accepted, ever.
    pub(crate) healthy_ever: AtomicU64,
    /// Requests that were not accepted, and connections that broke, ever.
    pub(crate) refused: AtomicU64,
}

/// What the receiver counts.
#[derive(Debug, Default)]
pub(crate) struct ReceiverCounts {
    /// Deliveries that were acknowledged, in the window.
    pub(crate) acknowledged: AtomicU64,
    /// Deliveries that were acknowledged, ever.
    pub(crate) acknowledged_ever: AtomicU64,
    /// Attempts that were answered with a failure, in the window.
    pub(crate) failed: AtomicU64,
    /// Attempts that are left hanging, ever.
    pub(crate) hanging_ever: AtomicU64,
}

impl Window {
    /// One that is not open yet, for events that go to so many webhooks each.
    pub(crate) fn new(watch: Stopwatch, fan_out: u16) -> Self {
        Self {
            watch,
            opened: AtomicU64::new(u64::MAX),
            closed: AtomicU64::new(u64::MAX),
            stop: AtomicBool::new(false),
            load: LoadCounts::default(),
            receiver: ReceiverCounts::default(),
            tally: Tally::new(fan_out),
            first_trouble: Mutex::new(None),
        }
    }

    /// Measuring begins now.
    pub(crate) fn open(&self) {
        self.opened.store(self.watch.nanos(), Relaxed);
    }

    /// Measuring ends now.
    pub(crate) fn close(&self) {
        self.closed.store(self.watch.nanos(), Relaxed);
    }

    /// Whether a moment lies in it.
    pub(crate) fn contains(&self, nanos: u64) -> bool {
        self.opened.load(Relaxed) <= nanos && nanos < self.closed.load(Relaxed)
    }

    /// Its length in seconds; zero while it is not closed.
    pub(crate) fn seconds(&self) -> f64 {
        let (opened, closed) = (self.opened.load(Relaxed), self.closed.load(Relaxed));
        if closed == u64::MAX {
            return 0.0;
        }
        std::time::Duration::from_nanos(closed.saturating_sub(opened)).as_secs_f64()
    }

    /// Tells the load to end.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Whether the load is to end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Counts a request that was not accepted; the first is kept to be shown.
    pub(crate) fn trouble(&self, what: impl FnOnce() -> String) {
        if add(&self.load.refused, 1) == 0
            && let Ok(mut first) = self.first_trouble.lock()
        {
            *first = Some(what());
        }
    }

    /// The first request that was not accepted.
    pub(crate) fn first_trouble(&self) -> Option<String> {
        self.first_trouble.lock().ok()?.clone()
    }
}

/// Counts up; what stood there before.
pub(crate) fn add(counter: &AtomicU64, count: u64) -> u64 {
    counter.fetch_add(count, Relaxed)
}

/// What a counter stands at.
pub(crate) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Relaxed)
}

/// Latencies in microseconds, each in a bucket of at most a thousandth of it.
#[derive(Debug)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    ///
    /// # Errors
    /// Never in fact: the bounds are constants that the histogram takes.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, LATENCY_MICROS_MAX, 3)?))
    }

    /// Counts one.
    pub(crate) fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos / 1_000);
    }

    /// The latency that this share of all stayed within, in milliseconds.
    pub(crate) fn quantile_millis(&self, quantile: f64) -> f64 {
        millis(self.0.value_at_quantile(quantile))
    }

    /// The longest, in milliseconds.
    pub(crate) fn max_millis(&self) -> f64 {
        millis(self.0.max())
    }
}

fn millis(micros: u64) -> f64 {
    std::time::Duration::from_micros(micros).as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_what_lies_between_its_ends() {
        let window = Window::new(Stopwatch::start(), 1);
        assert!(!window.contains(window.watch.nanos()), "not open yet");
        window.open();
        let inside = window.watch.nanos();
        assert!(window.contains(inside));
        assert!(window.seconds().abs() < f64::EPSILON, "not closed yet");
        window.close();
        assert!(window.contains(inside));
        assert!(!window.contains(u64::MAX));
        assert!(window.seconds() > 0.0);
    }

    #[test]
    fn the_first_trouble_is_kept_and_all_are_counted() {
        let window = Window::new(Stopwatch::start(), 1);
        window.trouble(|| "503".to_owned());
        window.trouble(|| "another".to_owned());
        assert_eq!(window.first_trouble().as_deref(), Some("503"));
        assert_eq!(read(&window.load.refused), 2);
    }

    #[test]
    fn latencies_are_told_in_milliseconds() {
        let mut latencies = Latencies::new().unwrap();
        (1..=100).for_each(|count| latencies.record(count * 1_000_000));
        assert!((latencies.quantile_millis(0.5) - 50.0).abs() < 0.1);
        assert!((latencies.max_millis() - 100.0).abs() < 0.2);
    }
}
