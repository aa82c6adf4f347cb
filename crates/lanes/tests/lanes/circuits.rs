//! Circuits: while a receiver is ill, only a probe now and then.

use postrider_lanes::Input;
use postrider_lanes::LanesConfig;
use postrider_lanes::input::{HostKey, LaneWebhook};
use postrider_model::health::Health;
use postrider_model::id::WebhookId;

use crate::world::{OK, STATUS_500, TIMEOUT, World, seconds};

/// A webhook whose circuit has just opened, with work waiting.
fn opened() -> (World, WebhookId) {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    for _ in 0..60 {
        world.commit(webhook);
    }
    for _ in 0..20 {
        world.finish_first(TIMEOUT);
    }
    assert_eq!(world.scheduler.stats().circuits_open, 1);
    (world, webhook)
}

#[test]
fn twenty_illnesses_in_a_row_open_it_and_an_answer_closes_it() {
    let (mut world, _) = opened();
    world.finish_all(TIMEOUT);
    assert_eq!(world.in_flight.len(), 0);
    assert!(world.scheduler.stats().waiting <= 1);
    let sent = world.sent.len();
    world.advance(seconds(4));
    assert_eq!(world.sent.len(), sent);
    world.advance(seconds(1));
    assert_eq!(world.sent.len(), sent + 1, "one probe");
    world.finish_first(STATUS_500);
    assert_eq!(world.scheduler.stats().circuits_open, 0);
    world.finish_all(OK);
    world.advance(seconds(3_600));
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 60);
}

#[test]
fn probes_become_rarer_up_to_one_a_minute() {
    let (mut world, _) = opened();
    world.finish_all(TIMEOUT);
    let sent = world.sent.len();
    world.advance(seconds(1));
    for _ in 0..1_200 {
        world.advance(seconds(1));
        world.finish_all(TIMEOUT);
    }
    let probes = world.sent.len() - sent;
    // 5 + 10 + 20 + 40 s, then one a minute.
    assert!((20..=24).contains(&probes), "{probes}");
}

#[test]
fn a_lone_delivery_keeps_its_schedule() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Unproven);
    let delivery = world.commit(webhook);
    world.finish_all(TIMEOUT);
    for _ in 0..95 {
        world.advance(seconds(3_600));
        world.finish_all(TIMEOUT);
    }
    assert_eq!(world.sent_of(delivery).len(), 13);
    assert_eq!(world.scheduler.stats().circuits_open, 0);
}

#[test]
fn another_url_begins_anew() {
    let (mut world, webhook) = opened();
    world.finish_all(TIMEOUT);
    let lane = LaneWebhook {
        host: HostKey(2),
        health: Health::Unproven,
        ..world.webhooks[&webhook]
    };
    world.webhooks.insert(webhook, lane);
    world.input(Input::WebhookChanged { lane });
    assert_eq!(world.scheduler.stats().circuits_open, 0);
    assert_eq!(world.scheduler.stats().hosts, 1);
    world.advance(seconds(3_600));
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 60);
}

#[test]
fn a_restart_keeps_it_open_and_probes_at_once() {
    let (mut world, _) = opened();
    for _ in 0..12 {
        world.finish_first(TIMEOUT);
    }
    world.finish_all(TIMEOUT);
    for _ in 0..30 {
        world.advance(seconds(60));
        world.finish_all(TIMEOUT);
    }
    world.restart();
    world.sweep();
    assert_eq!(world.scheduler.stats().circuits_open, 1);
    assert_eq!(world.in_flight.len(), 1);
}
