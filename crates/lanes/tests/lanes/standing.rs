//! Webhooks that are switched off and on, or deleted.

use postrider_lanes::LanesConfig;
use postrider_lanes::input::{Finish, HostKey, Standing};
use postrider_model::delivery::Status;
use postrider_model::health::Health;

use crate::world::{OK, STATUS_500, World, seconds};

fn with_ten() -> (World, postrider_model::id::WebhookId) {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Unproven);
    for _ in 0..10 {
        world.commit(webhook);
    }
    (world, webhook)
}

#[test]
fn what_waits_for_a_paused_webhook_waits_in_the_store_until_it_is_switched_on() {
    let (mut world, webhook) = with_ten();
    world.stand(webhook, Standing::Paused);
    assert_eq!(world.scheduler.stats().waiting, 0);
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 2, "what was in flight counts");
    world.advance(seconds(100));
    world.sweep();
    world.sweep();
    assert!(
        world.in_flight.is_empty() && world.refills.is_empty(),
        "the sweep is not answered with reads"
    );
    world.stand(webhook, Standing::Active);
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 10);
}

#[test]
fn a_webhook_that_a_restart_finds_paused_is_read_once() {
    let (mut world, webhook) = with_ten();
    world.config.idle_lanes_max = 0;
    world.webhooks.get_mut(&webhook).unwrap().standing = Standing::Paused;
    world.restart();
    world.sweep();
    world.sweep();
    world.sweep();
    assert_eq!(world.refills.len(), 1);
    assert!(world.in_flight.is_empty());
    world.stand(webhook, Standing::Active);
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 10);
}

#[test]
fn nothing_more_is_sent_to_a_deleted_webhook() {
    let (mut world, webhook) = with_ten();
    world.stand(webhook, Standing::Deleted);
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 2, "an attempt in flight ends and its outcome counts");
    let stats = world.scheduler.stats();
    assert_eq!((stats.waiting, stats.memory_rows), (0, 0));
    assert_eq!(world.scheduler.next_wake(), None);
}

#[test]
fn a_webhook_found_deleted_at_the_last_moment_takes_its_lane_along() {
    let (mut world, webhook) = with_ten();
    world.webhooks.get_mut(&webhook).unwrap().standing = Standing::Deleted;
    world.finish_each(|_| {
        Some(Finish::Withdrawn {
            standing: Standing::Deleted,
        })
    });
    assert!(world.in_flight.is_empty() && world.scheduler.is_idle());
    assert_eq!(world.scheduler.stats().waiting, 0);
    let pending = world
        .rows
        .values()
        .filter(|row| matches!(row.delivery.status, Status::Pending { .. }))
        .count();
    assert_eq!(pending, 10, "they end in the store");
}

#[test]
fn a_webhook_that_is_switched_on_after_a_restart_gets_what_waited() {
    let (mut world, webhook) = with_ten();
    world.webhooks.get_mut(&webhook).unwrap().standing = Standing::Paused;
    world.restart();
    world.stand(webhook, Standing::Active);
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 10);
}

#[test]
fn a_test_of_a_paused_webhook_is_retried_ahead_of_what_waits() {
    let (mut world, webhook) = with_ten();
    world.stand(webhook, Standing::Paused);
    world.finish_all(OK);
    let test = world.test(webhook);
    for attempt in 1..=3 {
        assert!(world.scheduler.is_in_flight(test), "attempt {attempt}");
        world.finish(test, STATUS_500);
        assert!(!world.scheduler.is_in_flight(test));
        world.advance(seconds(3_600));
    }
    world.finish(test, OK);
    assert!(matches!(world.status(test), Status::Succeeded { .. }));
    assert_eq!(world.succeeded(), 3, "of the others only what was in flight");
    world.stand(webhook, Standing::Active);
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 11);
}

#[test]
fn a_restart_finds_the_tests_of_a_paused_webhook() {
    let (mut world, webhook) = with_ten();
    world.stand(webhook, Standing::Paused);
    world.finish_all(OK);
    let test = world.test(webhook);
    world.finish(test, STATUS_500);
    world.restart();
    world.sweep();
    world.advance(seconds(3_600));
    assert!(world.scheduler.is_in_flight(test));
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 3);
}

#[test]
fn many_tests_of_a_paused_webhook_come_in_steps() {
    let mut world = World::new(LanesConfig {
        lane_rows_max: 4,
        ..LanesConfig::default()
    });
    let webhook = world.webhook(1, 1, Health::Unproven);
    world.stand(webhook, Standing::Paused);
    for _ in 0..20 {
        world.test(webhook);
    }
    world.finish_all(OK);
    world.advance(seconds(1));
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 20);
}

#[test]
fn an_answer_from_before_it_was_switched_on_does_not_switch_it_off_again() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    world.webhooks.get_mut(&webhook).unwrap().standing = Standing::Paused;
    let test = world.test(webhook);
    world.finish(test, STATUS_500);
    world.holds_refills = true;
    world.advance(seconds(3_600));
    world.stand(webhook, Standing::Active);
    world.answer_refills();
    world.holds_refills = false;
    world.answer_refills();
    world.finish_all(OK);
    assert!(matches!(world.status(test), Status::Succeeded { .. }), "{:?}", world.status(test));
    let delivery = world.commit(webhook);
    assert!(world.scheduler.is_in_flight(delivery));
}

#[test]
fn tests_among_what_memory_had_no_room_for_are_found_when_it_is_paused() {
    let mut world = World::new(LanesConfig {
        lane_rows_max: 4,
        ..LanesConfig::default()
    });
    let webhook = world.webhook(1, 1, Health::Unproven);
    for _ in 0..20 {
        world.commit(webhook);
    }
    // Its notice was lost.
    let test = world.store_with(webhook, b"{}", true);
    world.stand(webhook, Standing::Paused);
    assert!(world.scheduler.is_in_flight(test));
}

#[test]
fn an_answer_from_before_its_url_was_changed_does_not_bring_the_old_host_back() {
    let mut world = World::new(LanesConfig {
        host_in_flight_start: 1,
        host_in_flight_max: 1,
        host_in_flight_stretched_max: 1,
        ..LanesConfig::default()
    });
    let webhook = world.webhook(1, 1, Health::Well);
    world.commit(webhook);
    world.finish_first(OK);
    let other = world.webhook(2, 1, Health::Well);
    world.commit(other);
    let delivery = world.store(webhook);
    world.holds_refills = true;
    world.sweep();
    world.webhooks.get_mut(&webhook).unwrap().host = HostKey(2);
    world.stand(webhook, Standing::Active);
    world.answer_refills();
    assert!(world.scheduler.is_in_flight(delivery), "it waits for the old host");
}
