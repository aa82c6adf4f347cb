//! Rule 7: a fault on our side is no attempt; if most hosts seem to fail at once, the node is ill, not they.

use postrider_lanes::LanesConfig;
use postrider_lanes::input::Finish;
use postrider_model::attempt::ErrorKind;
use postrider_model::health::Health;
use postrider_model::id::WebhookId;

use crate::world::{OK, STATUS_500, TIMEOUT, World, seconds};

/// So many webhooks, each on a host of its own, each with one delivery in flight.
fn sending(count: u64, health: Health) -> (World, Vec<WebhookId>) {
    let mut world = World::new(LanesConfig::default());
    let webhooks: Vec<WebhookId> = (1..=count)
        .map(|number| world.webhook(u128::from(number), number, health))
        .collect();
    for webhook in &webhooks {
        world.commit(*webhook);
    }
    assert_eq!(world.in_flight.len(), webhooks.len());
    (world, webhooks)
}

fn attempts(world: &World) -> u32 {
    world.rows.values().map(|row| row.delivery.progress.attempts).sum()
}

#[test]
fn a_fault_on_our_side_is_no_attempt() {
    let (mut world, _) = sending(1, Health::Well);
    world.finish_first(Finish::LocalFault);
    assert_eq!(attempts(&world), 0);
    assert_eq!(world.node_ill, [true]);
    assert!(world.in_flight.is_empty(), "not at once again");
    world.advance(seconds(1));
    assert_eq!(world.in_flight.len(), 1);
    world.finish_first(OK);
    assert_eq!(world.node_ill, [true, false]);
    assert_eq!(world.succeeded(), 1);
    assert_eq!(attempts(&world), 1);
}

#[test]
fn while_we_lack_something_one_delivery_a_second_is_tried() {
    let (mut world, webhooks) = sending(30, Health::Well);
    world.finish_each(|_| Some(Finish::LocalFault));
    let before = world.sent.len();
    for webhook in &webhooks {
        world.commit(*webhook);
    }
    assert_eq!(world.sent.len(), before);
    for _ in 0..5 {
        world.advance(seconds(1));
        world.finish_all(Finish::LocalFault);
    }
    assert_eq!(world.sent.len() - before, 5);
    assert_eq!(world.node_ill, [true], "said once");
    world.advance(seconds(1));
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 60, "all of it goes out once it works again");
    assert_eq!(world.node_ill, [true, false]);
}

#[test]
fn most_hosts_failing_at_once_is_our_fault_and_not_recorded() {
    let (mut world, _) = sending(100, Health::Well);
    world.finish_each(|_| Some(TIMEOUT));
    assert_eq!(world.node_ill, [true]);
    assert_eq!(attempts(&world), 19, "those before it was seen");
    assert!(world.scheduler.stats().is_ill);
    // A trickle only, and what it meets is not recorded either.
    let before = world.sent.len();
    for _ in 0..60 {
        world.advance(seconds(1));
        world.finish_all(TIMEOUT);
    }
    assert!(world.sent.len() - before <= 60);
    assert!(world.sent.len() - before >= 50);
    assert_eq!(attempts(&world), 19);
    // The first answer ends it, whatever it says.
    world.advance(seconds(1));
    world.finish_first(STATUS_500);
    assert_eq!(world.node_ill, [true, false]);
    world.finish_all(OK);
    world.advance(seconds(3_600));
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 100);
}

#[test]
fn ten_thousand_hanging_hosts_that_never_answered_say_nothing_about_us() {
    let mut world = World::new(LanesConfig::default());
    let healthy = world.webhook(1, 1, Health::Well);
    for number in 2..=10_000 {
        let webhook = world.webhook(number, u64::try_from(number).unwrap(), Health::Unproven);
        world.commit(webhook);
    }
    for _ in 0..10 {
        world.advance(seconds(25));
        world.finish_each(|_| Some(TIMEOUT));
    }
    assert!(world.node_ill.is_empty());
    let delivery = world.commit(healthy);
    world.finish(delivery, OK);
    assert!(world.node_ill.is_empty());
}

#[test]
fn one_answer_among_many_failures_proves_our_side() {
    let (mut world, webhooks) = sending(38, Health::Well);
    let lucky = webhooks[19];
    world.finish_each(|queued| Some(if queued.webhook == lucky { OK } else { TIMEOUT }));
    assert!(world.node_ill.is_empty());
    assert_eq!(attempts(&world), 38);
}

#[test]
fn many_webhooks_of_one_host_are_one_host() {
    let mut world = World::new(LanesConfig::default());
    for number in 1..=100 {
        let webhook = world.webhook(number, 1, Health::Well);
        world.commit(webhook);
    }
    world.finish_all(TIMEOUT);
    assert!(world.node_ill.is_empty());
}

#[test]
fn a_delivery_withdrawn_at_the_last_moment_is_no_attempt() {
    use postrider_lanes::input::Standing;
    let (mut world, webhooks) = sending(1, Health::Well);
    let withdrawn = Finish::Withdrawn {
        standing: Standing::Paused,
    };
    world.webhooks.get_mut(&webhooks[0]).unwrap().standing = Standing::Paused;
    world.finish_first(withdrawn);
    assert_eq!(attempts(&world), 0);
    assert!(world.in_flight.is_empty());
    world.stand(webhooks[0], Standing::Active);
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 1);
}

#[test]
fn hosts_that_hang_and_then_break_off_are_not_proven_by_it() {
    let mut world = World::new(LanesConfig::default());
    let healthy = world.webhook(1, 1, Health::Unproven);
    world.commit(healthy);
    world.finish_first(OK);
    for number in 2..=10_000 {
        let webhook = world.webhook(number, u64::try_from(number).unwrap(), Health::Unproven);
        world.commit(webhook);
    }
    // What hangs is closed at once, and from then on nobody listens there.
    let closed = Finish::Failed {
        is_illness: ErrorKind::Protocol.is_illness(),
        retry_after: None,
    };
    world.advance(seconds(20));
    world.finish_each(|_| Some(closed));
    for _ in 0..30 {
        world.advance(seconds(1));
        world.finish_each(|_| Some(TIMEOUT));
    }
    assert!(world.node_ill.is_empty(), "they say nothing about us");
    let delivery = world.commit(healthy);
    assert!(world.scheduler.is_in_flight(delivery));
    world.finish(delivery, OK);
}
