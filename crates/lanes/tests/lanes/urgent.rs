//! Tests and manual retries go to the head of their lane.

use postrider_lanes::LanesConfig;
use postrider_lanes::input::Standing;
use postrider_model::delivery::Status;
use postrider_model::health::Health;

use crate::world::{OK, STATUS_500, TIMEOUT, World, seconds};

#[test]
fn a_test_goes_ahead_of_what_waits() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Unproven);
    for _ in 0..100 {
        world.commit(webhook);
    }
    let test = world.test(webhook);
    assert!(world.scheduler.is_in_flight(test));
}

#[test]
fn a_test_goes_even_when_the_circuit_is_open_and_has_no_part_in_it() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    for _ in 0..40 {
        world.commit(webhook);
    }
    world.finish_all(TIMEOUT);
    assert_eq!(world.scheduler.stats().circuits_open, 1);
    let stored = world.health_stored.len();
    let test = world.test(webhook);
    assert!(world.scheduler.is_in_flight(test));
    world.finish(test, OK);
    assert_eq!(world.scheduler.stats().circuits_open, 1);
    assert_eq!(world.health_stored.len(), stored);
    assert!(matches!(world.status(test), Status::Succeeded { .. }));
}

#[test]
fn a_test_that_fails_is_retried_like_others() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    let test = world.test(webhook);
    world.finish(test, TIMEOUT);
    world.advance(seconds(6));
    world.finish(test, OK);
    assert_eq!(world.sent_of(test).len(), 2);
}

#[test]
fn a_test_goes_to_an_inactive_webhook_and_is_retried() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    world.webhooks.get_mut(&webhook).unwrap().standing = Standing::Paused;
    let test = world.test(webhook);
    assert!(world.scheduler.is_in_flight(test));
    world.finish(test, STATUS_500);
    world.advance(seconds(6));
    world.finish(test, OK);
    assert!(matches!(world.status(test), Status::Succeeded { .. }));
}

#[test]
fn a_manual_retry_of_what_sleeps_goes_now_and_only_once() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    let delivery = world.commit(webhook);
    world.finish(delivery, STATUS_500);
    world.retry(delivery);
    assert!(world.scheduler.is_in_flight(delivery));
    world.advance(seconds(10));
    assert_eq!(world.sent_of(delivery).len(), 2);
    world.finish(delivery, OK);
    world.advance(seconds(10));
    assert_eq!(world.sent_of(delivery).len(), 2);
}

#[test]
fn a_manual_retry_of_what_waits_in_memory_moves_it_to_the_head() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Unproven);
    let all: Vec<_> = (0..10).map(|_| world.commit(webhook)).collect();
    world.retry(all[9]);
    assert!(world.scheduler.is_in_flight(all[9]));
    world.finish_all(OK);
    assert!(all.iter().all(|id| world.sent_of(*id).len() == 1));
}

#[test]
fn a_manual_retry_of_what_is_in_progress_adds_nothing() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    let delivery = world.commit(webhook);
    world.retry(delivery);
    world.finish(delivery, OK);
    assert_eq!(world.sent_of(delivery).len(), 1);
}

#[test]
fn a_manual_retry_while_the_outcome_is_being_recorded_is_not_lost() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    let delivery = world.commit(webhook);
    world.holds_records = true;
    world.finish(delivery, STATUS_500);
    world.holds_records = false;
    // The store has recorded it and the retry behind it; the answers come in the other order.
    world.record_late(delivery);
    assert_eq!(world.sent_of(delivery).len(), 2);
}

#[test]
fn a_million_tests_leave_slots_for_the_rest() {
    let mut world = World::new(LanesConfig {
        in_flight_max: 64,
        ..LanesConfig::default()
    });
    for number in 1..=100 {
        let webhook = world.webhook(number, u64::try_from(number).unwrap(), Health::Unproven);
        world.test(webhook);
        world.test(webhook);
    }
    assert_eq!(world.in_flight.len(), 4);
    let healthy = world.webhook(999, 999, Health::Well);
    let delivery = world.commit(healthy);
    assert!(world.scheduler.is_in_flight(delivery));
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 201);
}
