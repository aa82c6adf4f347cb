//! Rule 8: everything ends.

use postrider_lanes::LanesConfig;
use postrider_model::delivery::{FailedReason, Status};
use postrider_model::health::Health;

use crate::world::{OK, TIMEOUT, World, seconds};

const DAY: u64 = 24 * 3_600;

#[test]
fn a_delivery_whose_turn_comes_too_late_ends_without_an_attempt() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    let in_time = world.store(webhook);
    world.advance(seconds(4 * DAY - 3_600));
    world.sweep();
    world.finish(in_time, OK);
    let too_late = world.store(webhook);
    world.advance(seconds(5 * DAY));
    world.sweep();
    assert!(matches!(
        world.status(too_late),
        Status::Failed {
            reason: FailedReason::Expired,
            ..
        }
    ));
    assert!(world.sent_of(too_late).is_empty());
    assert!(world.scheduler.is_idle());
}

#[test]
fn what_expires_in_memory_ends_at_its_turn() {
    let mut world = World::new(LanesConfig {
        lane_in_flight_start: 1,
        ..LanesConfig::default()
    });
    let webhook = world.webhook(1, 1, Health::Unproven);
    let first = world.commit(webhook);
    let second = world.commit(webhook);
    world.advance(seconds(5 * DAY));
    world.finish(first, OK);
    assert!(matches!(
        world.status(second),
        Status::Failed {
            reason: FailedReason::Expired,
            ..
        }
    ));
    assert_eq!(world.scheduler.stats().memory_rows, 0);
}

#[test]
fn a_million_waiting_for_a_dead_receiver_end_after_the_schedule_and_a_day() {
    // As many as a test may take; each step is the same.
    const WAITING: usize = 3_000;
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Unproven);
    for _ in 0..WAITING {
        world.commit(webhook);
    }
    for _ in 0..50 {
        world.advance(seconds(25));
        world.finish_each(|_| Some(TIMEOUT));
    }
    assert!(world.scheduler.stats().circuits_open == 1);
    world.advance(seconds(5 * DAY));
    world.finish_all(TIMEOUT);
    world.advance(seconds(120));
    let left = world.rows.values().filter(|row| !row.delivery.status.is_final()).count();
    assert_eq!(left, 0);
}

#[test]
fn a_circuit_that_stays_open_lets_deliveries_end() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Unproven);
    for _ in 0..200 {
        world.commit(webhook);
    }
    for _ in 0..6 * 24 * 60 {
        world.finish_all(TIMEOUT);
        world.advance(seconds(60));
    }
    assert!(world.rows.values().all(|row| row.delivery.status.is_final()));
}

/// A host that has room for one: the lane that is woken for it finds only what has expired, and makes no attempt whose end would wake
/// the next.
#[test]
fn who_waits_for_room_at_a_host_gets_what_another_does_not_use() {
    const WEBHOOKS: u128 = 6;
    let mut world = World::new(LanesConfig {
        host_in_flight_start: 1,
        ..LanesConfig::default()
    });
    let webhooks: Vec<_> = (1..=WEBHOOKS).map(|number| world.webhook(number, 1, Health::Well)).collect();
    let deliveries: Vec<_> = webhooks.iter().map(|webhook| world.commit(*webhook)).collect();
    world.advance(seconds(5 * DAY));
    assert_eq!(world.in_flight.len(), 1, "no room for more");
    world.finish(deliveries[0], TIMEOUT);
    let waiting = deliveries[1..].iter().filter(|delivery| !world.status(**delivery).is_final());
    assert_eq!(waiting.count(), 0);
}
