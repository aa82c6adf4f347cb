//! The scheduler: all lanes in turn.

mod arrive;
mod finish;
mod own;
mod refill;
mod settle;
mod turns;

use std::collections::VecDeque;

use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::queue::Position;
use postrider_model::slot::{Slot, SlotSet};
use postrider_model::time::{Monotonic, Now};
use rustc_hash::FxHashMap;

use crate::arena::{Arena, Key};
use crate::budget::Budget;
use crate::chance::Chance;
use crate::command::Command;
use crate::config::LanesConfig;
use crate::flight::{Flights, Stage};
use crate::host::Hosts;
use crate::input::Input;
use crate::lane::Lane;
use crate::node::Node;
use crate::ring::{Links, Ring};
use crate::slots::Slots;
use crate::stats::Stats;
use crate::timers::Timers;

use self::refill::Refills;

/// Those who could send now, by what share of the slots they take part in. Together at most as many as there are lanes.
#[derive(Debug)]
struct Turns {
    urgent: Ring,
    proven: Ring,
    unproven: Ring,
    /// The unproven that have something in flight already.
    second: Ring,
    ill: Ring,
    /// The ill that were well before.
    relapsed: Ring,
    /// Counts turns, so that each ring comes first now and then.
    count: u64,
    /// Of the unproven the last to come is next, not the first.
    is_last_next: bool,
    /// Of the ill one that was well before is next.
    is_relapsed_next: bool,
}

/// Decides what is sent when. The same inputs at the same times with the same seed give the same commands.
#[derive(Debug)]
pub struct Scheduler {
    config: LanesConfig,
    chance: Chance,
    /// That of the last input.
    now: Now,
    is_stopped: bool,
    is_suspended: bool,
    /// Whose webhooks this node sends for. Work for others is ignored: it is in the store.
    owned: SlotSet,
    /// Webhooks with work in memory, asleep or paused with something waiting, and at most `LanesConfig::idle_lanes_max` others.
    lanes: Arena<Lane>,
    /// As many as `lanes`.
    by_webhook: FxHashMap<WebhookId, Key>,
    hosts: Hosts,
    flights: Flights,
    slots: Slots,
    /// Attempts of unproven lanes that were sent less than `PATIENCE` ago, oldest first, and some that have ended. At most the
    /// attempts of one `PATIENCE`.
    fresh: VecDeque<(Monotonic, DeliveryId)>,
    budget: Budget,
    node: Node,
    timers: Timers,
    /// Where lanes stand in `turns`, with their hosts, or among the idle.
    links: Links,
    turns: Turns,
    idle: Ring,
    refills: Refills,
    /// The last place that a lane had read past when it was dropped: who comes back must not take what is before it from memory.
    forgotten: Position,
    waiting: usize,
    circuits_open: usize,
}

impl Scheduler {
    /// A scheduler with nothing to do. The seed decides about jitter.
    pub fn new(config: LanesConfig, seed: u64) -> Self {
        Self {
            chance: Chance::new(seed),
            now: Now::default(),
            is_stopped: false,
            is_suspended: false,
            owned: SlotSet::ALL,
            lanes: Arena::new(),
            by_webhook: FxHashMap::default(),
            hosts: Hosts::new(config.host_in_flight_start),
            flights: Flights::default(),
            slots: Slots::new(config.in_flight_max),
            fresh: VecDeque::new(),
            budget: Budget::new(config.memory_rows_max, config.memory_bytes_max),
            node: Node::default(),
            timers: Timers::default(),
            links: Links::default(),
            turns: Turns {
                urgent: Ring::new(),
                proven: Ring::new(),
                unproven: Ring::new(),
                second: Ring::new(),
                ill: Ring::new(),
                relapsed: Ring::new(),
                count: 0,
                is_last_next: false,
                is_relapsed_next: false,
            },
            idle: Ring::new(),
            refills: Refills::default(),
            forgotten: Position::default(),
            waiting: 0,
            circuits_open: 0,
            config,
        }
    }

    /// Takes in what happened at `now`, and puts what is to be done behind what `out` holds. `now` must not go back.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Command>) {
        self.now = now;
        self.take(input, out);
        self.wake_lanes();
        self.lose_patience();
        self.serve(out);
        self.ask(out);
    }

    fn take(&mut self, input: Input, out: &mut Vec<Command>) {
        if input.brings().is_some_and(|webhook| !self.owned.contains(Slot::of(webhook))) {
            return;
        }
        match input {
            Input::Committed { queued, lane } => self.committed(queued, &lane),
            Input::CommittedElsewhere { queued, lane } => self.committed_elsewhere(queued, &lane),
            Input::Urgent { queued, lane } => self.urgent(queued, &lane),
            Input::LeftBehind { account, webhook, through } => self.left_behind(account, webhook, through),
            Input::StoredElsewhere { account, webhook, through } => self.stored_elsewhere(account, webhook, through),
            Input::Reread { account, webhook } => self.reread(account, webhook),
            Input::Waiting { account, webhook, due } => self.told_of_waiting(account, webhook, due),
            Input::Refilled {
                lane,
                rows,
                complete,
                next_due,
                through,
                perhaps,
            } => {
                let answer = refill::Answer {
                    rows,
                    complete,
                    next_due,
                    through,
                    perhaps,
                };
                self.refilled(&lane, answer, out);
            }
            Input::RefillFailed { webhook } => self.refill_failed(webhook),
            Input::Finished { delivery, finish, .. } => self.finished(delivery, finish, out),
            Input::Recorded { delivery, .. } => self.recorded(delivery),
            Input::WebhookChanged { lane } => self.webhook_changed(&lane),
            Input::Own { slots } => self.own(slots),
            Input::Disown { slots } => self.disown(slots),
            Input::Suspend => self.is_suspended = true,
            Input::Resume => self.is_suspended = false,
            Input::Tick => {}
            Input::Stop => self.is_stopped = true,
        }
    }

    /// When `Input::Tick` is to be handed in; `None` where only another input can change anything. Dues are by the wall clock: where
    /// it jumps, the answer is right again after the next input.
    pub fn next_wake(&self) -> Option<Monotonic> {
        if self.is_stopped {
            return None;
        }
        let trial = self.node.next_trial(self.now.mono).filter(|_| self.turns.waiting() > 0);
        let retry_ask = self.refills.next_try(self.now.mono);
        let patience = self.next_patience();
        [self.timers.next(self.now), trial, retry_ask, patience].into_iter().flatten().min()
    }

    /// Numbers for metrics.
    pub fn stats(&self) -> Stats {
        let memory = self.budget.used();
        Stats {
            in_flight: self.flights.in_flight(),
            unrecorded: self.flights.unrecorded(),
            lanes: self.lanes.len(),
            idle_lanes: self.idle.len(),
            hosts: self.hosts.len(),
            waiting: self.waiting,
            memory_rows: memory.rows,
            memory_bytes: memory.bytes,
            refills: self.refills.under_way(),
            refills_waiting: self.refills.waiting(),
            circuits_open: self.circuits_open,
            is_ill: self.node.is_ill(),
        }
    }

    /// Whether an attempt of this delivery is under way.
    pub fn is_in_flight(&self, delivery: DeliveryId) -> bool {
        self.flights.stage(delivery) == Some(Stage::InFlight)
    }

    /// Whether nothing is in flight and every outcome is durable: after `Input::Stop`, all is done.
    pub fn is_idle(&self) -> bool {
        self.flights.len() == 0
    }

    /// The lane of a webhook, made where there is none.
    fn lane_of(&mut self, account: AccountId, webhook: WebhookId) -> Key {
        if let Some(key) = self.by_webhook.get(&webhook) {
            return *key;
        }
        let mut lane = Lane::new(account, webhook, self.config.lane_in_flight_start);
        lane.covered = self.forgotten;
        let key = self.lanes.insert(lane);
        self.by_webhook.insert(webhook, key);
        key
    }
}
