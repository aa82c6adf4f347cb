//! Work and changes at one node that concern another.

use std::time::Duration;

use postrider_model::delivery::Status;
use postrider_model::webhook::{Rotation, WebhookChange};
use postrider_ports::nodes::{Roles, Wake};
use postrider_ports::once::Write;
use postrider_ports::registry::WebhookEdit;

use crate::receivers::Does;
use crate::world::{ACCOUNT, LEASE, World};

const MS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn what_one_node_takes_in_another_sends_within_milliseconds() {
    let world = World::with(3);
    let webhooks = world.webhooks(12);
    world.pass(Duration::from_secs(1));
    world.post_at(0);
    world.pass(MS(10));
    assert_eq!(world.succeeded(), webhooks.len());
    let nodes: std::collections::BTreeSet<_> = world.sent().into_iter().map(|sent| sent.node).collect();
    assert_eq!(nodes.len(), 3, "each sends for its own slots");
    world.check();
}

#[test]
fn where_wakes_are_lost_the_sweep_finds_it() {
    let world = World::with(2);
    let webhooks = world.webhooks(12);
    world.node(0).door.lose_wakes(true);
    world.post_at(0);
    world.pass(MS(100));
    assert!(world.succeeded() < webhooks.len());
    world.pass(Duration::from_secs(11));
    assert_eq!(world.succeeded(), webhooks.len());
    world.check();
}

#[test]
fn what_one_node_takes_in_another_sends_without_reading_it_back() {
    let world = World::with(3);
    let webhooks = world.webhooks(12);
    // A lane reads once, for an earlier owner of its slot may have sent something.
    (0..3).for_each(|node| world.post_at(node));
    world.pass(MS(100));
    assert_eq!(world.succeeded(), webhooks.len() * 3);
    world.store.refuse_reads(u32::MAX);
    (0..3).for_each(|node| world.post_at(node));
    world.pass(MS(100));
    world.store.heal();
    assert_eq!(world.succeeded(), webhooks.len() * 6);
    assert_eq!(world.sent().len(), webhooks.len() * 6);
    world.check();
}

#[test]
fn a_wake_that_failed_is_said_again() {
    let world = World::with(2);
    let webhooks = world.webhooks(12);
    world.node(0).door.cut_off(true);
    world.post_at(0);
    world.pass(MS(100));
    assert!(world.succeeded() < webhooks.len());
    world.node(0).door.cut_off(false);
    world.pass(MS(1_100));
    assert_eq!(world.succeeded(), webhooks.len(), "long before the next sweep");
    world.check();
}

#[test]
fn what_was_missed_is_found_though_its_lane_is_at_work() {
    let world = World::with(2);
    let webhook = *world.webhooks(12).iter().find(|webhook| world.owner(**webhook) == Some(1)).unwrap();
    world.let_it(webhook, Does::TakeFor(Duration::from_secs(14)));
    world.post_at(1);
    world.pass(MS(100));
    assert_eq!(world.sent_to(webhook).len(), 1);
    world.let_it(webhook, Does::Succeed);
    world.node(0).door.lose_wakes(true);
    world.post_at(0);
    world.pass(Duration::from_secs(11));
    assert_eq!(world.sent_to(webhook).len(), 1, "a lane at work is not looked for by the sweep");
    world.node(0).door.lose_wakes(false);
    world.wake_all(Wake::Missed);
    world.pass(MS(200));
    assert_eq!(world.sent_to(webhook).len(), 2);
    world.pass(Duration::from_secs(11));
    world.check();
}

#[test]
fn a_node_that_only_answers_requests_sends_nothing_and_wakes_who_does() {
    let mut world = World::empty(7);
    let api = world.start_as(
        Roles {
            api: true,
            dispatch: false,
        },
        0,
    );
    let dispatch = world.start_as(
        Roles {
            api: false,
            dispatch: true,
        },
        0,
    );
    world.pass(LEASE);
    assert_eq!(world.shares(), [0, 1_024]);
    let webhooks = world.webhooks(6);
    for _ in 0..5 {
        world.post_at(api);
        world.pass(MS(10));
    }
    assert_eq!(world.succeeded(), 5 * webhooks.len());
    assert!(world.sent().iter().all(|sent| sent.node == world.node(dispatch).name));
    assert!(!world.node(api).engine.is_dispatching() && world.node(dispatch).engine.is_dispatching());
    world.check();
}

#[test]
fn a_webhook_changed_on_one_node_is_seen_by_what_is_posted_after_it_on_any() {
    let world = World::with(3);
    let webhooks = world.webhooks(6);
    for index in 0..3 {
        // Everybody has the account in its cache.
        world.post_at(index);
    }
    world.settle();
    world.hall_is_silent();
    let made = world.webhook_at(1, 424_242);
    let before = world.store.look_deliveries().len();
    world.post_at(2);
    world.settle();
    let after = world.store.look_deliveries();
    assert_eq!(
        after.len(),
        before + webhooks.len() + 1,
        "the new one among them, though nobody was woken"
    );
    assert_eq!(after.iter().filter(|record| record.delivery.webhook == made).count(), 1);
}

#[test]
fn a_pause_a_new_secret_and_a_deletion_reach_the_owner() {
    let world = World::with(2);
    let webhooks = world.webhooks(8);
    let theirs = *webhooks.iter().find(|webhook| world.owner(**webhook) == Some(1)).unwrap();
    let edit = |change: WebhookEdit| {
        world.call(0, |engine| async move {
            engine.edit_webhook(ACCOUNT, theirs, change).await.unwrap();
        });
        world.pass(MS(20));
    };
    let active = |is_active| {
        WebhookEdit::Change(WebhookChange {
            is_active: Some(is_active),
            ..WebhookChange::default()
        })
    };
    world.let_it(theirs, Does::Fail);
    world.post_at(1);
    world.settle();
    assert_eq!(world.sent_to(theirs).len(), 1);
    edit(active(false));
    world.pass(Duration::from_secs(30));
    assert_eq!(world.sent_to(theirs).len(), 1, "its retry waits");
    edit(WebhookEdit::Rotate(Rotation {
        secret: postrider_model::secret::SigningSecret::from_bytes(&[9; 32]).unwrap(),
        grace: Duration::from_secs(3_600),
    }));
    edit(active(true));
    let sent = world.sent_to(theirs);
    assert_eq!(sent.len(), 2, "it goes on at once");
    assert_eq!(
        (sent[1].node.as_str(), sent[1].signature_of),
        ("node-1", 2),
        "signed with both secrets"
    );
    world.call(0, |engine| async move {
        assert!(engine.delete_webhook(ACCOUNT, theirs).await.unwrap());
    });
    world.pass(Duration::from_secs(120));
    assert_eq!(world.sent_to(theirs).len(), 2, "nothing goes to a deleted one");
    assert_eq!(world.pending(), 0);
    world.check();
}

#[test]
fn a_retry_asked_of_any_node_is_made_once_and_at_once() {
    let world = World::with(2);
    let webhooks = world.webhooks(8);
    let theirs = *webhooks.iter().find(|webhook| world.owner(**webhook) == Some(1)).unwrap();
    world.let_it(theirs, Does::Fail);
    world.post_at(1);
    world.settle();
    let delivery = world.sent_to(theirs)[0].delivery;
    for (asked, index) in [0, 1].into_iter().enumerate() {
        world.call(index, |engine| async move {
            let write = Write::RetryDelivery(engine.draft_retry(ACCOUNT, delivery));
            engine.write(write, None).await.unwrap();
        });
        world.pass(MS(20));
        let sent = world.sent_to(theirs);
        assert_eq!(sent.len(), 2 + asked, "asked of node {index}");
        assert_eq!(sent.last().unwrap().node, "node-1");
        world.pass(Duration::from_secs(2));
        assert_eq!(world.sent_to(theirs).len(), 2 + asked, "told by the feed again, made once");
    }
    world.check();
}

#[test]
fn a_test_asked_of_any_node_is_sent_by_the_owner() {
    let world = World::with(2);
    let webhooks = world.webhooks(8);
    let theirs = *webhooks.iter().find(|webhook| world.owner(**webhook) == Some(1)).unwrap();
    world.call(0, |engine| async move {
        let draft = engine.draft_test(
            ACCOUNT,
            theirs,
            postrider_model::name::EventName::parse("order.test").unwrap(),
            "{}",
        );
        let write = Write::CreateTest(draft.delivery, draft.payload);
        engine.write(write, None).await.unwrap();
    });
    world.pass(MS(20));
    let sent = world.sent_to(theirs);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].node, "node-1");
    world.pass(Duration::from_secs(60));
    assert_eq!(world.sent_to(theirs).len(), 1);
    let all = world.store.look_deliveries();
    assert!(all.iter().all(|record| matches!(record.delivery.status, Status::Succeeded { .. })));
    world.check();
}

#[test]
fn a_command_whose_wake_was_lost_is_found_in_the_feed() {
    let world = World::with(2);
    let webhooks = world.webhooks(8);
    let theirs = *webhooks.iter().find(|webhook| world.owner(**webhook) == Some(1)).unwrap();
    world.let_it(theirs, Does::Fail);
    world.post_at(1);
    world.settle();
    let delivery = world.sent_to(theirs)[0].delivery;
    world.hall_is_silent();
    world.call(0, |engine| async move {
        let write = Write::RetryDelivery(engine.draft_retry(ACCOUNT, delivery));
        engine.write(write, None).await.unwrap();
    });
    world.pass(MS(600));
    assert_eq!(world.sent_to(theirs).len(), 2, "polled beneath the notice");
    world.check();
}

#[test]
fn an_owner_is_woken_every_six_milliseconds_at_most_and_for_all_that_came_meanwhile() {
    let world = World::with(2);
    let webhooks = world.webhooks(12);
    world.post_at(0);
    world.pass(Duration::from_secs(3));
    let (woken, sent) = (world.node(0).door.look_wakes(), world.succeeded());
    for _ in 0..60 {
        world.post_at(0);
        world.pass(MS(1));
    }
    let woken = world.node(0).door.look_wakes() - woken;
    assert!((10..=11).contains(&woken), "{woken} times in 60 ms");
    world.pass(MS(10));
    assert_eq!(world.succeeded() - sent, 60 * webhooks.len());
    world.check();
}

/// Three nodes of which the last has died and is known to be dead, and the webhooks that went to the second: the first knows nothing of that yet,
/// for it saw their slots when they were nobody's.
fn moved_to_the_second(loses_wakes: bool) -> (World, Vec<postrider_model::id::WebhookId>) {
    let mut world = World::with(3);
    let mut webhooks = world.webhooks(24);
    webhooks.retain(|webhook| world.owner(*webhook) == Some(2));
    world.pass_to_beat_of(0);
    world.node(1).door.lose_wakes(loses_wakes);
    world.bury(2);
    world.settle();
    webhooks.retain(|webhook| world.owner(*webhook) == Some(1));
    assert!(!webhooks.is_empty());
    (world, webhooks)
}

#[test]
fn who_takes_slots_says_so_and_what_is_taken_in_from_then_on_is_sent_at_once() {
    let (world, webhooks) = moved_to_the_second(false);
    world.pass(MS(10));
    world.post_at(0);
    world.pass(MS(10));
    for webhook in &webhooks {
        assert_eq!(world.sent_to(*webhook).len(), 1);
    }
    world.check();
}

#[test]
fn what_was_taken_in_for_slots_that_nobody_was_known_to_own_is_found_within_a_fifth_of_a_beat() {
    let (world, webhooks) = moved_to_the_second(true);
    world.post_at(0);
    world.pass(MS(100));
    for webhook in &webhooks {
        assert_eq!(world.sent_to(*webhook).len(), 0, "nobody was told of it");
    }
    world.pass(MS(110));
    for webhook in &webhooks {
        assert_eq!(world.sent_to(*webhook).len(), 1);
    }
    world.check();
}

#[test]
fn where_word_of_a_taking_is_lost_what_is_taken_in_is_found_within_two_beats() {
    let (world, webhooks) = moved_to_the_second(true);
    let busy = webhooks[0];
    world.let_it(busy, Does::TakeFor(Duration::from_secs(20)));
    world.node(1).door.lose_wakes(false);
    world.post_at(1);
    world.pass(MS(500));
    // Until its next beat the first tells nobody.
    world.post_at(0);
    world.pass(MS(20));
    assert_eq!(world.sent_to(busy).len(), 1);
    world.pass(MS(1_500));
    assert_eq!(world.sent_to(busy).len(), 2, "though its lane is at work");
    for webhook in &webhooks {
        assert_eq!(world.sent_to(*webhook).len(), 2);
    }
    world.check();
}
