//! The store is gone for a while.

use std::time::Duration;

use postrider_engine::IngestError;
use postrider_lanes::LanesConfig;
use postrider_model::account::AccountChange;
use postrider_model::id::WebhookId;
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

#[tokio::test]
async fn a_refused_outcome_is_tried_again_at_leisure_and_harms_no_other() {
    let world = World::new().await;
    let (poisoned, sound) = (world.webhook(2, &["bad.*"]).await, world.webhook(3, &["good.*"]).await);
    world.post(&["good.first", "bad.first"]).await.unwrap();
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(world.succeeded(), 2);
    world.store.poison(poisoned);
    world.post(&["bad.filled"; 30]).await.unwrap();
    world.post(&["good.filled"; 30]).await.unwrap();
    world.pass(Duration::from_secs(21)).await;
    assert_eq!(world.succeeded(), 32, "those of the sound one");
    let of = |webhook: WebhookId| world.sent().iter().filter(|sent| sent.webhook.id == webhook).count();
    assert_eq!(of(sound), 31);
    // At once, and each five seconds, give or take the sweep that finds them.
    assert!((61..=30 * 6).contains(&of(poisoned)), "{} attempts", of(poisoned));
    world.store.heal();
    world.pass(Duration::from_secs(20)).await;
    assert_eq!(world.succeeded(), 62);
}
