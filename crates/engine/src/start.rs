//! Start and end: which tasks there are, how they are connected, and in what order they stop.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use postrider_lanes::Scheduler;
use postrider_ports::StoreError;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use crate::background::{Feed, KeyUses, Steps};
use crate::backlog::Backlog;
use crate::counters::Counters;
use crate::directory::Directory;
use crate::dispatch::{Dispatch, Load, Message};
use crate::failures::Failures;
use crate::ingest::{Collector, Ingest};
use crate::recorder::Recorder;
use crate::recover::{Jobs, Turns};
use crate::refill::{Refill, Sweep};
use crate::retention::Retention;
use crate::settings::{Parts, Settings};
use crate::streams::Waiters;
use crate::{Engine, Inner};

/// Messages that may wait for the dispatch loop; whoever sends more waits for room.
const INBOX_MESSAGES_MAX: usize = 4_096;

/// The engine's tasks, to be ended with it.
pub(crate) struct Tasks {
    handles: Mutex<Vec<AbortHandle>>,
}

impl Tasks {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.handles.lock().push(tokio::spawn(task).abort_handle());
    }

    fn abort(&self) {
        for handle in self.handles.lock().drain(..) {
            handle.abort();
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.abort();
    }
}

/// The ends of the channels that tasks read, and what the recorder shares with the loop.
struct Ends {
    backlog: Arc<Backlog>,
    requests: mpsc::Receiver<crate::ingest::Request>,
    records: mpsc::Receiver<crate::recorder::Record>,
    refills: mpsc::Receiver<postrider_ports::store::DueAsk>,
}

impl Engine {
    /// Starts the tasks on the current tokio runtime. What waits in the store goes on at once.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn start(parts: Parts, settings: Settings) -> Result<Self, StoreError> {
        // Before anything is cached: what changes from now on is heard.
        let through = parts.store.changes(None).await?.through;
        let (dispatch, inbox) = mpsc::channel(INBOX_MESSAGES_MAX);
        let (collector, requests) = mpsc::channel(settings.ingest_waiting_max);
        // Room for every outcome that the lanes let wait, and for a word on health with each.
        let (records_in, records) = mpsc::channel(settings.lanes.unrecorded_max.saturating_mul(2));
        let (refills_in, refills) = mpsc::channel(settings.lanes.refills_max);
        let (load_in, load) = watch::channel(Load::default());
        let directory = Arc::new(Directory::new(
            Arc::clone(&parts.store),
            parts.clock.as_ref(),
            &settings.operator_keys,
        ));
        let scheduler = Scheduler::new(settings.lanes.clone(), seed(&parts));
        let backlog = Arc::new(Backlog::new());
        let counters = Arc::new(Counters::default());
        let loop_task = Dispatch {
            scheduler,
            inbox,
            outbox: dispatch.clone(),
            records: records_in,
            refills: refills_in,
            directory: Arc::clone(&directory),
            parts: parts.clone(),
            load: load_in,
            recent: crate::recent::Recent::default(),
            backlog: Arc::clone(&backlog),
            counters: Arc::clone(&counters),
            commands: Vec::new(),
            stopping: None,
        };
        let engine = Self {
            inner: Arc::new(Inner {
                ingest: Ingest::new(collector, Arc::clone(&parts.clock), Arc::clone(&parts.random)),
                started_at: parts.clock.wall(),
                parts,
                settings,
                directory,
                dispatch,
                steps: Arc::new(Notify::new()),
                jobs: Arc::new(Notify::new()),
                counters,
                waiters: Arc::new(Waiters::default()),
                key_uses: Arc::new(KeyUses::new()),
                load,
                tasks: Tasks {
                    handles: Mutex::new(Vec::new()),
                },
            }),
        };
        engine.inner.tasks.spawn(loop_task.run());
        engine.spawn_pipeline(Ends {
            backlog,
            requests,
            records,
            refills,
        });
        engine.spawn_background(through);
        Ok(engine)
    }

    fn spawn_pipeline(&self, ends: Ends) {
        let inner = &self.inner;
        let (store, clock) = (&inner.parts.store, &inner.parts.clock);
        inner.tasks.spawn(
            Collector {
                requests: ends.requests,
                store: Arc::clone(store),
                dispatch: inner.dispatch.clone(),
                fanouts: Arc::clone(&inner.steps),
                waiters: Arc::clone(&inner.waiters),
                counters: Arc::clone(&inner.counters),
            }
            .run(),
        );
        inner.tasks.spawn(
            Recorder {
                records: ends.records,
                store: Arc::clone(store),
                dispatch: inner.dispatch.clone(),
                clock: Arc::clone(clock),
                backlog: ends.backlog,
                failures: Failures::default(),
                counters: Arc::clone(&inner.counters),
            }
            .run(),
        );
        inner.tasks.spawn(
            Refill {
                asks: ends.refills,
                store: Arc::clone(store),
                directory: Arc::clone(&inner.directory),
                dispatch: inner.dispatch.clone(),
                clock: Arc::clone(clock),
            }
            .run(),
        );
    }

    fn spawn_background(&self, through: u64) {
        let inner = &self.inner;
        let (store, clock, dispatch) = (&inner.parts.store, &inner.parts.clock, &inner.dispatch);
        let retention = Arc::new(Notify::new());
        inner.tasks.spawn(
            Sweep {
                store: Arc::clone(store),
                dispatch: dispatch.clone(),
                clock: Arc::clone(clock),
                interval: inner.settings.sweep_interval,
            }
            .run(),
        );
        inner.tasks.spawn(
            Steps {
                store: Arc::clone(store),
                dispatch: dispatch.clone(),
                clock: Arc::clone(clock),
                wanted: Arc::clone(&inner.steps),
                done: Arc::clone(&retention),
            }
            .run(),
        );
        inner.tasks.spawn(
            Feed {
                store: Arc::clone(store),
                directory: Arc::clone(&inner.directory),
                dispatch: dispatch.clone(),
                clock: Arc::clone(clock),
                interval: inner.settings.changes_interval,
                through,
            }
            .run(),
        );
        self.spawn_slow(retention);
        let key_uses = Arc::clone(&inner.key_uses);
        inner
            .tasks
            .spawn(key_uses.run(Arc::clone(store), Arc::clone(clock), dispatch.clone()));
    }

    /// What takes minutes, in steps.
    fn spawn_slow(&self, retention: Arc<Notify>) {
        let inner = &self.inner;
        let (store, clock, dispatch) = (&inner.parts.store, &inner.parts.clock, &inner.dispatch);
        inner.tasks.spawn(
            Jobs {
                store: Arc::clone(store),
                dispatch: dispatch.clone(),
                clock: Arc::clone(clock),
                random: Arc::clone(&inner.parts.random),
                counters: Arc::clone(&inner.counters),
                wanted: Arc::clone(&inner.jobs),
                turns: Turns::default(),
            }
            .run(),
        );
        inner.tasks.spawn(
            Retention {
                store: Arc::clone(store),
                dispatch: dispatch.clone(),
                clock: Arc::clone(clock),
                counters: Arc::clone(&inner.counters),
                kept: inner.settings.retention,
                wanted: retention,
            }
            .run(),
        );
    }

    /// Stops sending, lets attempts in flight end and their outcomes be recorded, at most for `patience`; the rest is left to the next
    /// start. True where all ended in time. Ends every task.
    pub async fn shutdown(&self, patience: Duration) -> bool {
        let (ended, end) = oneshot::channel();
        self.send(Message::Stop(ended)).await;
        let deadline = self.inner.parts.clock.mono() + patience;
        let ended = tokio::select! {
            biased;
            end = end => end.is_ok(),
            () = self.inner.parts.clock.sleep_until(deadline) => false,
        };
        self.inner.tasks.abort();
        ended
    }
}

fn seed(parts: &Parts) -> u64 {
    let mut bytes = [0u8; 8];
    parts.random.fill(&mut bytes);
    u64::from_be_bytes(bytes)
}
