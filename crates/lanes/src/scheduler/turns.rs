//! Turns: which lane sends next.

use postrider_model::delivery::Change;
use postrider_model::queue::Queued;
use postrider_model::time::Monotonic;

use super::{Scheduler, Turns};
use crate::arena::Key;
use crate::budget::Load;
use crate::class::Class;
use crate::command::Command;
use crate::flight::{Flight, Stage};
use crate::lane::Place;
use crate::ring::Ring;
use crate::slots::PATIENCE;

impl Turns {
    pub(super) const fn of(&mut self, class: Class) -> &mut Ring {
        match class {
            Class::Proven => &mut self.proven,
            Class::Unproven => &mut self.unproven,
            Class::Ill => &mut self.ill,
        }
    }

    pub(super) const fn waiting(&self) -> usize {
        self.urgent.len() + self.proven.len() + self.unproven.len() + self.second.len() + self.ill.len() + self.relapsed.len()
    }

    /// Of four turns one begins with the suspects, in turn, so that the proven do not starve them where slots are short.
    const fn order(&self) -> [Class; 3] {
        match self.count % 8 {
            3 => [Class::Unproven, Class::Ill, Class::Proven],
            7 => [Class::Ill, Class::Unproven, Class::Proven],
            _ => [Class::Proven, Class::Unproven, Class::Ill],
        }
    }
}

impl Scheduler {
    /// Sends while there is room and something to send: one delivery of each lane in turn.
    pub(super) fn serve(&mut self, out: &mut Vec<Command>) {
        while self.may_send() {
            let Some((key, is_urgent)) = self.next_turn() else { return };
            if is_urgent {
                self.take_urgent_turn(key, out);
            } else {
                self.take_turn(key, out);
            }
        }
    }

    fn may_send(&self) -> bool {
        // Rule 6: what is in flight may become an outcome that cannot be recorded.
        !self.is_stopped && !self.is_suspended && self.flights.len() < self.config.unrecorded_max && self.node.allows(self.now.mono)
    }

    /// The lane whose turn it is; whether for something urgent.
    fn next_turn(&mut self) -> Option<(Key, bool)> {
        if let Some(key) = self.turns.urgent.first()
            && self.slots.has_room_for_urgent()
        {
            return Some((key, true));
        }
        let order = self.turns.order();
        let key = order.into_iter().find_map(|class| self.first_of(class))?;
        self.turns.count = self.turns.count.wrapping_add(1);
        Some((key, false))
    }

    /// The lane of a class whose turn it is, where there is a slot for it.
    fn first_of(&mut self, class: Class) -> Option<Key> {
        if !self.slots.has_room(class) {
            return None;
        }
        match class {
            Class::Proven => self.turns.proven.first(),
            Class::Unproven => self.first_newcomer(),
            Class::Ill => self.first_ill(),
        }
    }

    /// Those that were well and the others come first in turn: a webhook that falls ill does not wait behind ten thousand that never were well.
    fn first_ill(&mut self) -> Option<Key> {
        let turns = &mut self.turns;
        turns.is_relapsed_next = !turns.is_relapsed_next;
        let [one, other] = if turns.is_relapsed_next {
            [turns.relapsed, turns.ill]
        } else {
            [turns.ill, turns.relapsed]
        };
        one.first().or_else(|| other.first())
    }

    fn first_newcomer(&mut self) -> Option<Key> {
        // The last to come and the first in turn: who comes behind ten thousand that hang does not wait for them all, and those
        // that came first do not wait for all who come later.
        self.turns.is_last_next = !self.turns.is_last_next;
        let newcomer = if self.turns.is_last_next {
            self.turns.unproven.last()
        } else {
            self.turns.unproven.first()
        };
        newcomer.or_else(|| self.turns.second.first().filter(|_| self.slots.has_room_for_second()))
    }

    /// Attempts that have taken too long no longer count as fresh: others of which nothing is known get their try.
    pub(super) fn lose_patience(&mut self) {
        while let Some((until, delivery)) = self.fresh.front().copied()
            && until <= self.now.mono
        {
            self.fresh.pop_front();
            if let Some(flight) = self.flights.get_mut(delivery)
                && flight.stage == Stage::InFlight
                && flight.fresh_until == Some(until)
            {
                flight.fresh_until = None;
                self.slots.end_fresh();
            }
        }
    }

    /// When the next of the fresh has taken too long, where somebody waits for that.
    pub(super) fn next_patience(&self) -> Option<Monotonic> {
        let (until, _) = self.fresh.front()?;
        (!self.turns.unproven.is_empty()).then_some(*until)
    }

    fn take_urgent_turn(&mut self, key: Key, out: &mut Vec<Command>) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let queued = lane.queues.pop_urgent();
        self.put(key, Place::Nowhere);
        if let Some(queued) = queued {
            self.waiting = self.waiting.saturating_sub(1);
            self.send_or_expire(key, queued, true, out);
        }
        self.settle(key);
    }

    fn take_turn(&mut self, key: Key, out: &mut Vec<Command>) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let host = lane.host;
        let has_room = host.and_then(|host| self.hosts.get(host)).is_some_and(crate::host::Host::has_room);
        if !has_room {
            self.put(key, Place::Host);
            return;
        }
        let queued = lane.queues.pop_ordinary();
        self.put(key, Place::Nowhere);
        if let Some(queued) = queued {
            self.waiting = self.waiting.saturating_sub(1);
            self.send_or_expire(key, queued, false, out);
        }
        self.settle(key);
        // What had expired took no room: who waits for it must not wait for an attempt that was never made.
        if let Some(host) = host {
            self.wake_host(host);
        }
    }

    fn send_or_expire(&mut self, key: Key, queued: Queued, is_urgent: bool, out: &mut Vec<Command>) {
        if self.config.schedule.is_expired(queued.progress, self.now.wall) {
            self.release(key, Load::of(&queued));
            self.expire(key, &queued, out);
        } else {
            self.send(key, queued, is_urgent, out);
        }
    }

    fn send(&mut self, key: Key, queued: Queued, is_urgent: bool, out: &mut Vec<Command>) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let Some(host_key) = lane.host else { return };
        let is_probe = !is_urgent && lane.circuit.begin();
        let fresh_until = (!is_urgent && lane.class == Class::Unproven).then(|| self.now.mono + PATIENCE);
        if is_urgent {
            lane.urgent_in_flight += 1;
            self.slots.take_urgent();
        } else {
            lane.in_flight += 1;
            self.slots.take(lane.class);
        }
        if let Some(until) = fresh_until {
            self.slots.take_fresh();
            self.fresh.push_back((until, queued.delivery));
        }
        self.hosts.retain(host_key);
        if let Some(host) = self.hosts.get_mut(host_key) {
            host.in_flight += 1;
        }
        let flight = Flight {
            lane: key,
            host: host_key,
            stage: Stage::InFlight,
            progress: queued.progress,
            load: Load::of(&queued),
            is_test: queued.is_test(),
            is_urgent,
            fresh_until,
            is_probe,
            is_trial: self.node.begin(self.now.mono),
            is_wanted_again: false,
        };
        self.flights.insert(queued.delivery, flight);
        out.push(Command::Send { queued });
    }

    /// Rule 8: its turn comes too late. It ends without an attempt.
    pub(super) fn expire(&mut self, key: Key, queued: &Queued, out: &mut Vec<Command>) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let Some(host) = lane.host else { return };
        lane.unrecorded += 1;
        self.hosts.retain(host);
        let flight = Flight {
            lane: key,
            host,
            stage: Stage::Unrecorded { next: None },
            progress: queued.progress,
            load: Load::default(),
            is_test: queued.is_test(),
            is_urgent: false,
            fresh_until: None,
            is_probe: false,
            is_trial: false,
            is_wanted_again: false,
        };
        self.flights.insert(queued.delivery, flight);
        out.push(Command::Record {
            account: queued.account,
            webhook: queued.webhook,
            delivery: queued.delivery,
            change: Change::Expired,
        });
    }

    /// A row is no longer in memory.
    pub(super) fn release(&mut self, key: Key, load: Load) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.held.sub(load);
            self.budget.give_back(lane.class, load);
        }
    }
}
