//! What a node decides about slots, as a pure function of the rosters that it saw and of its own monotonic clock.

use std::collections::BTreeMap;
use std::time::Duration;

use postrider_model::slot::{Slot, SlotSet};
use postrider_model::time::Monotonic;
use postrider_ports::nodes::{NodeToken, Roster};

use super::rendezvous;

/// Lengths of time that all nodes of a store go by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// How long a node holds its slots after its last beat.
    pub(crate) lease: Duration,
}

impl Terms {
    /// By so much a holder stops before its lease ends, and so much later than that do others call it dead.
    pub(crate) fn margin(self) -> Duration {
        self.lease / 10
    }

    /// How often a node beats.
    pub(crate) fn beat(self) -> Duration {
        self.lease / 5
    }

    /// Who comes is left to settle for so long before slots are handed to it: nodes that start together move slots once.
    pub(crate) fn settle(self) -> Duration {
        self.lease / 10
    }

    /// How long a lease holds that was asked for at a moment.
    pub(crate) fn held(self) -> Duration {
        self.lease.saturating_sub(self.margin())
    }
}

/// What was seen of another node's row.
#[derive(Clone, Copy, Debug)]
struct Sighting {
    /// `None` where it has no row, though slots are said to be its.
    beat: Option<u64>,
    /// When that was first seen.
    since: Monotonic,
}

/// What is to be done about slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// These are this node's, though it did not know.
    pub(crate) own: Vec<Slot>,
    /// These are not this node's any more, though it thought so.
    pub(crate) lost: Vec<Slot>,
    /// These should be another's: stop, end, record, release.
    pub(crate) hand_over: Vec<Slot>,
    /// These should be this node's, and are as said.
    pub(crate) take: Vec<(Slot, Option<NodeToken>)>,
    /// These nodes are dead, at this beat: their rows go, and their slots are free.
    pub(crate) dead: Vec<(NodeToken, u64)>,
}

/// A node among others.
#[derive(Debug)]
pub(crate) struct Membership {
    terms: Terms,
    token: NodeToken,
    /// Whether this node takes slots at all.
    dispatches: bool,
    is_leaving: bool,
    /// At most `NODES_MAX`, and owners without a row.
    others: BTreeMap<NodeToken, Sighting>,
    /// Among whom slots are shared, as of the last roster: at most `NODES_MAX`.
    sharers: Vec<NodeToken>,
    /// When the last of them came.
    settled_at: Monotonic,
    /// What a roster that was asked for before this says of slots is old: this node has changed it.
    changed_at: Monotonic,
    owned: SlotSet,
    /// On their way to others.
    leaving: SlotSet,
}

impl Membership {
    pub(crate) const fn new(terms: Terms, token: NodeToken, dispatches: bool) -> Self {
        Self {
            terms,
            token,
            dispatches,
            is_leaving: false,
            others: BTreeMap::new(),
            sharers: Vec::new(),
            settled_at: Monotonic::from_nanos(0),
            changed_at: Monotonic::from_nanos(0),
            owned: SlotSet::EMPTY,
            leaving: SlotSet::EMPTY,
        }
    }

    /// It takes no slots any more, and hands over what it has.
    pub(crate) const fn leave(&mut self) {
        self.is_leaving = true;
    }

    /// Slots that are this node's, those on their way to others apart.
    pub(crate) const fn owned(&self) -> &SlotSet {
        &self.owned
    }

    /// Slots on their way to others.
    pub(crate) const fn leaving(&self) -> &SlotSet {
        &self.leaving
    }

    /// These were taken; the store said so at `now`.
    pub(crate) fn taken(&mut self, now: Monotonic, slots: &[Slot]) {
        self.changed_at = now;
        for slot in slots {
            self.owned.insert(*slot);
        }
    }

    /// These are not held after all: the lease had run out when they were taken. The next roster says whose they are.
    pub(crate) fn not_held(&mut self, slots: &SlotSet) {
        for slot in slots.iter() {
            self.owned.remove(slot);
        }
    }

    /// These go elsewhere: they are not this node's any more, and not yet another's.
    pub(crate) fn hands_over(&mut self, slots: &[Slot]) {
        for slot in slots {
            self.owned.remove(*slot);
            self.leaving.insert(*slot);
        }
    }

    /// These were released; the store said so at `now`.
    pub(crate) fn released(&mut self, now: Monotonic, slots: &SlotSet) {
        self.changed_at = now;
        for slot in slots.iter() {
            self.leaving.remove(slot);
        }
    }

    /// Slots that are this node's as far as it knows, and by this roster too, where it is new enough to say so.
    pub(crate) fn confirmed(&self, asked: Monotonic, roster: &Roster) -> SlotSet {
        let is_ours = |slot: &Slot| asked >= self.changed_at && roster.owner(*slot) == Some(self.token);
        self.owned.iter().filter(is_ours).collect()
    }

    /// Takes in a roster that was asked for and answered at these moments.
    pub(crate) fn see(&mut self, asked: Monotonic, answered: Monotonic, roster: &Roster) -> Plan {
        self.look_at_others(answered, roster);
        let dead = self.dead(asked);
        self.share(answered, roster, &dead);
        let mut plan = Plan::default();
        if asked < self.changed_at {
            return plan;
        }
        self.compare(roster, &mut plan);
        if asked >= self.settled_at {
            self.divide(asked, roster, &mut plan);
        }
        plan.dead = dead.into_iter().filter_map(|(token, beat)| Some((token, beat?))).collect();
        plan
    }

    fn look_at_others(&mut self, now: Monotonic, roster: &Roster) {
        let with_row = roster.nodes.iter().map(|node| (node.token, Some(node.beat)));
        let mut seen: BTreeMap<NodeToken, Option<u64>> = roster.owners.iter().flatten().map(|owner| (*owner, None)).collect();
        seen.extend(with_row);
        seen.remove(&self.token);
        self.others.retain(|token, _| seen.contains_key(token));
        for (token, beat) in seen {
            let sighting = self.others.entry(token).or_insert(Sighting { beat, since: now });
            if sighting.beat != beat {
                *sighting = Sighting { beat, since: now };
            }
        }
    }

    /// Those whose row a roster asked for at `asked` still showed as it had been for a lease and a margin, by our own clock.
    fn dead(&self, asked: Monotonic) -> BTreeMap<NodeToken, Option<u64>> {
        let patience = self.terms.lease + self.terms.margin();
        let unmoved = self.others.iter().filter(|(_, sighting)| asked >= sighting.since + patience);
        unmoved.map(|(token, sighting)| (*token, sighting.beat)).collect()
    }

    /// Who shares the slots now. Whoever comes is left to settle; whoever goes is not waited for.
    fn share(&mut self, now: Monotonic, roster: &Roster, dead: &BTreeMap<NodeToken, Option<u64>>) {
        let live = roster.nodes.iter().filter(|node| {
            let is_wanted = node.report.roles.dispatch && !node.report.is_leaving;
            is_wanted && node.token != self.token && !dead.contains_key(&node.token)
        });
        let mut sharers: Vec<NodeToken> = live.map(|node| node.token).collect();
        let is_first = self.sharers.is_empty();
        let comes = |token: &NodeToken| !self.sharers.contains(token);
        // A node alone has nobody to wait for.
        if sharers.iter().any(comes) || (is_first && !roster.nodes.iter().all(|node| node.token == self.token)) {
            self.settled_at = now + self.terms.settle();
        }
        if self.dispatches && !self.is_leaving {
            sharers.push(self.token);
        }
        sharers.sort_unstable();
        self.sharers = sharers;
    }

    /// What the roster says of our slots is what holds.
    fn compare(&mut self, roster: &Roster, plan: &mut Plan) {
        for slot in Slot::all() {
            let is_ours = roster.owner(slot) == Some(self.token);
            let is_known = self.owned.contains(slot) || self.leaving.contains(slot);
            if is_ours && !is_known {
                self.owned.insert(slot);
                plan.own.push(slot);
            } else if !is_ours && is_known {
                self.owned.remove(slot);
                self.leaving.remove(slot);
                plan.lost.push(slot);
            }
        }
    }

    fn divide(&self, asked: Monotonic, roster: &Roster, plan: &mut Plan) {
        let dead = self.dead(asked);
        for slot in Slot::all() {
            let should = rendezvous::owner(slot, &self.sharers);
            let owner = roster.owner(slot);
            if should == Some(self.token) {
                // A dead node's slots are free once its row is gone: were they taken from under it, its next beat would not know.
                let is_orphan = owner.is_some_and(|owner| dead.get(&owner) == Some(&None));
                if owner.is_none() || is_orphan {
                    plan.take.push((slot, owner));
                }
            } else if self.owned.contains(slot) && (should.is_some() || self.is_leaving) {
                plan.hand_over.push(slot);
            }
        }
    }
}

#[cfg(test)]
mod tests;
