//! After something has happened to a lane: which rings and timers it belongs to now, and whether it is still needed.

use postrider_model::time::Timestamp;

use super::Scheduler;
use crate::arena::Key;
use crate::class::Class;
use crate::input::Standing;
use crate::lane::{AskPlace, Lane, Place};

impl Scheduler {
    /// Looks at the lanes whose moment has come.
    pub(super) fn wake_lanes(&mut self) {
        while let Some(key) = self.timers.first_passed(self.now) {
            self.settle(key);
        }
    }

    /// Puts a lane where it belongs. Costs the same whatever the number of lanes (a look-up in the timers apart).
    pub(super) fn settle(&mut self, key: Key) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if lane.is_foreign {
            return self.settle_foreign(key);
        }
        if lane.next_due.is_some_and(|due| due <= self.now.wall) {
            lane.next_due = None;
            lane.wants_refill = true;
        }
        if lane.queues.len() == 0 {
            lane.queues.shrink();
        }
        self.settle_class(key);
        self.settle_timers(key);
        self.settle_place(key);
        self.settle_ask(key);
        self.drop_idle();
    }

    /// The class follows health; what the lane holds counts with its new one.
    pub(super) fn settle_class(&mut self, key: Key) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let class = Class::of(lane.health, lane.illnesses);
        if class != lane.class {
            self.slots.shift(lane.class, class, lane.in_flight as usize);
            self.budget.give_back(lane.class, lane.held);
            self.budget.take(class, lane.held);
            lane.class = class;
        }
        self.trim(key);
    }

    /// Gives rows back to the store that a lane may no longer hold since its circuit opened.
    fn trim(&mut self, key: Key) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        while lane.circuit.is_open() && lane.queues.ordinary() > 1 {
            let Some(queued) = lane.queues.pop_last_ordinary() else { break };
            let load = crate::budget::Load::of(&queued);
            lane.give_back(queued.position);
            lane.held.sub(load);
            self.budget.give_back(lane.class, load);
            self.waiting = self.waiting.saturating_sub(1);
        }
    }

    fn settle_timers(&mut self, key: Key) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let due = lane.next_due.filter(|_| lane.standing != Standing::Deleted);
        if due != lane.due_timer {
            self.timers.set_due(key, lane.due_timer, due);
            lane.due_timer = due;
        }
        let wake = lane.next_wake(self.now.mono);
        if wake != lane.wake_timer {
            self.timers.set_wake(key, lane.wake_timer, wake);
            lane.wake_timer = wake;
        }
    }

    fn settle_place(&mut self, key: Key) {
        let Some(lane) = self.lanes.get(key) else { return };
        let place = if lane.wants_urgent_turn() {
            Place::Urgent
        } else if lane.wants_turn(self.now.mono) {
            match lane.place {
                Place::Host => Place::Host,
                _ => lane.turn(),
            }
        } else if lane.is_idle() {
            Place::Idle
        } else {
            Place::Nowhere
        };
        let (old, host) = (lane.place, lane.host);
        self.put(key, place);
        // It had its turn, or was woken for one, and does not take it: its host's room is another's.
        if old.is_turn()
            && !place.is_turn()
            && let Some(host) = host
        {
            self.wake_host(host);
        }
    }

    /// Moves a lane from one place to another.
    pub(super) fn put(&mut self, key: Key, place: Place) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if lane.place == place {
            return;
        }
        let (old, host) = (lane.place, lane.host);
        lane.place = place;
        if let Some(ring) = self.ring(old, host) {
            let mut taken = *ring;
            self.links.remove(&mut taken, key);
            self.set_ring(old, host, taken);
        }
        if let Some(ring) = self.ring(place, host) {
            let mut taken = *ring;
            self.links.push(&mut taken, key);
            self.set_ring(place, host, taken);
        }
    }

    fn ring(&mut self, place: Place, host: Option<Key>) -> Option<&mut crate::ring::Ring> {
        match place {
            Place::Nowhere => None,
            Place::Urgent => Some(&mut self.turns.urgent),
            Place::Turn(class) => Some(self.turns.of(class)),
            Place::Second => Some(&mut self.turns.second),
            Place::Relapsed => Some(&mut self.turns.relapsed),
            Place::Host => self.hosts.get_mut(host?).map(|host| &mut host.waiting),
            Place::Idle => Some(&mut self.idle),
        }
    }

    fn set_ring(&mut self, place: Place, host: Option<Key>, ring: crate::ring::Ring) {
        if let Some(old) = self.ring(place, host) {
            *old = ring;
        }
    }

    fn settle_ask(&mut self, key: Key) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let pressure = self.budget.pressure(lane.class);
        let place = if !self.is_stopped && lane.wants_to_ask(self.config.lane_rows_max, pressure, self.now.mono) {
            lane.ask_ring()
        } else {
            AskPlace::Nowhere
        };
        let old = std::mem::replace(&mut lane.ask_place, place);
        if old != place {
            self.refills.wait(key, old, place);
        }
    }

    /// Forgets lanes that have nothing to do, the one that has been so for longest first.
    fn drop_idle(&mut self) {
        while self.idle.len() > self.config.idle_lanes_max {
            let Some(key) = self.links.pop(&mut self.idle) else { return };
            let Some(lane) = self.lanes.remove(key) else { return };
            self.forget_lane(&lane);
        }
    }

    /// A lane has left the arena.
    pub(super) fn forget_lane(&mut self, lane: &Lane) {
        let perhaps = lane.doubt.as_ref().map_or(lane.covered, |doubt| doubt.perhaps());
        self.forgotten = self.forgotten.max(lane.covered).max(perhaps);
        self.circuits_open = self.circuits_open.saturating_sub(usize::from(lane.circuit.is_open()));
        self.by_webhook.remove(&lane.webhook);
        if let Some(host) = lane.host {
            self.hosts.release(host);
        }
    }

    /// Changes a lane and keeps count of the open circuits.
    pub(super) fn with_circuit<T>(&mut self, key: Key, change: impl FnOnce(&mut Lane) -> T) -> Option<T> {
        let lane = self.lanes.get_mut(key)?;
        let was_open = lane.circuit.is_open();
        let result = change(lane);
        match (was_open, lane.circuit.is_open()) {
            (false, true) => self.circuits_open += 1,
            (true, false) => self.circuits_open = self.circuits_open.saturating_sub(1),
            (true, true) | (false, false) => {}
        }
        Some(result)
    }

    /// A delivery of this lane in the store is due then.
    pub(super) fn sleep_until(lane: &mut Lane, due: Timestamp) {
        lane.next_due = Some(lane.next_due.map_or(due, |earlier| earlier.min(due)));
    }
}
