//! A node dies, stands still, or is cut off.

use std::time::Duration;

use postrider_ports::Clock as _;
use postrider_ports::nodes::Wake;

use crate::receivers::Does;
use crate::world::{LEASE, World};

const MS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn nodes_share_the_slots() {
    let world = World::with(3);
    assert!(world.is_whole());
    assert!(
        world.shares().iter().all(|share| (240..450).contains(share)),
        "{:?}",
        world.shares()
    );
}

#[test]
fn a_dead_nodes_slots_are_taken_over_within_twice_the_lease() {
    let mut world = World::with(3);
    let webhooks = world.webhooks(12);
    let lost: Vec<_> = webhooks.iter().filter(|webhook| world.owner(**webhook) == Some(1)).collect();
    assert!(!lost.is_empty());
    world.kill(1);
    let died = world.clock.mono();
    world.post_at(0);
    while !world.is_whole() {
        world.pass(MS(100));
        assert!(world.clock.mono().since(died) <= 2 * LEASE, "nobody has taken over");
    }
    world.pass(MS(100));
    assert_eq!(world.succeeded(), webhooks.len(), "what was stored for its slots meanwhile is sent");
    assert_eq!(world.hall.look_roster().nodes.len(), 2, "its row is gone");
    world.check();
}

#[test]
fn who_was_stopped_for_longer_than_its_lease_starts_nothing_when_it_goes_on() {
    let mut world = World::with(2);
    let webhooks = world.webhooks(8);
    let theirs = *webhooks.iter().find(|webhook| world.owner(**webhook) == Some(1)).unwrap();
    // It has work in memory that it would send at once.
    world.let_it(theirs, Does::TakeFor(Duration::from_secs(20)));
    for _ in 0..6 {
        world.post_at(1);
    }
    world.settle();
    let before = world.sent_to(theirs).len();
    assert!(before > 0 && world.pending() > 0);
    world.stand_still(1, true);
    world.pass(3 * LEASE);
    assert_eq!(world.shares()[0], 1_024, "it was taken for dead");
    let taken_over = world.sent_to(theirs).len();
    world.stand_still(1, false);
    world.settle();
    let late = world
        .sent_to(theirs)
        .into_iter()
        .skip(taken_over)
        .filter(|sent| sent.node == "node-1")
        .count();
    assert_eq!(late, 0);
    world.check();
    world.pass(Duration::from_secs(120));
    assert_eq!(world.pending(), 0);
    assert!(world.shares()[1] > 300, "it gets its share again: {:?}", world.shares());
    world.check();
}

#[test]
fn who_goes_on_and_cannot_ask_starts_nothing_though_it_has_not_heard_of_its_end() {
    let mut world = World::with(2);
    let webhooks = world.webhooks(8);
    let theirs = *webhooks.iter().find(|webhook| world.owner(**webhook) == Some(1)).unwrap();
    // What it has in flight ends first of all when it goes on, and makes room for what waits in its memory.
    world.let_it(theirs, Does::TakeFor(MS(700)));
    for _ in 0..6 {
        world.post_at(1);
    }
    world.settle();
    world.stand_still(1, true);
    world.node(1).door.cut_off(true);
    world.pass(3 * LEASE);
    let before = world.sent().len();
    world.stand_still(1, false);
    world.settle();
    assert_eq!(world.sent().len(), before);
    world.check();
}

#[test]
fn who_is_cut_off_stops_before_others_take_over_and_its_outcomes_still_count() {
    let world = World::with(2);
    let webhooks = world.webhooks(8);
    let theirs = *webhooks.iter().find(|webhook| world.owner(**webhook) == Some(1)).unwrap();
    world.let_it(theirs, Does::TakeFor(MS(300)));
    world.node(1).door.cut_off(true);
    let cut = world.clock.mono();
    while world.owner(theirs) == Some(1) {
        world.post_at(1);
        world.pass(MS(100));
    }
    let own: Vec<u64> = world
        .sent_to(theirs)
        .iter()
        .filter(|sent| sent.node == "node-1")
        .map(|sent| sent.at)
        .collect();
    let lasted = own.last().unwrap() - cut.as_nanos() / 1_000_000;
    assert!((2_000..5_000).contains(&lasted), "it sent on for {lasted} ms, within its lease");
    world.pass(Duration::from_secs(60));
    world.check();
    assert_eq!(world.pending(), 0, "what it had in flight was recorded, the rest went elsewhere");
    world.node(1).door.cut_off(false);
    world.pass(2 * LEASE);
    assert!(world.is_whole() && world.shares()[1] > 300);
    world.check();
}

#[test]
fn where_all_are_cut_off_nothing_is_lost() {
    let world = World::with(2);
    let webhooks = world.webhooks(8);
    for index in [0, 1] {
        world.node(index).door.cut_off(true);
    }
    world.pass(2 * LEASE);
    world.post_at(0);
    world.pass(2 * LEASE);
    assert_eq!(world.succeeded(), 0, "nobody has a lease");
    for index in [0, 1] {
        world.node(index).door.cut_off(false);
    }
    world.pass(2 * LEASE);
    assert_eq!(world.succeeded(), webhooks.len());
    world.check();
}

#[test]
fn what_comes_through_under_the_old_owner_is_found_though_its_lane_is_at_work() {
    let mut world = World::with(2);
    let webhooks = world.webhooks(8);
    let theirs = *webhooks.iter().find(|webhook| world.owner(**webhook) == Some(1)).unwrap();
    world.kill(1);
    world.pass(2 * LEASE);
    // From now on its lane is never at rest.
    world.let_it(theirs, Does::TakeFor(Duration::from_secs(24)));
    world.post_at(0);
    world.settle();
    // A transaction of the dead node comes through at last: nobody is told of it.
    world.commit_silently(theirs);
    world.post_at(0);
    world.pass(Duration::from_secs(36));
    assert_eq!(world.sent_to(theirs).len(), 3, "read again after the longest write");
    world.check();
}

#[test]
fn what_waited_for_a_dead_node_is_read_though_its_lane_is_at_work_already() {
    let mut world = World::with(2);
    let webhooks = world.webhooks(8);
    let theirs = *webhooks.iter().find(|webhook| world.owner(**webhook) == Some(1)).unwrap();
    world.let_it(theirs, Does::TakeFor(Duration::from_secs(20)));
    world.node(1).door.lose_wakes(true);
    world.commit_silently(theirs);
    // So that the sweep that follows the taking comes a moment after it.
    world.wake_all(Wake::AnyWork);
    world.bury(1);
    world.settle();
    assert_eq!(world.owner(theirs), Some(0));
    // From now on its lane is at work.
    world.post_at(0);
    world.settle();
    assert_eq!(world.sent_to(theirs).len(), 1);
    world.pass(MS(60));
    assert_eq!(world.sent_to(theirs).len(), 2, "not only after the longest write");
    world.check();
}

#[test]
fn what_a_sweep_was_wanted_for_is_not_forgotten_where_it_fails() {
    let mut world = World::with(2);
    let webhooks = world.webhooks(8);
    let theirs = *webhooks.iter().find(|webhook| world.owner(**webhook) == Some(1)).unwrap();
    world.let_it(theirs, Does::TakeFor(Duration::from_secs(24)));
    // No look is left that is for the slots of the beginning.
    world.pass(Duration::from_secs(40));
    world.bury(1);
    world.pass(Duration::from_secs(20));
    world.post_at(0);
    world.settle();
    assert_eq!(world.sent_to(theirs).len(), 1, "its lane is at work");
    world.commit_silently(theirs);
    world.pass(MS(9_900));
    let fail_to_look = |missed: bool| {
        let before = world.sent_to(theirs).len();
        world.store.refuse_reads(u32::MAX);
        if missed {
            world.wake_all(Wake::Missed);
        }
        world.pass(MS(200));
        world.store.heal();
        world.pass(MS(1_200));
        world.sent_to(theirs).len() - before
    };
    assert_eq!(fail_to_look(false), 1, "the last look for what was taken");
    world.pass(Duration::from_secs(14));
    world.commit_silently(theirs);
    assert_eq!(fail_to_look(true), 1, "a look for what was missed");
    world.check();
}
