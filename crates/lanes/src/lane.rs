//! A lane: all that is known of one webhook that has work.

use postrider_model::health::Health;
use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::queue::Position;
use postrider_model::time::{Monotonic, Now, Timestamp};
use rustc_hash::FxHashSet;

use crate::arena::Key;
use crate::budget::{Load, Pressure};
use crate::circuit::Circuit;
use crate::class::Class;
use crate::input::Standing;
use crate::limit::Limit;
use crate::queues::Queues;

/// Outcomes of one lane that are not recorded yet: with more it sends nothing more. One whose outcomes the store does not take shall not have all
/// that may be unrecorded, nor its receiver the same again and again. (In 20 ms, between two groups, a lane comes to some hundreds.)
const UNRECORDED_MAX: u32 = 2_048;

/// Illnesses in a row that make a receiver ill.
pub(crate) const ILLNESSES_MAX: u32 = 3;
/// Slots of the urgent that one lane may hold.
const URGENT_MAX: u32 = 2;
/// Rows that an unproven lane may hold while memory is free.
const UNPROVEN_ROWS_MAX: usize = 128;
/// Rows that an ill lane may hold while memory is free.
const ILL_ROWS_MAX: usize = 4;
/// Rows that are fetched of a webhook of which nothing is known yet.
const FIRST_ROWS_MAX: usize = 16;
/// Rows of answers that are remembered because they may be handed over as well.
const DOUBTFUL_MAX: usize = 1_024;
/// Rows that are fetched of a lane whose rows have all expired: they end without an attempt.
const EXPIRING_ROWS_MAX: usize = 256;

/// Where a lane waits for its turn to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It cannot send.
    Nowhere,
    /// In the ring of those with something urgent.
    Urgent,
    /// In the ring of its class.
    Turn(Class),
    /// In the ring of the unproven that have something in flight already.
    Second,
    /// In the ring of the ill that were well before.
    Relapsed,
    /// With its host, which has no room.
    Host,
    /// Among those that have nothing to do.
    Idle,
}

impl Place {
    /// Whether it is about to send something ordinary.
    pub(crate) const fn is_turn(self) -> bool {
        matches!(self, Self::Turn(_) | Self::Second | Self::Relapsed)
    }
}

/// Where a lane waits for its turn to read from the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AskPlace {
    /// It does not.
    Nowhere,
    /// Among the proven, and those of which nothing is known yet.
    Open,
    /// Among the unproven and the ill.
    Suspects,
}

/// Whether something came with an answer of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    No,
    Yes,
    /// Nobody knows: the store is to be read again.
    Perhaps,
}

/// What answers may have seen beyond the place up to which they have seen all: where many write at once, a later place may be seen
/// before an earlier one.
#[derive(Debug, Default)]
pub(crate) struct Doubt {
    /// Nothing behind this place was seen.
    perhaps: Position,
    /// What was seen behind `Lane::covered`. At most `DOUBTFUL_MAX`.
    came: Vec<(Position, DeliveryId)>,
    /// There was more than fits.
    is_overfull: bool,
}

impl Doubt {
    fn judge(&self, delivery: DeliveryId) -> Came {
        if self.came.iter().any(|(_, came)| *came == delivery) {
            Came::Yes
        } else if self.is_overfull {
            Came::Perhaps
        } else {
            Came::No
        }
    }

    pub(crate) const fn perhaps(&self) -> Position {
        self.perhaps
    }
}

/// A refill under way.
#[derive(Debug)]
pub(crate) struct Asked {
    /// What the budget keeps free for it.
    pub(crate) reserved: Load,
    /// The share of which it does.
    pub(crate) class: Class,
    /// What was in memory when it was asked for, or came there since: such rows of the answer are stale. At most the rows of a
    /// lane, and what is in flight.
    pub(crate) seen: FxHashSet<DeliveryId>,
    /// The earliest that became due later by an outcome recorded since: the answer may not know it.
    pub(crate) next_due: Option<Timestamp>,
    /// The last place that was left behind since it was asked for: the answer may not know it.
    pub(crate) left_since: Option<Position>,
    /// The webhook was changed since: the answer may know it as it was.
    pub(crate) is_outdated: bool,
    /// Its slot was another's since: what the answer brings may have been sent there.
    pub(crate) is_void: bool,
}

/// One webhook that has work, or lately had.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) account: AccountId,
    pub(crate) webhook: WebhookId,
    /// `None` while only the sweep has told of it.
    pub(crate) host: Option<Key>,
    pub(crate) standing: Standing,
    pub(crate) health: Health,
    /// Follows `health`; slots and memory are counted by it.
    pub(crate) class: Class,
    pub(crate) queues: Queues,
    /// What its rows hold of memory, those in flight included.
    pub(crate) held: Load,
    /// Attempts under way, without those of the urgent.
    pub(crate) in_flight: u32,
    pub(crate) urgent_in_flight: u32,
    pub(crate) unrecorded: u32,
    pub(crate) limit: Limit,
    /// Illnesses since the last answer.
    pub(crate) illnesses: u32,
    pub(crate) circuit: Circuit,
    /// It has answered since this node knows it, or had when it was stored.
    pub(crate) was_well: bool,
    /// When the first of what sleeps in the store is due.
    pub(crate) next_due: Option<Timestamp>,
    /// Rule 5: the place of the last delivery that memory had no room for. Until a refill has read past it, new work comes from the
    /// store only.
    pub(crate) left_behind: Option<Position>,
    /// What was stored up to here is not taken from memory: a refill has seen it, this lane's or that of one forgotten since.
    pub(crate) covered: Position,
    /// It was this lane's.
    pub(crate) is_covered_by_own: bool,
    /// Who owned the slot before may have sent what stands up to here: the first answer since it is ours has told. `None` until then.
    pub(crate) ours_after: Option<Position>,
    /// Where answers may have seen more than `covered`, as far as they did.
    pub(crate) doubt: Option<Box<Doubt>>,
    /// Its slot is another node's: it goes when nothing of it is under way.
    pub(crate) is_foreign: bool,
    /// Something in the store is due, though nothing was left behind.
    pub(crate) wants_refill: bool,
    /// The last refill brought only rows that had expired.
    pub(crate) is_expiring: bool,
    /// When the store was last asked.
    pub(crate) asked_at: Timestamp,
    /// The store had nothing new, though something was left behind: not before this.
    pub(crate) ask_after: Monotonic,
    pub(crate) asked: Option<Box<Asked>>,
    pub(crate) place: Place,
    pub(crate) ask_place: AskPlace,
    /// What the timers hold of it.
    pub(crate) due_timer: Option<Timestamp>,
    pub(crate) wake_timer: Option<Monotonic>,
}

impl Lane {
    pub(crate) const fn new(account: AccountId, webhook: WebhookId, limit_start: u32) -> Self {
        Self {
            account,
            webhook,
            host: None,
            standing: Standing::Active,
            health: Health::Unproven,
            class: Class::Unproven,
            queues: Queues::new(),
            held: Load { rows: 0, bytes: 0 },
            in_flight: 0,
            urgent_in_flight: 0,
            unrecorded: 0,
            limit: Limit::new(limit_start),
            illnesses: 0,
            circuit: Circuit::Closed,
            was_well: false,
            next_due: None,
            left_behind: None,
            covered: Position { major: 0, minor: 0 },
            is_covered_by_own: false,
            ours_after: None,
            doubt: None,
            is_foreign: false,
            wants_refill: false,
            is_expiring: false,
            asked_at: Timestamp::from_millis(i64::MIN),
            ask_after: Monotonic::from_nanos(0),
            asked: None,
            place: Place::Nowhere,
            ask_place: AskPlace::Nowhere,
            due_timer: None,
            wake_timer: None,
        }
    }

    /// Starts with what was stored of its receiver: a restart does not make all healthy.
    pub(crate) fn adopt_health(&mut self, health: Health, limit_start: u32, now: Now) {
        self.health = health;
        self.was_well = health.is_well();
        self.limit = Limit::new(limit_start);
        self.illnesses = 0;
        if let Health::Ill { failures, .. } = health {
            self.illnesses = failures;
            self.limit = Limit::new(1);
        }
        self.circuit = Circuit::restored(self.illnesses, now.mono);
    }

    /// The receiver answered. True where that is to be stored.
    pub(crate) fn answered(&mut self) -> bool {
        self.illnesses = 0;
        self.circuit = Circuit::Closed;
        self.was_well = true;
        let was_well = self.health.is_well();
        self.health = Health::Well;
        !was_well
    }

    /// The receiver is ill. True where that is to be stored: when it becomes ill, and then ever more rarely.
    pub(crate) fn fell_ill(&mut self, was_probe: bool, now: Now) -> bool {
        self.limit.halve();
        self.illnesses = self.illnesses.saturating_add(1);
        self.circuit.ill(self.illnesses, was_probe, now.mono);
        if self.illnesses < ILLNESSES_MAX {
            return false;
        }
        let (became_ill, since) = match self.health {
            Health::Ill { since, .. } => (false, since),
            Health::Unproven | Health::Well => (true, now.wall),
        };
        self.health = Health::Ill {
            failures: self.illnesses,
            since,
        };
        became_ill || self.illnesses.is_power_of_two()
    }

    /// Rule 5: new work is not taken from memory.
    pub(crate) const fn is_behind(&self) -> bool {
        self.left_behind.is_some()
    }

    /// Something up to this place is in the store and not in memory.
    pub(crate) fn leave_behind(&mut self, position: Position) {
        self.left_behind = self.left_behind.max(Some(position));
        if let Some(asked) = &mut self.asked {
            asked.left_since = asked.left_since.max(Some(position));
        }
    }

    /// A row at this place goes out of memory: it waits in the store.
    pub(crate) fn give_back(&mut self, position: Position) {
        self.leave_behind(position);
        // A read that is under way passes over it, for it was in memory.
        self.wants_refill |= self.asked.is_some();
    }

    /// Whether a delivery that is handed over may have come with an answer already, and gone again.
    pub(crate) fn may_have_come(&self, delivery: DeliveryId, position: Position) -> Came {
        if position <= self.covered {
            return if self.is_covered_by_own { Came::Yes } else { Came::Perhaps };
        }
        let doubt = self.doubt.as_deref().filter(|doubt| position <= doubt.perhaps);
        doubt.map_or(Came::No, |doubt| doubt.judge(delivery))
    }

    /// Whether nobody but this lane can have sent what stands here.
    pub(crate) fn is_ours_alone(&self, position: Position) -> bool {
        self.ours_after.is_some_and(|ours_after| position > ours_after)
    }

    /// Rows came, of which those behind `through` may be handed over later by whoever stored them.
    pub(crate) fn doubt(&mut self, came: impl Iterator<Item = (Position, DeliveryId)>, through: Position, perhaps: Position) {
        if perhaps <= through && self.doubt.is_none() {
            return;
        }
        let doubt = self.doubt.get_or_insert_default();
        doubt.perhaps = doubt.perhaps.max(perhaps);
        doubt.came.retain(|(position, _)| *position > through);
        for (position, delivery) in came.filter(|(position, _)| *position > through) {
            if doubt.came.len() < DOUBTFUL_MAX {
                doubt.came.push((position, delivery));
            } else {
                doubt.is_overfull = true;
            }
        }
        if doubt.perhaps <= through {
            self.doubt = None;
        }
    }

    /// How many rows may wait in memory, urgent ones apart.
    pub(crate) fn rows_max(&self, lane_rows_max: usize, pressure: Pressure) -> usize {
        let rows_max = match (self.circuit.is_open(), self.class, pressure) {
            (true, _, _) | (_, Class::Unproven | Class::Ill, Pressure::High) => 1,
            (false, Class::Ill, Pressure::Low) => ILL_ROWS_MAX,
            (false, Class::Unproven, Pressure::Low) => UNPROVEN_ROWS_MAX,
            (false, Class::Proven, Pressure::High) => lane_rows_max / 16,
            (false, Class::Proven, Pressure::Low) => lane_rows_max,
        };
        rows_max.clamp(1, lane_rows_max.max(1))
    }

    /// How many rows a refill may bring.
    pub(crate) fn refill_rows_max(&self, lane_rows_max: usize, pressure: Pressure) -> usize {
        if self.is_expiring {
            return EXPIRING_ROWS_MAX;
        }
        if self.host.is_none() {
            return FIRST_ROWS_MAX;
        }
        self.rows_max(lane_rows_max, pressure).saturating_sub(self.queues.ordinary())
    }

    pub(crate) fn wants_urgent_turn(&self) -> bool {
        // What stays in the queues of a lane that is paused or deleted are tests of an inactive webhook.
        self.queues.urgent() > 0 && self.urgent_in_flight < URGENT_MAX && self.host.is_some()
    }

    /// Where it waits while it wants a turn.
    pub(crate) const fn turn(&self) -> Place {
        match self.class {
            Class::Unproven if self.in_flight > 0 => Place::Second,
            Class::Ill if self.was_well => Place::Relapsed,
            class => Place::Turn(class),
        }
    }

    pub(crate) fn wants_turn(&self, now: Monotonic) -> bool {
        self.queues.ordinary() > 0
            && self.in_flight < self.limit.get()
            && self.unrecorded < UNRECORDED_MAX
            && self.standing == Standing::Active
            && self.host.is_some()
            && self.circuit.allows(now)
    }

    /// Whether it wants to read from the store now: it is at half of what it may hold, or less.
    pub(crate) fn wants_to_ask(&self, lane_rows_max: usize, pressure: Pressure, now: Monotonic) -> bool {
        if !self.has_reason_to_ask() || self.asked.is_some() || self.ask_after > now {
            return false;
        }
        match self.standing {
            Standing::Deleted => false,
            // Its tests only.
            Standing::Paused => self.wants_refill && self.queues.len() * 2 <= self.rows_max(lane_rows_max, pressure),
            Standing::Active => {
                let waiting = self.queues.ordinary();
                let is_low = waiting * 2 <= self.rows_max(lane_rows_max, pressure) && (waiting == 0 || !self.circuit.is_open());
                is_low && (self.circuit.allows(now) || self.is_expiring)
            }
        }
    }

    const fn has_reason_to_ask(&self) -> bool {
        self.left_behind.is_some() || self.wants_refill
    }

    /// When it is to be looked at again though nothing happens.
    pub(crate) fn next_wake(&self, now: Monotonic) -> Option<Monotonic> {
        if self.standing == Standing::Deleted || (self.queues.ordinary() == 0 && !self.has_reason_to_ask()) {
            return None;
        }
        let ask = (self.ask_after > now && self.has_reason_to_ask()).then_some(self.ask_after);
        [self.circuit.next_probe(now), ask].into_iter().flatten().min()
    }

    /// Which ring it waits in to read from the store.
    pub(crate) const fn ask_ring(&self) -> AskPlace {
        // Who is not known yet may be proven: a restart beside many ill ones must not make it wait for them.
        if self.class.is_proven() || self.host.is_none() {
            AskPlace::Open
        } else {
            AskPlace::Suspects
        }
    }

    /// Whether nothing of it is in memory.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.queues.len() == 0 && self.in_flight + self.urgent_in_flight + self.unrecorded == 0 && self.asked.is_none()
    }

    /// Whether there is nothing to do for it, nor will be before it is told of something new.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_at_rest() && self.next_due.is_none() && !self.has_reason_to_ask()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_thousand_lanes_that_sleep_are_cheap() {
        // With its entries in the index, the timers and the rings a lane stays below half a KiB.
        assert!(size_of::<Lane>() <= 352, "{}", size_of::<Lane>());
    }

    #[test]
    fn illness_is_stored_when_it_begins_and_then_ever_more_rarely() {
        let mut lane = Lane::new(AccountId::from_u128(1), WebhookId::from_u128(2), 2);
        let stored: Vec<u32> = (1..=100).filter(|_| lane.fell_ill(false, Now::default())).collect();
        assert_eq!(stored, [3, 4, 8, 16, 32, 64]);
        assert!(lane.answered() && !lane.answered(), "said once");
    }
}
