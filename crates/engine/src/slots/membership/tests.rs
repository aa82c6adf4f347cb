use postrider_model::time::Timestamp;
use postrider_ports::nodes::{NodeReport, NodeSeen, Roles};

use super::*;

const US: NodeToken = NodeToken(1 << 100);
const OTHER: NodeToken = NodeToken(2 << 90);
const THIRD: NodeToken = NodeToken(3 << 80);
const TERMS: Terms = Terms {
    lease: Duration::from_secs(5),
};

fn at(millis: u64) -> Monotonic {
    Monotonic::from_nanos(millis * 1_000_000)
}

fn seen(token: NodeToken, beat: u64) -> NodeSeen {
    NodeSeen {
        token,
        beat,
        seen_at: Timestamp::from_millis(0),
        report: NodeReport {
            name: String::new(),
            version: String::new(),
            roles: Roles { api: true, dispatch: true },
            started_at: Timestamp::from_millis(0),
            in_flight: 0,
            waiting: 0,
            unrecorded: 0,
            is_leaving: false,
        },
    }
}

/// The store, as far as rosters go.
struct Store(Roster);

impl Store {
    fn new() -> Self {
        Self(Roster::empty(Timestamp::from_millis(0)))
    }

    fn beat(&mut self, token: NodeToken) {
        match self.0.nodes.iter_mut().find(|node| node.token == token) {
            Some(node) => node.beat += 1,
            None => self.0.nodes.push(seen(token, 1)),
        }
    }

    fn change(&mut self, token: NodeToken, change: impl FnOnce(&mut NodeReport)) {
        change(&mut self.0.nodes.iter_mut().find(|node| node.token == token).unwrap().report);
    }

    fn give(&mut self, slots: impl IntoIterator<Item = Slot>, owner: Option<NodeToken>) {
        for slot in slots {
            self.0.owners[usize::from(slot.number())] = owner;
        }
    }

    fn remove(&mut self, token: NodeToken) {
        self.0.nodes.retain(|node| node.token != token);
        self.0
            .owners
            .iter_mut()
            .filter(|owner| **owner == Some(token))
            .for_each(|owner| *owner = None);
    }
}

fn node() -> Membership {
    Membership::new(TERMS, US, true)
}

fn see(node: &mut Membership, store: &Store, millis: u64) -> Plan {
    node.see(at(millis), at(millis + 10), &store.0)
}

/// Us with all slots, at a time when nothing is left to settle.
fn alone() -> (Membership, Store) {
    let (mut node, mut store) = (node(), Store::new());
    store.beat(US);
    let plan = see(&mut node, &store, 1_000);
    assert_eq!(plan.take.len(), 1_024, "a node alone takes all at once");
    store.give(Slot::all(), Some(US));
    node.taken(at(1_020), &Slot::all().collect::<Vec<_>>());
    (node, store)
}

fn share_of(token: NodeToken, nodes: &[NodeToken]) -> Vec<Slot> {
    Slot::all().filter(|slot| rendezvous::owner(*slot, nodes) == Some(token)).collect()
}

#[test]
fn who_comes_gets_its_share_once_it_has_settled() {
    let (mut node, mut store) = alone();
    store.beat(OTHER);
    assert_eq!(see(&mut node, &store, 2_000), Plan::default(), "it has only come");
    store.beat(OTHER);
    let plan = see(&mut node, &store, 3_000);
    assert_eq!(plan.hand_over, share_of(OTHER, &[US, OTHER]));
    assert_eq!(plan.take, []);
    node.hands_over(&plan.hand_over);
    assert_eq!(see(&mut node, &store, 4_000), Plan::default(), "once is enough");
}

#[test]
fn nodes_that_start_together_move_no_slots_twice() {
    let (mut node, mut store) = (node(), Store::new());
    store.beat(OTHER);
    store.beat(US);
    assert_eq!(see(&mut node, &store, 0), Plan::default(), "others may come");
    store.beat(THIRD);
    assert_eq!(see(&mut node, &store, 1_000), Plan::default(), "and they do");
    for token in [OTHER, THIRD, US] {
        store.beat(token);
    }
    let plan = see(&mut node, &store, 2_000);
    let taken: Vec<Slot> = plan.take.iter().map(|(slot, _)| *slot).collect();
    assert_eq!(taken, share_of(US, &[US, OTHER, THIRD]));
}

#[test]
fn another_is_dead_when_its_row_stood_still_for_a_lease_and_a_margin_by_our_own_clock() {
    let (mut node, mut store) = alone();
    store.beat(OTHER);
    for second in 2..=7 {
        let plan = see(&mut node, &store, second * 1_000);
        assert!(plan.dead.is_empty(), "after {second} s");
    }
    let plan = see(&mut node, &store, 2_010 + 5_500);
    assert_eq!(plan.dead, [(OTHER, 1)]);
    store.beat(OTHER);
    assert!(see(&mut node, &store, 8_000).dead.is_empty(), "it has moved");
}

#[test]
fn a_roster_that_was_long_on_its_way_makes_nobody_dead() {
    let (mut node, mut store) = alone();
    store.beat(OTHER);
    see(&mut node, &store, 2_000);
    // Asked before the time was up, answered long after it.
    let plan = node.see(at(7_000), at(60_000), &store.0);
    assert!(plan.dead.is_empty());
}

#[test]
fn slots_of_a_dead_node_are_taken_within_twice_the_lease() {
    let (mut node, mut store) = alone();
    let theirs = share_of(OTHER, &[US, OTHER]);
    store.beat(OTHER);
    see(&mut node, &store, 2_000);
    store.beat(OTHER);
    node.hands_over(&theirs);
    node.released(at(2_500), &theirs.iter().copied().collect());
    store.give(theirs.iter().copied(), Some(OTHER));
    // Its last beat, right after we looked.
    see(&mut node, &store, 3_000);
    store.beat(OTHER);
    let died = 3_001;
    let mut now = 3_000;
    let dead = loop {
        now += 1_000;
        let plan = see(&mut node, &store, now);
        assert!(plan.take.is_empty(), "not from under it");
        if !plan.dead.is_empty() {
            break plan.dead;
        }
    };
    store.remove(dead[0].0);
    // The removal makes the mover look again at once.
    let plan = see(&mut node, &store, now + 20);
    let taken: Vec<Slot> = plan.take.iter().map(|(slot, _)| *slot).collect();
    assert_eq!(taken, theirs);
    assert!(now + 20 - died < 10_000, "{now}");
}

#[test]
fn what_the_store_says_of_our_slots_holds() {
    let (mut node, mut store) = alone();
    let slot = Slot::from_number(9).unwrap();
    store.beat(OTHER);
    store.give([slot], Some(OTHER));
    assert_eq!(see(&mut node, &store, 2_000).lost, [slot]);
    store.give([slot], Some(US));
    assert_eq!(see(&mut node, &store, 2_100).own, [slot], "a taking whose answer was lost");
}

#[test]
fn a_roster_from_before_slots_were_taken_says_nothing_of_them() {
    let (mut node, mut store) = (node(), Store::new());
    store.beat(US);
    see(&mut node, &store, 1_000);
    node.taken(at(2_000), &Slot::all().collect::<Vec<_>>());
    let plan = see(&mut node, &store, 1_995);
    assert_eq!(plan, Plan::default(), "it was asked for before the answer");
}

#[test]
fn who_leaves_hands_all_over_and_takes_nothing() {
    let (mut node, mut store) = alone();
    store.beat(OTHER);
    node.leave();
    see(&mut node, &store, 2_000);
    store.beat(OTHER);
    let plan = see(&mut node, &store, 3_000);
    assert_eq!(plan.hand_over.len(), 1_024);
    let (mut other, mut store) = alone();
    store.beat(OTHER);
    store.change(OTHER, |report| report.is_leaving = true);
    see(&mut other, &store, 2_000);
    assert!(see(&mut other, &store, 3_000).hand_over.is_empty(), "nothing goes to who leaves");
}

#[test]
fn who_only_answers_requests_gets_no_slots() {
    let (mut node, mut store) = alone();
    store.beat(OTHER);
    store.change(OTHER, |report| report.roles.dispatch = false);
    see(&mut node, &store, 2_000);
    assert!(see(&mut node, &store, 3_000).hand_over.is_empty());
    let mut api = Membership::new(TERMS, US, false);
    let mut store = Store::new();
    store.beat(US);
    see(&mut api, &store, 1_000);
    assert!(see(&mut api, &store, 5_000).take.is_empty());
}

#[test]
fn slots_of_an_owner_without_a_row_are_taken_after_as_long() {
    let (mut node, mut store) = (node(), Store::new());
    store.beat(US);
    store.give(Slot::all(), Some(OTHER));
    assert!(see(&mut node, &store, 1_000).take.is_empty());
    let plan = see(&mut node, &store, 7_000);
    assert_eq!(plan.take.len(), 1_024);
    assert!(plan.dead.is_empty(), "there is no row to remove");
}
