//! Rule 9: isolation is over webhooks and over hosts.

use std::time::Duration;

use postrider_lanes::LanesConfig;
use postrider_model::health::Health;
use postrider_model::id::{DeliveryId, WebhookId};
use postrider_model::time::Timestamp;

use crate::world::{OK, STATUS_500, TIMEOUT, World, seconds};

fn hanging(world: &mut World, count: u128, host: impl Fn(u64) -> u64) {
    for number in 1..=count {
        let host = host(u64::try_from(number).unwrap());
        let webhook = world.webhook(1_000_000 + number, host, Health::Unproven);
        world.commit(webhook);
        world.commit(webhook);
        world.commit(webhook);
    }
}

#[test]
fn ten_thousand_hanging_webhooks_hold_a_quarter_of_the_slots() {
    let mut world = World::new(LanesConfig::default());
    hanging(&mut world, 10_000, |number| number);
    assert!(world.in_flight.len() <= 1_024);
    assert!(world.in_flight.len() >= 256, "and are tried");
    let healthy = world.webhook(1, 1, Health::Well);
    for _ in 0..1_000 {
        let delivery = world.commit(healthy);
        assert!(world.scheduler.is_in_flight(delivery), "at once");
        world.finish(delivery, OK);
    }
}

#[test]
fn ten_thousand_webhooks_on_one_dead_host_hold_the_limit_of_a_host() {
    let mut world = World::new(LanesConfig::default());
    hanging(&mut world, 10_000, |_| 5);
    assert_eq!(world.in_flight.len(), 8);
    for _ in 0..20 {
        world.finish_first(TIMEOUT);
    }
    assert!(world.in_flight.len() <= 2, "{}", world.in_flight.len());
    let healthy = world.webhook(1, 1, Health::Unproven);
    let delivery = world.commit(healthy);
    assert!(world.scheduler.is_in_flight(delivery), "the others do not feel it");
}

#[test]
fn the_ill_leave_room_for_the_new() {
    let mut world = World::new(LanesConfig::default());
    let ill = Health::Ill {
        failures: 5,
        since: world.now.wall,
    };
    for number in 1..=2_000 {
        let webhook = world.webhook(number, u64::try_from(number).unwrap(), ill);
        world.commit(webhook);
    }
    assert_eq!(world.in_flight.len(), 256);
    let new = world.webhook(9_999, 9_999, Health::Unproven);
    let delivery = world.commit(new);
    assert!(world.scheduler.is_in_flight(delivery));
}

#[test]
fn illness_is_stored_so_that_a_restart_does_not_make_all_healthy() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    for _ in 0..100 {
        world.commit(webhook);
    }
    for _ in 0..10 {
        world.finish_first(TIMEOUT);
    }
    assert!(matches!(
        world.health_stored[..],
        [
            (_, Health::Ill { failures: 3, .. }),
            (_, Health::Ill { failures: 4, .. }),
            (_, Health::Ill { failures: 8, .. })
        ]
    ));
    world.restart();
    world.sweep();
    assert_eq!(world.in_flight.len(), 1, "it starts with one, not with two");
    world.finish_first(OK);
    assert_eq!(world.health_stored.last(), Some(&(webhook, Health::Well)));
    world.finish_all(OK);
    world.advance(seconds(60));
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 100);
}

#[test]
fn an_answer_however_unwelcome_makes_well() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Unproven);
    world.commit(webhook);
    world.finish_first(STATUS_500);
    assert_eq!(world.health_stored, [(webhook, Health::Well)]);
    world.commit(webhook);
    world.finish_first(STATUS_500);
    assert_eq!(world.health_stored.len(), 1, "said once");
}

#[test]
fn a_lane_starts_with_two_and_grows_with_success() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Unproven);
    for _ in 0..120 {
        world.commit(webhook);
    }
    assert_eq!(world.in_flight.len(), 2);
    let mut widths = Vec::new();
    while !world.in_flight.is_empty() {
        world.finish_each(|_| Some(OK));
        widths.push(world.in_flight.len());
    }
    assert!(widths.starts_with(&[4, 8, 16, 32]), "{widths:?}");
}

#[test]
fn a_time_limit_halves_it_and_an_error_does_not() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    for _ in 0..1_000 {
        world.commit(webhook);
    }
    for _ in 0..500 {
        world.finish_first(OK);
    }
    let width = world.in_flight.len();
    assert!(width >= 64);
    world.finish_first(STATUS_500);
    assert_eq!(world.in_flight.len(), width);
    world.finish_first(TIMEOUT);
    while world.in_flight.len() > 1 && world.sent.len() < 1_000 {
        let before = world.sent.len();
        world.finish_first(STATUS_500);
        if world.sent.len() > before {
            break;
        }
    }
    assert!(world.in_flight.len() <= width / 2 + 1, "{} of {width}", world.in_flight.len());
}

#[test]
fn slots_are_given_in_turn() {
    let mut world = World::new(LanesConfig {
        in_flight_max: 4,
        ..LanesConfig::default()
    });
    let webhooks: Vec<WebhookId> = (1..=10)
        .map(|number| world.webhook(number, u64::try_from(number).unwrap(), Health::Well))
        .collect();
    for webhook in &webhooks {
        for _ in 0..30 {
            world.commit(*webhook);
        }
    }
    for _ in 0..100 {
        world.finish_first(OK);
    }
    let counts: Vec<usize> = webhooks
        .iter()
        .map(|webhook| {
            world
                .sent
                .iter()
                .filter(|(_, id)| world.rows[id].delivery.webhook == *webhook)
                .count()
        })
        .collect();
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(most - least <= 3, "{counts:?}");
}

#[test]
fn where_slots_are_short_the_proven_do_not_starve_the_unproven() {
    let mut world = World::new(LanesConfig {
        in_flight_max: 32,
        ..LanesConfig::default()
    });
    for number in 1..=100 {
        let webhook = world.webhook(number, u64::try_from(number).unwrap(), Health::Well);
        for _ in 0..20 {
            world.commit(webhook);
        }
    }
    let new = world.webhook(500, 500, Health::Unproven);
    let delivery = world.commit(new);
    for _ in 0..100 {
        world.finish_first(OK);
    }
    assert_eq!(world.sent_of(delivery).len(), 1);
}

#[test]
fn lanes_that_wait_for_their_host_go_in_turn_when_it_has_room() {
    let mut world = World::new(LanesConfig {
        host_in_flight_start: 1,
        host_in_flight_max: 1,
        host_in_flight_stretched_max: 1,
        ..LanesConfig::default()
    });
    let webhooks: Vec<WebhookId> = (1..=5).map(|number| world.webhook(number, 1, Health::Well)).collect();
    for webhook in webhooks.iter().chain(&webhooks) {
        world.commit(*webhook);
    }
    assert_eq!(world.in_flight.len(), 1);
    while world.finish_first(OK) {
        assert!(world.in_flight.len() <= 1);
    }
    assert_eq!(world.succeeded(), 10);
    let first: Vec<WebhookId> = world.sent[..5].iter().map(|(_, id)| world.rows[id].delivery.webhook).collect();
    let mut distinct = first.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 5, "{first:?}");
}

#[test]
fn one_lane_never_holds_more_than_a_quarter_of_the_slots() {
    let mut world = World::new(LanesConfig {
        in_flight_max: 100,
        ..LanesConfig::default()
    });
    let busy = world.webhook(1, 1, Health::Well);
    let other = world.webhook(2, 2, Health::Well);
    for _ in 0..1_000 {
        world.commit(busy);
    }
    for _ in 0..500 {
        world.finish_first(OK);
    }
    assert_eq!(world.in_flight.len(), 25);
    // From now on it hangs, and the other does not feel it.
    let delivery = world.commit(other);
    assert!(world.scheduler.is_in_flight(delivery));
}

/// A webhook that is new now. How long its first delivery waits while nobody else answers and each attempt ends after 25 s.
fn wait_of_a_newcomer(world: &mut World, number: u128) -> Duration {
    let webhook = world.webhook(number, u64::try_from(number).unwrap(), Health::Unproven);
    let begin = world.now.mono;
    let delivery = world.commit(webhook);
    while !world.scheduler.is_in_flight(delivery) {
        pass_while_all_hang(world, Duration::from_millis(100));
        assert!(world.now.mono.since(begin) < seconds(60), "it waits for those that hang");
    }
    world.finish(delivery, OK);
    world.now.mono.since(begin)
}

fn sent_at(world: &World, delivery: DeliveryId) -> Timestamp {
    world.sent.iter().rev().find(|(_, id)| *id == delivery).unwrap().0
}

/// Time passes; what was sent 25 s ago has met its time limit.
fn pass_while_all_hang(world: &mut World, length: Duration) {
    let end = world.now.mono + length;
    while world.now.mono < end {
        world.advance(Duration::from_millis(100));
        while let Some(first) = world.in_flight.front()
            && world.now.wall.since(sent_at(world, first.delivery)) >= seconds(25)
        {
            world.finish_first(TIMEOUT);
        }
        assert!(world.in_flight.len() <= 1_024, "{}", world.in_flight.len());
    }
}

#[test]
fn a_newcomer_is_tried_within_seconds_beside_ten_thousand_hanging_hosts() {
    let mut world = World::new(LanesConfig::default());
    hanging(&mut world, 10_000, |number| 100_000 + number);
    let wake = world.scheduler.next_wake().expect("somebody waits");
    assert!(wake.since(world.now.mono) <= seconds(1), "it looks again by itself");
    for number in 1..=12 {
        let waited = wait_of_a_newcomer(&mut world, number);
        assert!(waited <= seconds(2), "number {number} waited {waited:?}");
        pass_while_all_hang(&mut world, seconds(7));
    }
    assert_eq!(world.health_stored.iter().filter(|(_, health)| health.is_well()).count(), 12);
    assert!(world.node_ill.is_empty());
}

#[test]
fn a_newcomer_is_tried_at_once_beside_ten_thousand_on_one_hanging_host() {
    let mut world = World::new(LanesConfig::default());
    hanging(&mut world, 10_000, |_| 100_000);
    for number in 1..=5 {
        assert_eq!(wait_of_a_newcomer(&mut world, number), Duration::ZERO, "number {number}");
        pass_while_all_hang(&mut world, seconds(20));
    }
}

#[test]
fn memory_full_of_what_hangs_has_room_for_the_first_row_of_a_newcomer() {
    let mut world = World::new(LanesConfig {
        memory_rows_max: 8_192,
        ..LanesConfig::default()
    });
    hanging(&mut world, 5_000, |number| 100_000 + number);
    for number in 1..=5 {
        let waited = wait_of_a_newcomer(&mut world, number);
        assert!(waited <= seconds(2), "number {number} waited {waited:?}");
    }
    let stats = world.scheduler.stats();
    assert!(stats.memory_rows <= 8_192 / 4, "{}", stats.memory_rows);
    // Those that memory gave up come back.
    for _ in 0..400 {
        pass_while_all_hang(&mut world, seconds(1));
    }
    let mut tried: Vec<WebhookId> = world.sent.iter().map(|(_, id)| world.rows[id].delivery.webhook).collect();
    tried.sort_unstable();
    tried.dedup();
    assert!(tried.len() > 3_000, "{}", tried.len());
}

#[test]
fn those_that_came_first_do_not_wait_for_all_newcomers() {
    let mut world = World::new(LanesConfig::default());
    hanging(&mut world, 400, |number| 100_000 + number);
    let early = world.webhook(1, 1, Health::Unproven);
    let delivery = world.commit(early);
    assert!(!world.scheduler.is_in_flight(delivery), "the share is crowded");
    let mut number = 10;
    while !world.scheduler.is_in_flight(delivery) {
        // More new ones than are tried in that time, and all of them hang.
        for _ in 0..20 {
            number += 1;
            let late = world.webhook(number, 1_000_000 + u64::try_from(number).unwrap(), Health::Unproven);
            world.commit(late);
        }
        pass_while_all_hang(&mut world, seconds(1));
        assert!(number < 2_000, "it starves");
    }
}

#[test]
fn newcomers_that_answer_do_not_wait_although_there_are_many() {
    let mut world = World::new(LanesConfig::default());
    for number in 1..=5_000 {
        let webhook = world.webhook(number, u64::try_from(number).unwrap(), Health::Unproven);
        world.commit(webhook);
    }
    let begin = world.now.mono;
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 5_000);
    assert_eq!(world.now.mono, begin, "as fast as they answer");
}

#[test]
fn few_lanes_hold_two_slots_while_others_wait_with_none() {
    let mut world = World::new(LanesConfig::default());
    hanging(&mut world, 1_000, |number| number);
    pass_while_all_hang(&mut world, seconds(20));
    let mut lanes: Vec<WebhookId> = world.in_flight.iter().map(|queued| queued.webhook).collect();
    let all = lanes.len();
    lanes.sort_unstable();
    lanes.dedup();
    assert!(all - lanes.len() <= 32, "{} of {all}", all - lanes.len());
}

#[test]
fn after_its_first_illness_a_lane_is_one_of_the_ill() {
    let mut world = World::new(LanesConfig::default());
    let failed = world.webhook(1, 1, Health::Unproven);
    world.commit(failed);
    world.finish_first(TIMEOUT);
    let ill = Health::Ill {
        failures: 5,
        since: world.now.wall,
    };
    for number in 10..=1_000 {
        let webhook = world.webhook(number, u64::try_from(number).unwrap(), ill);
        world.commit(webhook);
    }
    let again = world.commit(failed);
    assert!(!world.scheduler.is_in_flight(again), "it waits with them");
    let new = world.webhook(2, 2, Health::Unproven);
    let first = world.commit(new);
    assert!(world.scheduler.is_in_flight(first), "the new do not");
}

#[test]
fn who_was_well_and_falls_ill_does_not_wait_behind_all_that_hang() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Unproven);
    world.commit(webhook);
    world.finish_first(OK);
    let ill = Health::Ill {
        failures: 5,
        since: world.now.wall,
    };
    for number in 2..=10_000 {
        let hanging = world.webhook(number, u64::try_from(number).unwrap(), ill);
        world.commit(hanging);
    }
    for _ in 0..3 {
        let delivery = world.commit(webhook);
        world.finish(delivery, TIMEOUT);
    }
    let probe = world.commit(webhook);
    pass_while_all_hang(&mut world, seconds(26));
    assert_eq!(world.sent_of(probe).len(), 1);
}
