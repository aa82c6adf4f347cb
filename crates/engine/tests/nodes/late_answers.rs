//! Beats whose answers are long on their way.

use std::time::Duration;

use postrider_model::id::WebhookId;
use postrider_ports::Clock as _;

use crate::world::{LEASE, World};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// How long a lease holds, from the moment at which its beat was sent.
const HELD: Duration = Duration::from_millis(4_500);

fn of_node(world: &World, webhooks: &[WebhookId], index: usize) -> Vec<WebhookId> {
    webhooks
        .iter()
        .copied()
        .filter(|webhook| world.owner(*webhook) == Some(index))
        .collect()
}

#[test]
fn a_slot_that_was_taken_while_a_beat_was_under_way_for_longer_than_the_lease_is_sent_for() {
    let mut world = World::with(2);
    let webhooks = world.webhooks(12);
    let theirs = of_node(&world, &webhooks, 1);
    assert!(!theirs.is_empty());
    world.pass_to_beat_of(0);
    world.node(0).door.hold_answers(true);
    world.pass_to_beat_of(0);
    world.pass(MS(1));
    // The roster on its way knows nothing of what is taken now.
    world.bury(1);
    world.pass(MS(20));
    assert_eq!(world.shares(), [1_024]);
    // The lease of the beat before has run out, and that of this one has not.
    world.pass(HELD - MS(900));
    world.node(0).door.hold_answers(false);
    // The next beat follows at once, and tells.
    world.pass(MS(100));
    world.post_at(0);
    world.pass(MS(100));
    assert_eq!(world.succeeded(), webhooks.len());
    world.check();
}

#[test]
fn the_lease_counts_from_when_the_beat_was_sent_not_from_its_answer() {
    let world = World::with(2);
    let webhooks = world.webhooks(12);
    let ours = of_node(&world, &webhooks, 0).len();
    assert!(ours > 0);
    world.pass_to_beat_of(0);
    world.node(0).door.hold_answers(true);
    world.pass_to_beat_of(0);
    let sent = world.clock.mono();
    world.pass(HELD - MS(300));
    // What was asked for comes through at last, and nothing after it.
    world.node(0).door.cut_off(true);
    world.node(0).door.hold_answers(false);
    world.pass(MS(50));
    world.post_at(0);
    world.pass(MS(50));
    assert_eq!(world.sent().len(), ours, "it holds still");
    world.pass(HELD + MS(20) - world.clock.mono().since(sent));
    world.post_at(0);
    world.pass(MS(400));
    assert_eq!(world.sent().len(), ours, "no longer than nine tenths of it after it was asked for");
    world.check();
}

#[test]
fn who_is_cut_off_sends_for_nine_tenths_of_its_lease_and_no_longer() {
    let world = World::with(2);
    let webhooks = world.webhooks(12);
    let theirs = of_node(&world, &webhooks, 1)[0];
    world.pass_to_beat_of(1);
    let beaten = world.clock.mono();
    world.node(1).door.cut_off(true);
    while world.owner(theirs) == Some(1) {
        world.post_at(1);
        world.pass(MS(20));
        assert!(world.clock.mono().since(beaten) < 2 * LEASE);
    }
    let last = world
        .sent_to(theirs)
        .iter()
        .filter(|sent| sent.node == "node-1")
        .map(|sent| sent.at)
        .max();
    let stopped = MS(last.unwrap()).saturating_sub(MS(beaten.as_nanos() / 1_000_000));
    // When it was seen to beat is known to 10 ms.
    assert!(
        stopped <= HELD && stopped > HELD - MS(100),
        "it sent until {stopped:?} after its last beat"
    );
    world.check();
}
