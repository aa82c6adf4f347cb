//! The store is gone for a while.

use std::time::Duration;

use postrider_engine::IngestError;
use postrider_lanes::LanesConfig;
use postrider_model::account::AccountChange;
use postrider_model::id::WebhookId;
use postrider_ports::store::Recorded;
use postrider_ports::{Registry as _, StoreError};

use crate::world::{ACCOUNT, Does, World};

#[tokio::test]
async fn outcomes_that_cannot_be_recorded_have_a_hard_limit() {
    let world = World::with(|settings| {
        settings.lanes = LanesConfig {
            unrecorded_max: 5,
            ..LanesConfig::default()
        };
    })
    .await;
    let webhook = world.webhook(2, &[]).await;
    world.let_it(webhook, Does::TakeFor(Duration::from_secs(1)));
    world.post(&["order.filled"; 40]).await.unwrap();
    // All are stored, and from now on nothing is.
    world.store.refuse_writes(u32::MAX);
    world.pass(Duration::from_secs(120)).await;
    assert_eq!((world.sent().len(), world.succeeded()), (5, 0));
    assert_eq!(world.engine.load().unrecorded, 5);
    world.store.heal();
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(world.succeeded(), 40);
    assert_eq!(world.sent().len(), 40, "nothing was sent twice");
}

#[tokio::test]
async fn an_event_that_was_not_stored_is_not_acknowledged() {
    let world = World::new().await;
    world.webhook(2, &[]).await;
    // What is written at start is written.
    world.settle().await;
    world.store.refuse_writes(1);
    let refused = world.post(&["order.filled"]).await.unwrap_err();
    assert!(matches!(refused, IngestError::Store(StoreError::Unavailable { .. })));
    assert!(world.sent().is_empty() && world.statuses().is_empty());
}

#[tokio::test]
async fn an_event_whose_answer_was_lost_is_found_by_the_sweep() {
    let world = World::new().await;
    world.webhook(2, &[]).await;
    // What is written at start is written.
    world.settle().await;
    world.store.lose_answers(1);
    let lost = world.post(&["order.filled"]).await.unwrap_err();
    assert!(matches!(lost, IngestError::Store(StoreError::Unknown { .. })));
    world.pass(Duration::from_secs(15)).await;
    assert_eq!(world.succeeded(), 1);
}

#[tokio::test]
async fn a_stale_account_is_key_changed_and_the_next_try_sees_the_change() {
    let world = World::new().await;
    world.webhook(2, &[]).await;
    world.post(&["order.filled"]).await.unwrap();
    // Another process changes the account: this one has not heard of it.
    let change = AccountChange {
        name: Some("Acme Ltd".to_owned()),
        ..AccountChange::default()
    };
    let now = postrider_ports::Clock::wall(&world.clock);
    world.store.change_account(ACCOUNT, change, now).await.unwrap();
    assert_eq!(world.post(&["order.filled"]).await.unwrap_err(), IngestError::KeyChanged);
    world.post(&["order.filled"]).await.unwrap();
    assert_eq!(world.succeeded(), 2);
}

/// How many attempts there were for a webhook.
fn attempts(world: &World, webhook: WebhookId) -> usize {
    world.sent().iter().filter(|sent| sent.webhook.id == webhook).count()
}

/// Two webhooks that have been delivered to: the outcomes of the first are not recorded from now on.
async fn stuck_and_sound(told: Recorded) -> (World, WebhookId, WebhookId) {
    let world = World::new().await;
    let (stuck, sound) = (world.webhook(2, &["bad.*"]).await, world.webhook(3, &["good.*"]).await);
    world.post(&["good.first", "bad.first"]).await.unwrap();
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(world.succeeded(), 2);
    world.store.stick(stuck, told);
    (world, stuck, sound)
}

#[tokio::test]
async fn a_refused_outcome_is_tried_again_at_leisure_and_harms_no_other() {
    let (world, stuck, sound) = stuck_and_sound(Recorded::Refused).await;
    world.post(&["bad.filled"; 30]).await.unwrap();
    world.post(&["good.filled"; 30]).await.unwrap();
    world.pass(Duration::from_secs(21)).await;
    assert_eq!(world.succeeded(), 32, "those of the sound one");
    assert_eq!(attempts(&world, sound), 31);
    // At once, and each five seconds, give or take the sweep that finds them.
    let attempts = attempts(&world, stuck);
    assert!((61..=30 * 6).contains(&attempts), "{attempts} attempts");
    world.store.heal();
    world.pass(Duration::from_secs(20)).await;
    assert_eq!(world.succeeded(), 62);
}

#[tokio::test]
async fn a_webhook_whose_outcomes_are_refused_leaves_room_to_others() {
    let (world, stuck, sound) = stuck_and_sound(Recorded::Refused).await;
    for _ in 0..10 {
        world.post(&["bad.filled"; 1_000]).await.unwrap();
    }
    world.pass(Duration::from_secs(4)).await;
    let first = attempts(&world, stuck);
    assert!(first < 4_000, "{first} attempts");
    assert_eq!(world.engine.load().unrecorded, first - 1, "all of them are still unrecorded");
    world.post(&["good.filled"; 30]).await.unwrap();
    world.pass(Duration::from_millis(500)).await;
    assert_eq!((world.succeeded(), attempts(&world, sound)), (32, 31));
    assert_eq!(attempts(&world, stuck), first, "it waits");
    world.store.heal();
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.succeeded(), 10_032);
}

#[tokio::test]
async fn an_outcome_whose_row_others_hold_is_recorded_later_and_nothing_is_sent_twice() {
    let (world, stuck, sound) = stuck_and_sound(Recorded::Locked).await;
    world.post(&["bad.filled"; 30]).await.unwrap();
    world.post(&["good.filled"; 30]).await.unwrap();
    world.pass(Duration::from_secs(9)).await;
    assert_eq!((world.succeeded(), attempts(&world, sound)), (32, 31), "those of the sound one");
    let counted = world.engine.counters().deliveries_succeeded.get();
    world.store.heal();
    world.pass(Duration::from_secs(3)).await;
    assert_eq!((world.succeeded(), attempts(&world, stuck)), (62, 31));
    assert_eq!(
        (counted, world.engine.counters().deliveries_succeeded.get()),
        (32, 62),
        "each is counted once"
    );
}
