//! Start and end: which tasks there are, how they are connected, and in what order they stop.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use postrider_lanes::{Input, Scheduler};
use postrider_model::slot::SlotSet;
use postrider_model::time::Monotonic;
use postrider_ports::{Nodes, StoreError};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use crate::background::{KeyUses, Steps};
use crate::backlog::Backlog;
use crate::counters::Counters;
use crate::directory::Directory;
use crate::dispatch::{Dispatch, Load, Message};
use crate::failures::Failures;
use crate::feed::Feed;
use crate::ingest::{Collector, Ingest};
use crate::others::{Others, Router, Woken};
use crate::recorder::{KeptBack, Recorder};
use crate::recover::{Jobs, Turns};
use crate::refill::{Refill, Sweep};
use crate::retention::Retention;
use crate::settings::{NodeSettings, Parts, Settings};
use crate::slots::keeper::{Beats, Bell, Reports};
use crate::slots::lease::Lease;
use crate::slots::membership::{Membership, Terms};
use crate::slots::mover::{Leaving, Mover, new_token};
use crate::streams::Waiters;
use crate::waker::Wakes;
use crate::{Engine, Inner};

/// Messages that may wait for the dispatch loop; whoever sends more waits for room.
const INBOX_MESSAGES_MAX: usize = 4_096;
/// Messages that may wait for the mover: a shutdown sends two.
const LEAVING_MESSAGES_MAX: usize = 4;
/// How long a node that stops waits for the store to take its slots back; else others take them over from it as from a dead one.
const LEAVING_TIME_MAX: Duration = Duration::from_secs(2);

/// The engine's tasks, to be ended with it.
#[derive(Default)]
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
        let tasks = Tasks::default();
        let (steps, jobs) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (load_in, load) = watch::channel(Load::default());
        let beats = Joined::beats(&parts, &settings.node, load.clone(), (&steps, &jobs));
        let joined = Joined::join(beats, &tasks).await?;
        let others = joined.as_ref().map(|joined| Arc::clone(&joined.others));
        // Before anything is cached: what changes from now on is heard.
        let through = parts.store.changes(None).await?.through;
        let (dispatch, inbox) = mpsc::channel(INBOX_MESSAGES_MAX);
        let (collector, requests) = mpsc::channel(settings.ingest_waiting_max);
        // Room for every outcome that the lanes let wait, and for a word on health with each.
        let (records_in, records) = mpsc::channel(settings.lanes.unrecorded_max.saturating_mul(2));
        let (refills_in, refills) = mpsc::channel(settings.lanes.refills_max);
        let (leaving, leave) = mpsc::channel(LEAVING_MESSAGES_MAX);
        let directory = Arc::new(Directory::new(
            Arc::clone(&parts.store),
            parts.clock.as_ref(),
            &settings.operator_keys,
        ));
        let scheduler = scheduler(&parts, &settings);
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
            others: others.clone(),
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
                steps,
                jobs,
                counters,
                waiters: Arc::new(Waiters::default()),
                key_uses: Arc::new(KeyUses::new()),
                load,
                others,
                leaving,
                tasks,
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
        if let Some(joined) = joined {
            engine.spawn_member(joined, leave);
        }
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
                clock: Arc::clone(clock),
                interval: inner.settings.commit_interval,
                waiters: Arc::clone(&inner.waiters),
                counters: Arc::clone(&inner.counters),
                others: inner.others.clone(),
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
                interval: inner.settings.record_interval,
                kept_back: KeptBack::default(),
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
        let feed = Feed::new(
            Arc::clone(store),
            Arc::clone(&inner.directory),
            (dispatch.clone(), Arc::clone(clock)),
            (through, inner.settings.changes_interval),
            inner.others.clone(),
        );
        inner.tasks.spawn(feed.run());
        let key_uses = Arc::clone(&inner.key_uses);
        inner
            .tasks
            .spawn(key_uses.run(Arc::clone(store), Arc::clone(clock), dispatch.clone()));
        if !self.is_dispatching() {
            return;
        }
        let retention = Arc::new(Notify::new());
        inner.tasks.spawn(
            Sweep {
                store: Arc::clone(store),
                dispatch: dispatch.clone(),
                clock: Arc::clone(clock),
                interval: inner.settings.sweep_interval,
                others: inner.others.clone(),
            }
            .run(),
        );
        inner.tasks.spawn(
            Steps {
                store: Arc::clone(store),
                router: self.router(),
                clock: Arc::clone(clock),
                wanted: Arc::clone(&inner.steps),
                done: Arc::clone(&retention),
            }
            .run(),
        );
        self.spawn_slow(retention);
    }

    fn router(&self) -> Router {
        Router {
            dispatch: self.inner.dispatch.clone(),
            others: self.inner.others.clone(),
        }
    }

    /// What takes minutes, in steps.
    fn spawn_slow(&self, retention: Arc<Notify>) {
        let inner = &self.inner;
        let (store, clock, dispatch) = (&inner.parts.store, &inner.parts.clock, &inner.dispatch);
        inner.tasks.spawn(
            Jobs {
                store: Arc::clone(store),
                router: self.router(),
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

    /// What a node among others does besides.
    fn spawn_member(&self, joined: Joined, leave: mpsc::Receiver<Leaving>) {
        let inner = &self.inner;
        let (clock, dispatch) = (&inner.parts.clock, &inner.dispatch);
        let (nodes, others) = (joined.nodes, joined.others);
        inner.tasks.spawn(
            Lease {
                others: Arc::clone(&others),
                clock: Arc::clone(clock),
                dispatch: dispatch.clone(),
            }
            .run(),
        );
        inner.tasks.spawn(
            Wakes {
                nodes: Arc::clone(&nodes),
                others: Arc::clone(&others),
                clock: Arc::clone(clock),
                dispatch: dispatch.clone(),
            }
            .run(),
        );
        inner.tasks.spawn(
            Woken {
                nodes: Arc::clone(&nodes),
                others: Arc::clone(&others),
                directory: Arc::clone(&inner.directory),
                clock: Arc::clone(clock),
                dispatch: dispatch.clone(),
            }
            .run(),
        );
        inner.tasks.spawn(
            Mover {
                membership: Membership::new(joined.terms, others.owners.token(), others.dispatches),
                nodes,
                others,
                reports: joined.reports,
                bell: joined.bell,
                leaving: leave,
                dispatch: dispatch.clone(),
                directory: Arc::clone(&inner.directory),
                clock: Arc::clone(clock),
                random: Arc::clone(&inner.parts.random),
                terms: joined.terms,
                write_time_max: inner.settings.node.write_time_max,
                hand_over_until: Monotonic::default(),
            }
            .run(),
        );
    }

    /// Stops sending, lets attempts in flight end and their outcomes be recorded, at most for `patience`; the rest is left to the next
    /// start, or to the other nodes, to which slots are handed over as they become idle. True where all ended in time. Ends every task.
    pub async fn shutdown(&self, patience: Duration) -> bool {
        let (ended, end) = oneshot::channel();
        self.send(Message::Stop(ended)).await;
        self.leave(Leaving::Begin).await;
        let clock = &self.inner.parts.clock;
        let deadline = clock.mono() + patience;
        let ended = tokio::select! {
            biased;
            end = end => end.is_ok(),
            () = clock.sleep_until(deadline) => false,
        };
        let (gone, has_gone) = oneshot::channel();
        if self.leave(Leaving::End(gone)).await {
            tokio::select! {
                biased;
                // However it ended: a row that stays is that of a dead node.
                _ = has_gone => {}
                () = clock.sleep_until(clock.mono() + LEAVING_TIME_MAX) => {}
            }
        }
        self.inner.tasks.abort();
        ended
    }

    /// Tells the mover. False where this node is alone.
    async fn leave(&self, leaving: Leaving) -> bool {
        self.inner.others.is_some() && self.inner.leaving.send(leaving).await.is_ok()
    }
}

/// The beginnings of a node among others: it has a lease.
struct Joined {
    nodes: Arc<dyn Nodes>,
    others: Arc<Others>,
    reports: Reports,
    bell: Arc<Bell>,
    terms: Terms,
}

impl Joined {
    /// `None` where there are no others.
    fn beats(
        parts: &Parts,
        node: &NodeSettings,
        load: watch::Receiver<Load>,
        (steps, jobs): (&Arc<Notify>, &Arc<Notify>),
    ) -> Option<Beats> {
        let nodes = Arc::clone(parts.nodes.as_ref()?);
        let token = new_token(parts.random.as_ref());
        Some(Beats {
            nodes,
            clock: Arc::clone(&parts.clock),
            others: Arc::new(Others::new(token, node.roles.dispatch, Arc::clone(steps), Arc::clone(jobs))),
            load,
            started_at: parts.clock.wall(),
            settings: node.clone(),
            terms: Terms { lease: node.lease },
            bell: Arc::default(),
        })
    }

    /// Begins to beat, and waits for the first: from then on the clock is the store's.
    async fn join(beats: Option<Beats>, tasks: &Tasks) -> Result<Option<Self>, StoreError> {
        let Some(beats) = beats else { return Ok(None) };
        let (nodes, others) = (Arc::clone(&beats.nodes), Arc::clone(&beats.others));
        let (bell, terms) = (Arc::clone(&beats.bell), beats.terms);
        let mut reports = beats.start(|task| tasks.spawn(task))?;
        let first = reports.wait_for(Option::is_some).await;
        if let Ok(Some(Err(error))) = first.as_deref() {
            return Err(error.clone());
        }
        drop(first);
        Ok(Some(Self {
            nodes,
            others,
            reports,
            bell,
            terms,
        }))
    }
}

fn scheduler(parts: &Parts, settings: &Settings) -> Scheduler {
    let mut scheduler = Scheduler::new(settings.lanes.clone(), seed(parts));
    if parts.nodes.is_some() {
        // It owns nothing before it has taken it.
        let slots = SlotSet::ALL;
        scheduler.handle(parts.clock.now(), Input::Disown { slots }, &mut Vec::new());
    }
    scheduler
}

fn seed(parts: &Parts) -> u64 {
    let mut bytes = [0u8; 8];
    parts.random.fill(&mut bytes);
    u64::from_be_bytes(bytes)
}
