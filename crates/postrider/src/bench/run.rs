//! One bench from its beginning to its end.

use std::sync::Arc;
use std::time::Duration;

use super::load;
use super::options::BenchOptions;
use super::receiver::Receiver;
use super::report::{CpuSample, Measurements, Report};
use super::stage::Stage;
use super::stopwatch::{Stopwatch, sleep};
use super::thread::Measured;
use super::tls::TestTls;
use super::usage::Usage;
use super::window::{Latencies, Window, read};

/// How often the run looks whether enough events were accepted, or whether all has arrived.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// How long after the load's end nothing may arrive before the run stops to wait.
const DRAIN_SILENCE_MAX: Duration = Duration::from_secs(10);
/// How long it waits at most.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(120);

/// Measures, and tells people on the way how far it is.
///
/// # Errors
/// Where the server cannot be started, set up or ended.
pub(crate) async fn run(options: &BenchOptions, tell: &dyn Fn(&str)) -> anyhow::Result<Report> {
    let window = Arc::new(Window::new(Stopwatch::start(), options.fan_out));
    let tls = options.tls.then(TestTls::make).transpose()?;
    let receiver = Receiver::start(Arc::clone(&window), tls.as_ref().map(|tls| tls.acceptor.clone()))?;
    let mut stage = match options.direct {
        true => Stage::direct(options, &receiver),
        false => Stage::with_server(options, &window, &receiver, tls.as_ref(), tell).await?,
    };
    if options.restart {
        stage.restart(tell).await?;
    }
    let run = Run { options, window, tell };
    let report = run.play(&stage, receiver).await?;
    stage.end(tell).await?;
    Ok(report)
}

/// A run whose stage is set.
struct Run<'a> {
    options: &'a BenchOptions,
    window: Arc<Window>,
    tell: &'a dyn Fn(&str),
}

impl Run<'_> {
    async fn play(&self, stage: &Stage, receiver: Receiver) -> anyhow::Result<Report> {
        let load = load::start(stage.load_options(self.options), Arc::clone(&self.window))?;
        let cpu = self.measure(stage, &load, &receiver).await;
        self.window.stop();
        let answers = load.join()?;
        self.drain().await;
        let latencies = receiver.finish()?;
        // Made while the server still runs: it reads the server's memory.
        Ok(Report::new(&Measurements {
            options: self.options,
            window: &self.window,
            cpu,
            servers: &stage.server_usages(),
            is_in_memory: stage.is_in_memory(),
            latencies: &latencies,
            answers: &answers,
        }))
    }

    /// Warms up, opens the window, waits, and closes it; the CPU time at both its ends.
    async fn measure(&self, stage: &Stage, load: &Measured<Latencies>, receiver: &Receiver) -> (CpuSample, CpuSample) {
        let sample = || CpuSample {
            servers: stage.server_usages().iter().map(|(_, usage)| usage.cpu_micros()).collect(),
            postgres: stage.postgres_usage().and_then(Usage::cpu_micros),
            load: load.usage.cpu_micros(),
            receiver: receiver.thread.usage.cpu_micros(),
        };
        self.tell(format!("warming up for {:.1} s", self.options.warm_up.as_secs_f64()));
        sleep(self.options.warm_up).await;
        self.tell(format!("measuring for {:.1} s", self.options.duration.as_secs_f64()));
        let before = sample();
        self.window.open();
        self.wait_for_the_end().await;
        self.window.close();
        (before, sample())
    }

    /// Until the time is over, or enough events were accepted.
    async fn wait_for_the_end(&self) {
        let end = self.window.watch.nanos().saturating_add(nanos(self.options.duration));
        loop {
            let left = Duration::from_nanos(end.saturating_sub(self.window.watch.nanos()));
            let enough = self.options.events.is_some_and(|events| read(&self.window.load.events) >= events);
            if left.is_zero() || enough {
                break;
            }
            // Who counts no events need not wake up in between.
            sleep(if self.options.events.is_some() {
                left.min(LOOK_INTERVAL)
            } else {
                left
            })
            .await;
        }
    }

    /// Waits until all accepted events have arrived: their latency belongs to the result.
    async fn drain(&self) {
        let window = &self.window;
        let expected = read(&window.load.healthy_ever) * u64::from(self.options.fan_out);
        let arrived = || read(&window.receiver.acknowledged_ever);
        let begin = window.watch.nanos();
        let (mut last, mut changed) = (arrived(), begin);
        if last < expected {
            self.tell(format!("{} deliveries are still to arrive", expected - last));
        }
        // What nobody was told is stored may arrive too, and some twice: enough may not be all.
        while arrived() < expected || window.tally.missing() > 0 {
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

    fn tell(&self, words: impl AsRef<str>) {
        (self.tell)(words.as_ref());
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
