//! Rule 10: limits count bytes.

use postrider_lanes::LanesConfig;
use postrider_lanes::input::{LaneWebhook, Standing};
use postrider_model::health::Health;

use crate::world::{OK, TIMEOUT, World, seconds};

static BODY: [u8; 10_000] = [b'x'; 10_000];

#[test]
fn memory_is_bounded_in_bytes_and_all_is_sent() {
    let mut world = World::new(LanesConfig {
        memory_bytes_max: 200_000,
        refills_max: 2,
        ..LanesConfig::default()
    });
    for number in 1..=10 {
        let webhook = world.webhook(number, u64::try_from(number).unwrap(), Health::Well);
        for _ in 0..30 {
            let delivery = world.store_with(webhook, &BODY, false);
            world.hand_over(delivery);
            // The first row of each refill comes whatever its size.
            assert!(world.scheduler.stats().memory_bytes <= 200_000 + 2 * 10_256);
        }
    }
    while world.finish_first(OK) {
        assert!(world.scheduler.stats().memory_bytes <= 200_000 + 2 * 10_256);
    }
    assert_eq!(world.succeeded(), 300);
    assert_eq!(world.scheduler.stats().memory_bytes, 0);
}

#[test]
fn a_million_waiting_for_one_receiver_take_no_more_than_its_share() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Unproven);
    for _ in 0..3_000 {
        world.commit(webhook);
    }
    assert!(world.scheduler.stats().memory_rows <= 130);
    for _ in 0..50 {
        world.advance(seconds(25));
        world.finish_each(|_| Some(TIMEOUT));
    }
    assert!(world.scheduler.stats().memory_rows <= 2, "while its circuit is open: one probe");
}

#[test]
fn the_unproven_and_the_ill_hold_a_quarter_of_memory() {
    let mut world = World::new(LanesConfig {
        memory_rows_max: 1_000,
        in_flight_max: 64,
        ..LanesConfig::default()
    });
    for number in 1..=500 {
        let webhook = world.webhook(number, u64::try_from(number).unwrap(), Health::Unproven);
        for _ in 0..5 {
            world.commit(webhook);
        }
        assert!(world.scheduler.stats().memory_rows <= 250);
    }
    let healthy = world.webhook(1_000, 1_000, Health::Well);
    let delivery = world.commit(healthy);
    assert!(world.scheduler.is_in_flight(delivery));
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 2_501);
}

#[test]
fn lanes_that_have_no_room_in_memory_take_turns_at_the_store() {
    let mut world = World::new(LanesConfig {
        memory_rows_max: 64,
        lane_rows_max: 8,
        refills_max: 2,
        ..LanesConfig::default()
    });
    for number in 1..=40 {
        let webhook = world.webhook(number, u64::try_from(number).unwrap(), Health::Well);
        for _ in 0..20 {
            world.commit(webhook);
            assert!(world.scheduler.stats().memory_rows <= 64);
        }
    }
    while world.finish_first(OK) {
        assert!(world.scheduler.stats().memory_rows <= 64 + 2);
    }
    assert_eq!(world.succeeded(), 800);
}

#[test]
fn a_body_larger_than_what_is_free_still_gets_through() {
    let mut world = World::new(LanesConfig {
        memory_bytes_max: 12_000,
        ..LanesConfig::default()
    });
    let webhook = world.webhook(1, 1, Health::Unproven);
    for _ in 0..3 {
        let delivery = world.store_with(webhook, &BODY, false);
        world.hand_over(delivery);
    }
    while world.finish_first(OK) {
        assert!(world.scheduler.stats().memory_bytes <= 24_000);
    }
    assert_eq!(world.succeeded(), 3);
}

#[test]
fn a_restart_with_many_ill_webhooks_reaches_the_healthy_at_once() {
    let mut world = World::new(LanesConfig {
        memory_rows_max: 2_000,
        ..LanesConfig::default()
    });
    let ill = Health::Ill {
        failures: 8,
        since: world.now.wall,
    };
    for number in 1..=2_000 {
        let webhook = world.webhook(number, u64::try_from(number).unwrap(), ill);
        world.store(webhook);
        world.store(webhook);
    }
    let healthy = world.webhook(5_000, 5_000, Health::Well);
    let delivery = world.store(healthy);
    world.sweep();
    assert!(world.scheduler.is_in_flight(delivery));
    assert!(world.scheduler.stats().memory_rows <= 520);
}

#[test]
fn what_a_lane_kept_does_not_grow_with_what_it_has_sent() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    for _ in 0..2_000 {
        world.commit(webhook);
        world.finish_all(OK);
    }
    let stats = world.scheduler.stats();
    assert_eq!((stats.lanes, stats.memory_rows, stats.unrecorded, stats.waiting), (1, 0, 0, 0));
    let lane = LaneWebhook {
        standing: Standing::Deleted,
        ..world.webhooks[&webhook]
    };
    world.input(postrider_lanes::Input::WebhookChanged { lane });
    assert!(world.scheduler.stats().lanes <= 1);
}
