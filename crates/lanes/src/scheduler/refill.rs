//! Reading from the store what memory had no room for, and what slept.

use std::time::Duration;

use postrider_model::id::WebhookId;
use postrider_model::queue::{Position, Queued};
use postrider_model::time::{Monotonic, Timestamp};

use super::Scheduler;
use crate::arena::Key;
use crate::budget::{Load, ROW_BYTES};
use crate::class::Class;
use crate::command::Command;
use crate::input::{LaneWebhook, Standing};
use crate::lane::{AskPlace, Asked, Lane};
use crate::ring::{Links, Ring};

/// Bytes of bodies that one refill may bring to a proven lane.
const REFILL_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes of bodies that one refill may bring to an unproven or ill one, or to one of which nothing is known yet.
const SUSPECT_REFILL_BYTES_MAX: usize = 256 * 1024;
/// After the store could not be read, it is asked again after this long, doubled each time up to `RETRY_MAX`.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// A lane whose refill brought nothing new asks again after this long.
const NOTHING_NEW_PAUSE: Duration = Duration::from_millis(100);

/// What the store answered.
pub(super) struct Answer {
    pub(super) rows: Vec<Queued>,
    pub(super) complete: bool,
    pub(super) next_due: Option<Timestamp>,
    pub(super) through: Position,
    pub(super) perhaps: Position,
}

/// Who waits to read from the store, in turn, and how many do. At most as many as there are lanes.
#[derive(Debug)]
pub(super) struct Refills {
    links: Links,
    open: Ring,
    suspects: Ring,
    under_way: usize,
    /// The store could not be read: not before this.
    not_before: Monotonic,
    pause: Duration,
    is_suspects_turn: bool,
}

impl Default for Refills {
    fn default() -> Self {
        Self {
            links: Links::default(),
            open: Ring::new(),
            suspects: Ring::new(),
            under_way: 0,
            not_before: Monotonic::default(),
            pause: RETRY_MIN,
            is_suspects_turn: false,
        }
    }
}

impl Refills {
    pub(super) const fn under_way(&self) -> usize {
        self.under_way
    }

    pub(super) const fn waiting(&self) -> usize {
        self.open.len() + self.suspects.len()
    }

    /// When the store is to be tried again, where somebody waits for that.
    pub(super) fn next_try(&self, now: Monotonic) -> Option<Monotonic> {
        (self.waiting() > 0 && self.not_before > now).then_some(self.not_before)
    }

    /// A lane no longer waits at `old`, but at `new`.
    pub(super) fn wait(&mut self, key: Key, old: AskPlace, new: AskPlace) {
        match old {
            AskPlace::Nowhere => {}
            AskPlace::Open => self.links.remove(&mut self.open, key),
            AskPlace::Suspects => self.links.remove(&mut self.suspects, key),
        }
        match new {
            AskPlace::Nowhere => {}
            AskPlace::Open => self.links.push(&mut self.open, key),
            AskPlace::Suspects => self.links.push(&mut self.suspects, key),
        }
    }

    /// The first of each ring; both rings come first in turn.
    fn candidates(&self) -> [Option<Key>; 2] {
        let [open, suspects] = [self.open.first(), self.suspects.first()];
        if self.is_suspects_turn {
            [suspects, open]
        } else {
            [open, suspects]
        }
    }

    const fn begin(&mut self) {
        self.under_way += 1;
        self.is_suspects_turn = !self.is_suspects_turn;
    }

    const fn answered(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
        self.pause = RETRY_MIN;
    }

    fn failed(&mut self, now: Monotonic) {
        self.under_way = self.under_way.saturating_sub(1);
        // Those under way at once fail at once: that is one failure of the store.
        if self.not_before <= now {
            self.not_before = now + self.pause;
            self.pause = self.pause.saturating_mul(2).min(RETRY_MAX);
        }
    }
}

impl Scheduler {
    /// Asks the store while there is room for what it may answer.
    pub(super) fn ask(&mut self, out: &mut Vec<Command>) {
        while !self.is_stopped
            && !self.is_suspended
            && self.refills.under_way < self.config.refills_max
            && self.refills.not_before <= self.now.mono
        {
            let asked = self.refills.candidates().into_iter().flatten().any(|key| self.ask_for(key, out));
            if !asked {
                return;
            }
        }
    }

    /// Asks for one lane. False where memory has no room for it now.
    fn ask_for(&mut self, key: Key, out: &mut Vec<Command>) -> bool {
        let Some(lane) = self.lanes.get_mut(key) else { return false };
        let (class, bytes_max) = if lane.host.is_some() && !lane.class.is_proven() {
            (lane.class, SUSPECT_REFILL_BYTES_MAX)
        } else if lane.host.is_none() {
            (Class::Proven, SUSPECT_REFILL_BYTES_MAX)
        } else {
            (Class::Proven, REFILL_BYTES_MAX)
        };
        let room = self.budget.room(class);
        let rows_max = lane
            .refill_rows_max(self.config.lane_rows_max, self.budget.pressure(class))
            .min(room.rows)
            .min(room.bytes / 2 / ROW_BYTES);
        // No single refill takes more than a quarter of what is free.
        let bytes_max = bytes_max.min(room.bytes / 4);
        if rows_max == 0 || bytes_max == 0 {
            return false;
        }
        let reserved = Load {
            rows: rows_max,
            bytes: bytes_max + rows_max * ROW_BYTES,
        };
        self.budget.take(class, reserved);
        let mut known: Vec<_> = lane.queues.ids().collect();
        if lane.in_flight + lane.urgent_in_flight + lane.unrecorded > 0 {
            known.extend(self.flights.of_lane(key));
        }
        // The order of the flights means nothing, and must not depend on how they are kept.
        known.sort_unstable();
        lane.asked = Some(Box::new(Asked {
            reserved,
            class,
            seen: known.iter().copied().collect(),
            next_due: None,
            left_since: None,
            is_outdated: false,
            is_void: false,
        }));
        lane.asked_at = self.now.wall;
        lane.wants_refill = false;
        self.refills.begin();
        out.push(Command::Refill {
            account: lane.account,
            webhook: lane.webhook,
            rows_max,
            bytes_max,
            known,
        });
        self.settle(key);
        true
    }

    pub(super) fn refilled(&mut self, webhook: &LaneWebhook, answer: Answer, out: &mut Vec<Command>) {
        let Some(key) = self.by_webhook.get(&webhook.webhook).copied() else {
            return;
        };
        let Some(asked) = self.take_asked(key) else { return };
        self.refills.answered();
        if asked.is_void {
            return self.reread(webhook.account, webhook.webhook);
        }
        self.acquaint(key, webhook);
        if !asked.is_outdated {
            self.move_host(key, webhook);
            self.stand(key, webhook.standing);
        }
        // What is admitted counts with the class of today.
        self.settle_class(key);
        let Answer {
            rows,
            complete,
            next_due,
            through,
            perhaps,
        } = answer;
        if webhook.standing != Standing::Paused
            && let Some(lane) = self.lanes.get_mut(key)
        {
            lane.doubt(rows.iter().map(|queued| (queued.position, queued.delivery)), through, perhaps);
            if webhook.standing == Standing::Active {
                lane.ours_after.get_or_insert(perhaps.max(through));
            }
        }
        let (mut came, mut expired, mut all_fit) = (0usize, 0usize, true);
        for queued in rows.into_iter().filter(|queued| !asked.seen.contains(&queued.delivery)) {
            came += 1;
            if self.config.schedule.is_expired(queued.progress, self.now.wall) && self.flights.len() < self.config.unrecorded_max {
                self.expire(key, &queued, out);
                expired += 1;
            } else if !self.admit_refilled(key, queued, came == 1 && self.has_room_kept(key, &asked)) {
                all_fit = false;
            }
        }
        let now = self.now.mono;
        if let Some(lane) = self.lanes.get_mut(key) {
            let has_new_behind = asked.left_since.is_some();
            lane.next_due = [next_due, asked.next_due].into_iter().flatten().min();
            lane.is_expiring = came > 0 && came == expired;
            let is_all = complete && all_fit;
            let is_of_tests = webhook.standing == Standing::Paused;
            if is_of_tests {
                Self::read_tests(lane, is_all);
            } else {
                Self::read_up_to(lane, through, is_all.then_some(asked.left_since));
            }
            if lane.standing == Standing::Deleted {
                lane.left_behind = None;
                lane.next_due = None;
            }
            let is_stuck = if is_of_tests {
                !is_all
            } else {
                lane.left_behind.is_some() && !has_new_behind
            };
            if came == 0 && is_stuck {
                // What is left behind cannot be read yet: asking again at once would be a loop.
                lane.ask_after = now + NOTHING_NEW_PAUSE;
            }
        }
        self.settle(key);
    }

    /// What an answer says of what is still in the store, where it brought all that it saw with what was left behind since it was asked
    /// for. What was left behind before was in the store already when it was read, whatever its place.
    fn read_up_to(lane: &mut Lane, through: Position, all_but: Option<Option<Position>>) {
        if let Some(left_since) = all_but {
            if through >= lane.covered {
                lane.covered = through;
                lane.is_covered_by_own = true;
            }
            lane.left_behind = left_since.filter(|left| *left > through);
        } else {
            lane.leave_behind(through);
        }
    }

    /// The same of an answer that was about tests alone: nothing is known of the others, but that they may be there.
    fn read_tests(lane: &mut Lane, is_all: bool) {
        lane.leave_behind(Position::default());
        // Where it was switched on meanwhile, all is to be read.
        lane.wants_refill |= !is_all || lane.standing == Standing::Active;
    }

    /// Whether room was kept for the first row of an answer in the share that it counts in: then it comes whatever its size. It was not
    /// where a lane that nothing was known of turns out to be ill.
    fn has_room_kept(&self, key: Key, asked: &Asked) -> bool {
        let class = self.lanes.get(key).map(|lane| lane.class);
        class.is_some_and(|class| class.is_proven() || !asked.class.is_proven())
    }

    /// Takes one row of an answer into memory. False where it stays in the store.
    fn admit_refilled(&mut self, key: Key, queued: Queued, has_room_kept: bool) -> bool {
        let Some(lane) = self.lanes.get(key) else { return false };
        let is_sent = match lane.standing {
            Standing::Active => true,
            Standing::Paused => queued.is_test(),
            Standing::Deleted => false,
        };
        let rows_max = lane.rows_max(self.config.lane_rows_max, self.budget.pressure(lane.class));
        let has_place = lane.queues.len() < rows_max;
        if is_sent && (has_room_kept || (has_place && self.has_room_for(key, Load::of(&queued)))) {
            self.admit(key, queued);
            return true;
        }
        false
    }

    pub(super) fn refill_failed(&mut self, webhook: WebhookId) {
        let Some(key) = self.by_webhook.get(&webhook).copied() else {
            return;
        };
        let Some(asked) = self.take_asked(key) else { return };
        self.refills.failed(self.now.mono);
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.wants_refill = true;
            if let Some(due) = asked.next_due {
                Self::sleep_until(lane, due);
            }
        }
        self.settle(key);
    }

    fn take_asked(&mut self, key: Key) -> Option<Box<Asked>> {
        let asked = self.lanes.get_mut(key)?.asked.take()?;
        self.budget.give_back(asked.class, asked.reserved);
        Some(asked)
    }
}
