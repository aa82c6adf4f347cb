//! Slots move while nodes live.

use std::time::Duration;

use postrider_ports::Clock as _;

use crate::receivers::Does;
use crate::world::{LEASE, World};

const MS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn who_comes_gets_its_share_and_nothing_is_sent_twice() {
    let mut world = World::with(1);
    let webhooks = world.webhooks(16);
    for webhook in &webhooks {
        world.let_it(*webhook, Does::TakeFor(MS(40)));
    }
    world.start();
    for _ in 0..60 {
        world.post_at(0);
        world.pass(MS(100));
    }
    world.pass(LEASE);
    assert!(world.is_whole());
    assert!(world.shares().iter().all(|share| *share > 400), "{:?}", world.shares());
    assert_eq!(world.succeeded(), 60 * 16);
    assert_eq!(world.sent().len(), 60 * 16, "exact while owners live");
    assert!(world.sent().iter().any(|sent| sent.node == "node-1"));
    world.check();
}

#[test]
fn a_slot_goes_when_what_is_in_flight_has_ended_and_is_recorded() {
    let mut world = World::with(1);
    let webhooks = world.webhooks(24);
    for webhook in &webhooks {
        world.let_it(*webhook, Does::TakeFor(Duration::from_secs(20)));
    }
    world.post_at(0);
    world.settle();
    world.start();
    world.pass(Duration::from_secs(10));
    assert!(!world.is_whole() || webhooks.iter().all(|webhook| world.owner(*webhook) == Some(0)));
    let shares = world.shares();
    assert!(shares[1] > 400, "idle slots have moved: {shares:?}");
    assert!(
        webhooks.iter().all(|webhook| world.owner(*webhook) == Some(0)),
        "busy ones have not"
    );
    world.pass(Duration::from_secs(20));
    assert!(world.is_whole());
    assert!(webhooks.iter().any(|webhook| world.owner(*webhook) == Some(1)));
    assert_eq!(world.sent().len(), 24);
    world.check();
}

#[test]
fn what_waits_in_memory_goes_along() {
    let mut world = World::with(1);
    let webhooks = world.webhooks(24);
    for webhook in &webhooks {
        world.let_it(*webhook, Does::TakeFor(Duration::from_secs(2)));
    }
    for _ in 0..10 {
        world.post_at(0);
    }
    world.settle();
    world.start();
    world.pass(Duration::from_secs(60));
    assert_eq!(world.pending(), 0);
    assert_eq!(world.sent().len(), 240, "each once");
    assert!(world.sent().iter().filter(|sent| sent.node == "node-1").count() > 20);
    world.check();
}

#[test]
fn who_stops_hands_all_over_at_once() {
    let mut world = World::with(3);
    let webhooks = world.webhooks(12);
    for webhook in &webhooks {
        world.let_it(*webhook, Does::TakeFor(Duration::from_secs(3)));
    }
    for _ in 0..4 {
        world.post_at(0);
    }
    world.settle();
    let began = world.clock.mono();
    world.shut_down(2);
    let took = world.clock.mono().since(began);
    assert!(took < Duration::from_secs(4), "{took:?}");
    world.pass(MS(2_000));
    assert!(world.is_whole(), "{:?}", world.shares());
    assert_eq!(world.hall.look_roster().nodes.len(), 2, "no row is left that others must wait for");
    world.pass(Duration::from_secs(60));
    assert_eq!(world.pending(), 0);
    assert_eq!(world.sent().len(), 4 * 12);
    world.check();
}

#[test]
fn a_roll_out_moves_work_from_node_to_node_and_repeats_nothing() {
    let mut world = World::with(3);
    world.webhooks(12);
    for old in 0..3 {
        let new = world.start();
        for _ in 0..20 {
            world.post_at(new);
            world.pass(MS(100));
        }
        world.shut_down(old);
    }
    world.pass(2 * LEASE);
    assert!(world.is_whole());
    assert_eq!(world.sent().len(), 3 * 20 * 12);
    assert_eq!(world.pending(), 0);
    world.check();
}

#[test]
fn nodes_that_start_together_move_slots_once() {
    let mut world = World::empty(7);
    for _ in 0..3 {
        world.start();
        world.settle();
    }
    let mut moves = Vec::new();
    let mut before = world.hall.look_roster().owners;
    for _ in 0..200 {
        world.pass(MS(50));
        let after = world.hall.look_roster().owners;
        let moved = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| after.is_some() && before != after)
            .count();
        moves.push(moved);
        before = after;
    }
    assert!(world.is_whole());
    assert!(moves.iter().sum::<usize>() <= 2 * 1_024, "{moves:?}");
}

#[test]
fn a_slot_goes_after_forty_seconds_though_something_hangs() {
    let mut world = World::with(1);
    let webhooks = world.webhooks(24);
    for webhook in &webhooks {
        world.let_it(*webhook, Does::TakeFor(Duration::from_secs(300)));
    }
    world.post_at(0);
    world.settle();
    world.start();
    let began = world.clock.mono();
    let have_gone = |world: &World| webhooks.iter().any(|webhook| world.owner(*webhook) == Some(1));
    while !have_gone(&world) {
        world.pass(MS(500));
        assert!(world.clock.mono().since(began) < Duration::from_secs(60), "they stay for ever");
    }
    let took = world.clock.mono().since(began);
    assert!(took >= Duration::from_secs(40), "{took:?} is not longer than any attempt");
    assert!(world.is_whole());
    world.check();
}
