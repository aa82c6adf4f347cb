//! A world of one seed: a store that stays, and an engine that lives, dies and lives again on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use postrider_engine::{Engine, Load, Parts, Settings};
use postrider_lanes::LanesConfig;
use postrider_ports::Store as _;
use postrider_testkit::clock::SimClock;
use postrider_testkit::memory_store::MemoryStore;
use postrider_testkit::random::SeededRandom;
use tokio::runtime::Runtime;

use crate::book::Book;
use crate::receivers::Receivers;

/// Turns that other tasks get after each step of the script.
const TURNS: usize = 24;
/// How long a graceful shutdown may take: longer than any attempt.
const PATIENCE: Duration = Duration::from_secs(30);

/// One engine on a runtime of its own: what it has in memory goes with it.
struct Life {
    engine: Engine,
    runtime: Runtime,
}

/// What every call needs; it outlives every life.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: SimClock,
    pub(crate) receivers: Arc<Receivers>,
    pub(crate) book: Arc<Book>,
    /// Ids, secrets and jitter.
    pub(crate) random: Arc<SeededRandom>,
}

pub(crate) struct World {
    pub(crate) shared: Shared,
    /// What the script does.
    pub(crate) chance: SeededRandom,
    settings: Settings,
    life: Option<Life>,
    pub(crate) is_told: bool,
}

impl World {
    pub(crate) fn new(seed: u64, is_told: bool) -> Self {
        let chance = SeededRandom::new(seed);
        let store = Arc::new(MemoryStore::new());
        let clock = SimClock::new();
        let receivers = Arc::new(Receivers::new(Arc::clone(&store), clock.clone(), chance.next_u64()));
        let random = Arc::new(SeededRandom::new(chance.next_u64()));
        let settings = settings(&chance);
        let mut world = Self {
            shared: Shared {
                store,
                clock,
                receivers,
                book: Arc::default(),
                random,
            },
            chance,
            settings,
            life: None,
            is_told,
        };
        world.tell(&format!("{:?}", world.settings.lanes));
        world.start();
        world
    }

    /// What happens, where somebody wants to read it.
    pub(crate) fn tell(&self, what: &str) {
        if self.is_told {
            eprintln!("{} {what}", postrider_ports::Clock::wall(&self.shared.clock));
        }
    }

    /// A new engine on the same store.
    fn start(&mut self) {
        // A runtime without a time driver: what waited for real time would panic.
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        // The script may have left a fault, and somebody starts the server until it comes up.
        self.shared.store.heal();
        self.shared.receivers.life_begins();
        let parts = Parts {
            store: self.shared.store.clone(),
            sender: self.shared.receivers.clone(),
            clock: Arc::new(self.shared.clock.clone()),
            random: self.shared.random.clone(),
            nodes: None,
        };
        let engine = runtime
            .block_on(Engine::start(parts, self.settings.clone()))
            .expect("the store answers");
        self.life = Some(Life { engine, runtime });
    }

    /// Everything in memory is gone, at once.
    pub(crate) fn crash(&mut self) {
        self.tell("crash");
        self.life = None;
        self.start();
    }

    /// A graceful end, and a new start.
    pub(crate) fn restart(&mut self) {
        const RUNNING: u8 = 0;
        const DONE: u8 = 1;
        const GAVE_UP: u8 = 2;
        let state = Arc::new(AtomicU8::new(RUNNING));
        let answer = Arc::clone(&state);
        self.call(move |engine, _| async move {
            let is_done = engine.shutdown(PATIENCE).await;
            answer.store(if is_done { DONE } else { GAVE_UP }, Ordering::Release);
        });
        for _ in 0..1_000 {
            self.settle(TURNS);
            if state.load(Ordering::Acquire) != RUNNING {
                break;
            }
            self.shared.clock.advance_to_next();
        }
        let (state, in_flight) = (state.load(Ordering::Acquire), self.shared.receivers.in_flight());
        self.tell(&format!("restart: {state}, {in_flight} in flight"));
        if state == RUNNING {
            self.shared.receivers.violation("a shutdown never ended".to_owned());
        }
        if state == DONE && in_flight > 0 {
            self.shared
                .receivers
                .violation(format!("shut down with {in_flight} attempts under way"));
        }
        self.life = None;
        self.start();
    }

    /// Somebody calls the engine; the call runs beside what else happens, and dies with the engine.
    pub(crate) fn call<F>(&self, call: impl FnOnce(Engine, Shared) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(life) = &self.life {
            // Nobody waits for it: what it learns goes into the book.
            drop(life.runtime.spawn(call(life.engine.clone(), self.shared.clone())));
        }
    }

    /// Lets all tasks take so many turns.
    pub(crate) fn settle(&self, turns: usize) {
        if let Some(life) = &self.life {
            life.runtime.block_on(async {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            });
            let load = life.engine.load();
            let held = load.in_flight + load.unrecorded;
            if held > self.settings.lanes.unrecorded_max {
                self.shared.receivers.violation(format!("{held} attempts without a record"));
            }
        }
    }

    /// Whether nothing is under way.
    pub(crate) fn is_at_rest(&self) -> bool {
        let load = self.load();
        load.in_flight + load.unrecorded == 0
    }

    /// Whether a job still runs.
    pub(crate) fn has_jobs(&self) -> bool {
        let jobs = self
            .life
            .as_ref()
            .map(|life| life.runtime.block_on(self.shared.store.running_jobs(None, 1)));
        jobs.is_none_or(|jobs| jobs != Ok(Vec::new()))
    }

    /// What is under way, as the engine says.
    pub(crate) fn load(&self) -> Load {
        self.life.as_ref().map(|life| life.engine.load()).unwrap_or_default()
    }

    pub(crate) fn attempts_max(&self) -> u32 {
        self.settings.lanes.schedule.attempts()
    }

    pub(crate) const fn lanes(&self) -> &LanesConfig {
        &self.settings.lanes
    }
}

fn settings(chance: &SeededRandom) -> Settings {
    let mut lanes = LanesConfig {
        schedule: "1s,5s,30s,2m,10m".parse().expect("a schedule"),
        ..LanesConfig::default()
    };
    let upto = |end| usize::try_from(chance.below(end)).unwrap_or(0);
    // Every third world is so small that nothing fits.
    if chance.percent(35) {
        lanes.in_flight_max = 1 + upto(20);
        lanes.lane_rows_max = 1 + upto(6);
        lanes.memory_rows_max = 10 + upto(30);
        lanes.memory_bytes_max = 64 * 1024;
        lanes.refills_max = 1 + upto(3);
        lanes.unrecorded_max = 2 + upto(20);
        lanes.idle_lanes_max = upto(4);
    }
    let seconds = |choices: [u64; 3]| Duration::from_secs(choices[upto(3)]);
    Settings {
        lanes,
        sweep_interval: seconds([10, 60, 300]),
        changes_interval: seconds([1, 30, 600]),
        // Longer than any world lasts: what is taken away by its age is told as stories.
        retention: Duration::from_secs(3_650 * 24 * 3_600),
        ingest_waiting_max: if chance.percent(10) { 2 } else { 64 },
        ..Settings::default()
    }
}
