//! What is kept no longer goes, and nothing else does.

use std::time::Duration;

use postrider_model::delivery::Status;
use postrider_model::webhook::WebhookChange;
use postrider_ports::Store as _;
use postrider_ports::registry::WebhookEdit;

use crate::world::{ACCOUNT, Does, World, hours};

async fn keeping(length: Duration) -> World {
    World::with(|settings| {
        settings.retention = length;
        settings.sweep_interval = hours(1);
        settings.changes_interval = hours(1);
    })
    .await
}

#[tokio::test]
async fn events_and_ended_deliveries_go_after_their_time_and_not_before() {
    let world = keeping(hours(24)).await;
    world.webhook(2, &[]).await;
    let old = world.post(&["order.filled"; 700]).await.unwrap().remove(0).event.id.clone();
    world.pass(hours(23)).await;
    let young = world.post(&["order.filled"]).await.unwrap().remove(0).event.id.clone();
    assert!(world.store.event(ACCOUNT, old.clone()).await.unwrap().is_some());
    world.pass(hours(2)).await;
    assert_eq!(world.store.event(ACCOUNT, old).await, Ok(None));
    assert!(world.store.event(ACCOUNT, young).await.unwrap().is_some());
    assert_eq!(world.statuses().len(), 1);
    let counters = world.engine.counters();
    assert_eq!((counters.events_retired.get(), counters.deliveries_retired.get()), (700, 700));
}

#[tokio::test]
async fn what_waits_for_an_active_webhook_is_kept_and_what_waits_for_another_goes() {
    let world = keeping(hours(2)).await;
    let (active, inactive) = (world.webhook(2, &[]).await, world.webhook(3, &[]).await);
    world.let_it(active, Does::Fail);
    world.let_it(inactive, Does::Fail);
    let event = world.post(&["order.filled"]).await.unwrap().remove(0).event.id.clone();
    let change = WebhookChange {
        is_active: Some(false),
        ..WebhookChange::default()
    };
    world
        .engine
        .edit_webhook(ACCOUNT, inactive, WebhookEdit::Change(change))
        .await
        .unwrap();
    world.pass(hours(3)).await;
    let left = world.store.look_deliveries();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].delivery.webhook, active);
    assert!(matches!(left[0].delivery.status, Status::Pending { .. }));
    assert!(
        world.store.event(ACCOUNT, event).await.unwrap().is_some(),
        "a delivery on its way keeps its event"
    );
    // Its lane knows nothing of what was taken away: nothing is sent of it, and what comes later is.
    let sent = world.sent().len();
    let change = WebhookChange {
        is_active: Some(true),
        ..WebhookChange::default()
    };
    world
        .engine
        .edit_webhook(ACCOUNT, inactive, WebhookEdit::Change(change))
        .await
        .unwrap();
    world.let_it(inactive, Does::Succeed);
    world.settle().await;
    assert_eq!(world.sent().len(), sent);
    world.post(&["order.filled"]).await.unwrap();
    assert_eq!(world.succeeded(), 1);
}

#[tokio::test]
async fn an_outcome_of_what_was_taken_away_meanwhile_harms_nobody() {
    let world = keeping(Duration::from_secs(60)).await;
    let webhook = world.webhook(2, &[]).await;
    world.let_it(webhook, Does::TakeFor(Duration::from_secs(300)));
    world.post(&["order.filled"]).await.unwrap();
    let change = WebhookChange {
        is_active: Some(false),
        ..WebhookChange::default()
    };
    world
        .engine
        .edit_webhook(ACCOUNT, webhook, WebhookEdit::Change(change))
        .await
        .unwrap();
    world.pass(Duration::from_secs(200)).await;
    assert!(world.statuses().is_empty(), "it still is in flight");
    assert_eq!(world.engine.load().in_flight, 1);
    world.pass(Duration::from_secs(200)).await;
    assert_eq!((world.engine.load().in_flight, world.engine.load().unrecorded), (0, 0));
    assert!(world.statuses().is_empty());
}

#[tokio::test]
async fn others_write_between_two_steps() {
    let world = keeping(hours(24)).await;
    for _ in 0..4 {
        world.post(&["order.filled"; 1_000]).await.unwrap();
    }
    world.clock.advance(hours(25));
    // No time passes, so no more than one step can be done.
    world.settle().await;
    assert_eq!(world.engine.counters().events_retired.get(), 250);
    world.post(&["order.filled"]).await.unwrap();
    world.pass(Duration::from_secs(1)).await;
    assert_eq!(world.engine.counters().events_retired.get(), 4_000);
}

#[tokio::test]
async fn what_a_deleted_account_has_left_is_erased() {
    let world = World::new().await;
    let webhook = world.webhook(2, &[]).await;
    world.let_it(webhook, Does::Fail);
    world.post(&["order.filled"; 300]).await.unwrap();
    assert!(world.engine.delete_account(ACCOUNT).await.unwrap());
    world.pass(Duration::from_secs(30)).await;
    assert!(world.statuses().is_empty());
    assert!(world.store.look_account(ACCOUNT).is_none());
}

#[tokio::test]
async fn a_store_that_is_gone_for_a_while_is_tried_again() {
    let world = keeping(hours(1)).await;
    world.post(&["order.filled"; 10]).await.unwrap();
    world.clock.advance(hours(2));
    world.store.refuse_writes(3);
    world.settle().await;
    assert_eq!(world.engine.counters().events_retired.get(), 0);
    world.pass(Duration::from_secs(600)).await;
    assert_eq!(world.engine.counters().events_retired.get(), 10);
}
