//! Work arrives, or a webhook changes.

use std::time::Duration;

use postrider_model::health::Health;
use postrider_model::id::{AccountId, WebhookId};
use postrider_model::queue::{Position, Queued};
use postrider_model::time::{Monotonic, Timestamp};

use super::Scheduler;
use crate::arena::Key;
use crate::budget::Load;
use crate::class::Class;
use crate::flight::Stage;
use crate::host::Host;
use crate::input::{LaneWebhook, Standing};
use crate::lane::{Came, Place};

/// A delivery that has been due for so long although its lane is at work may have been lost on the way to memory (a commit whose
/// answer was lost): the lane asks the store, no oftener than this.
const RECHECK_INTERVAL: Duration = Duration::from_secs(60);

/// Rows that go back to the store for the first row of a newcomer.
const EVICTED_MAX: usize = 64;

impl Scheduler {
    pub(super) fn committed(&mut self, queued: Queued, webhook: &LaneWebhook) {
        let key = self.lane_of(webhook.account, webhook.webhook);
        self.acquaint(key, webhook);
        let load = Load::of(&queued);
        let Some(lane) = self.lanes.get(key) else { return };
        let rows_max = lane.rows_max(self.config.lane_rows_max, self.budget.pressure(lane.class));
        let came = lane.may_have_come(queued.delivery, queued.position);
        // Who waits for room to be read from the store must not wait for ever because what comes from memory keeps the lane half full.
        let is_awaited = lane.wants_refill && lane.queues.ordinary() * 2 > rows_max;
        let is_taken = lane.standing == Standing::Active && !lane.is_behind() && !is_awaited && came == Came::No;
        let fits = is_taken && lane.queues.ordinary() < rows_max && self.has_room_for(key, load);
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if lane.standing == Standing::Deleted {
            // Its rows end in the store.
        } else if came != Came::No {
            // A refill has seen it, or may have: then it is looked for again.
            lane.wants_refill |= came == Came::Perhaps;
        } else if !fits {
            lane.leave_behind(queued.position);
        } else {
            self.admit(key, queued);
        }
        self.settle(key);
    }

    /// What an earlier owner of the slot may have sent, or may not, only the store knows.
    pub(super) fn committed_elsewhere(&mut self, queued: Queued, webhook: &LaneWebhook) {
        let key = self.lane_of(webhook.account, webhook.webhook);
        if self.lanes.get(key).is_some_and(|lane| lane.is_ours_alone(queued.position)) {
            self.committed(queued, webhook);
        } else {
            self.stored_elsewhere(webhook.account, webhook.webhook, queued.position);
        }
    }

    pub(super) fn urgent(&mut self, mut queued: Queued, webhook: &LaneWebhook) {
        queued.is_urgent = true;
        let key = self.lane_of(webhook.account, webhook.webhook);
        self.acquaint(key, webhook);
        match self.flights.get_mut(queued.delivery) {
            // In progress: nothing is added.
            Some(flight) if flight.stage == Stage::InFlight => {}
            // Its outcome may hide the wish, or may not: the store knows when it is recorded.
            Some(flight) => flight.is_wanted_again = true,
            None => self.admit_urgent(key, queued),
        }
        self.settle(key);
    }

    fn admit_urgent(&mut self, key: Key, queued: Queued) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if let Some(waiting) = lane.queues.take(queued.delivery) {
            self.waiting = self.waiting.saturating_sub(1);
            self.release(key, Load::of(&waiting));
        }
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let is_sent = match lane.standing {
            Standing::Active => true,
            Standing::Paused => queued.is_test(),
            Standing::Deleted => false,
        };
        let fits = lane.queues.urgent() < self.config.lane_rows_max && self.budget.has_room(Class::Proven, Load::of(&queued));
        if is_sent && fits {
            self.admit(key, queued);
        } else {
            lane.wants_refill = true;
        }
    }

    pub(super) fn left_behind(&mut self, account: AccountId, webhook: WebhookId, through: Position) {
        let key = self.lane_of(account, webhook);
        if let Some(lane) = self.lanes.get_mut(key)
            && !(lane.is_covered_by_own && through <= lane.covered)
        {
            lane.leave_behind(through);
        }
        self.settle(key);
    }

    /// Unlike what was left behind for want of room it is no reason to take nothing from memory: that would send all of a webhook's work
    /// through the store as soon as two nodes take its events in.
    pub(super) fn stored_elsewhere(&mut self, account: AccountId, webhook: WebhookId, through: Position) {
        let key = self.lane_of(account, webhook);
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.wants_refill |= !(lane.is_covered_by_own && through <= lane.covered);
        }
        self.settle(key);
    }

    pub(super) fn reread(&mut self, account: AccountId, webhook: WebhookId) {
        let key = self.lane_of(account, webhook);
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.wants_refill = true;
        }
        self.settle(key);
    }

    pub(super) fn told_of_waiting(&mut self, account: AccountId, webhook: WebhookId, due: Timestamp) {
        let key = self.lane_of(account, webhook);
        let now = self.now.wall;
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if lane.standing == Standing::Paused {
            // Remembered, so that it is not read again at each sweep.
            lane.leave_behind(Position::default());
        } else if lane.standing == Standing::Active {
            let may_be_lost = now.since(due) >= RECHECK_INTERVAL && now.since(lane.asked_at) >= RECHECK_INTERVAL;
            if due > now {
                Self::sleep_until(lane, due);
            } else if lane.is_at_rest() || may_be_lost {
                lane.wants_refill = true;
            }
        }
        self.settle(key);
    }

    pub(super) fn webhook_changed(&mut self, webhook: &LaneWebhook) {
        let is_known = self.by_webhook.contains_key(&webhook.webhook);
        if !is_known && webhook.standing != Standing::Active {
            return;
        }
        let key = self.lane_of(webhook.account, webhook.webhook);
        self.acquaint(key, webhook);
        self.move_host(key, webhook);
        self.stand(key, webhook.standing);
        if let Some(lane) = self.lanes.get_mut(key) {
            // Nothing may be waiting: one look tells.
            lane.wants_refill |= !is_known;
            if let Some(asked) = &mut lane.asked {
                asked.is_outdated = true;
            }
        }
        self.settle(key);
    }

    /// A lane of which only the sweep had told learns what its webhook is.
    pub(super) fn acquaint(&mut self, key: Key, webhook: &LaneWebhook) {
        let start = self.config.lane_in_flight_start;
        let now = self.now;
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if lane.host.is_some() {
            return;
        }
        let host_key = self.hosts.acquire(webhook.host);
        lane.host = Some(host_key);
        lane.standing = webhook.standing;
        if webhook.health.is_well()
            && let Some(host) = self.hosts.get_mut(host_key)
        {
            host.is_proven = true;
        }
        self.with_circuit(key, |lane| lane.adopt_health(webhook.health, start, now));
    }

    /// Its url may have changed: another receiver, of which nothing is known.
    pub(super) fn move_host(&mut self, key: Key, webhook: &LaneWebhook) {
        let start = self.config.lane_in_flight_start;
        let now = self.now;
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let Some(old) = lane.host else { return };
        let has_moved = self.hosts.get(old).is_some_and(|host| host.name() != webhook.host);
        let was_reset = webhook.health == Health::Unproven && matches!(lane.health, Health::Ill { .. });
        if has_moved {
            if lane.place == Place::Host {
                self.put(key, Place::Nowhere);
            }
            let new = self.hosts.acquire(webhook.host);
            if let Some(lane) = self.lanes.get_mut(key) {
                lane.host = Some(new);
            }
            self.wake_host(old);
            self.hosts.release(old);
        }
        if has_moved || was_reset {
            self.with_circuit(key, |lane| lane.adopt_health(webhook.health, start, now));
        }
    }

    /// The webhook is switched on or off, or deleted.
    pub(super) fn stand(&mut self, key: Key, standing: Standing) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if lane.standing == standing {
            return;
        }
        lane.standing = standing;
        match standing {
            Standing::Active => {
                lane.wants_refill = true;
                lane.ask_after = Monotonic::default();
            }
            Standing::Paused => {
                // Its tests may be among what was left behind.
                lane.wants_refill |= lane.is_behind();
                for queued in lane.queues.take_all_but_tests() {
                    self.give_up(key, &queued);
                }
            }
            Standing::Deleted => {
                let tests = std::iter::from_fn(|| lane.queues.pop_urgent()).collect::<Vec<_>>();
                let others = lane.queues.take_all_but_tests();
                for queued in tests.iter().chain(&others) {
                    self.give_up(key, queued);
                }
                if let Some(lane) = self.lanes.get_mut(key) {
                    lane.left_behind = None;
                    lane.wants_refill = false;
                    lane.next_due = None;
                }
            }
        }
    }

    /// A row goes out of memory: it waits in the store.
    fn give_up(&mut self, key: Key, queued: &Queued) {
        self.waiting = self.waiting.saturating_sub(1);
        self.release(key, Load::of(queued));
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.give_back(queued.position);
        }
    }

    /// Whether memory has room for one more row of a lane. A lane of which nothing is known and nothing is held gets it from those
    /// that have waited for their first try: each of them hangs perhaps, and their turn is not near.
    pub(super) fn has_room_for(&mut self, key: Key, load: Load) -> bool {
        let Some(lane) = self.lanes.get(key) else { return false };
        if self.budget.has_room(lane.class, load) {
            return true;
        }
        let is_newcomer = lane.class == Class::Unproven && lane.held.rows == 0;
        let host = lane.host.and_then(|host| self.hosts.get(host));
        if !is_newcomer || !host.is_some_and(Host::has_room) {
            return false;
        }
        for _ in 0..EVICTED_MAX {
            if self.budget.has_room_for_newcomer(load) {
                return true;
            }
            let Some(oldest) = self.turns.unproven.first() else { return false };
            let Some(queued) = self.lanes.get_mut(oldest).and_then(|lane| lane.queues.pop_last_ordinary()) else {
                return false;
            };
            self.give_up(oldest, &queued);
            self.settle(oldest);
        }
        false
    }

    /// A row comes into memory.
    pub(super) fn admit(&mut self, key: Key, queued: Queued) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let load = Load::of(&queued);
        self.budget.take(lane.class, load);
        lane.held.add(load);
        if let Some(asked) = &mut lane.asked {
            asked.seen.insert(queued.delivery);
        }
        lane.queues.push(queued);
        self.waiting += 1;
    }
}
