//! Webhooks that are changed while something waits for them.

use std::time::Duration;

use postrider_model::delivery::{FailedReason, Status};
use postrider_model::webhook::WebhookChange;
use postrider_ports::registry::WebhookEdit;

use crate::world::{ACCOUNT, Does, World};

fn active(is_active: bool) -> WebhookEdit {
    WebhookEdit::Change(WebhookChange {
        is_active: Some(is_active),
        ..WebhookChange::default()
    })
}

#[tokio::test]
async fn what_waits_for_a_deleted_webhook_ends_without_an_attempt() {
    let world = World::new().await;
    let webhook = world.webhook(2, &[]).await;
    world.let_it(webhook, Does::Fail);
    world.post(&["order.filled"; 600]).await.unwrap();
    let sent = world.sent().len();
    assert!(world.engine.delete_webhook(ACCOUNT, webhook).await.unwrap());
    world.pass(Duration::from_secs(120)).await;
    assert_eq!(world.sent().len(), sent);
    let reason = FailedReason::WebhookDeleted;
    assert!(
        world
            .statuses()
            .iter()
            .all(|status| matches!(status, Status::Failed { reason: found, .. } if *found == reason))
    );
}

#[tokio::test]
async fn an_attempt_in_flight_when_its_webhook_is_deleted_ends_and_is_not_repeated() {
    let world = World::new().await;
    let webhook = world.webhook(2, &[]).await;
    world.let_it(webhook, Does::TakeFor(Duration::from_secs(3)));
    world.post(&["order.filled"]).await.unwrap();
    world.engine.delete_webhook(ACCOUNT, webhook).await.unwrap();
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.sent().len(), 1);
    assert!(world.statuses()[0].is_final());
}

#[tokio::test]
async fn what_waits_for_a_webhook_that_is_switched_off_goes_when_it_is_on_again() {
    let world = World::new().await;
    let webhook = world.webhook(2, &[]).await;
    world.let_it(webhook, Does::Fail);
    world.post(&["order.filled"]).await.unwrap();
    world.engine.edit_webhook(ACCOUNT, webhook, active(false)).await.unwrap();
    world.let_it(webhook, Does::Succeed);
    world.pass(Duration::from_secs(600)).await;
    assert_eq!((world.sent().len(), world.succeeded()), (1, 0));
    world.engine.edit_webhook(ACCOUNT, webhook, active(true)).await.unwrap();
    world.settle().await;
    assert_eq!(world.succeeded(), 1);
}

/// The cache had been read anew since, so it knew of the change already: but the lane did not.
#[tokio::test]
async fn a_lane_hears_that_its_webhook_is_on_though_the_first_answer_was_lost() {
    let world = World::with(|settings| settings.changes_interval = Duration::from_secs(3_600)).await;
    let webhook = world.webhook(2, &[]).await;
    world.let_it(webhook, Does::Fail);
    world.post(&["order.filled"]).await.unwrap();
    world.engine.edit_webhook(ACCOUNT, webhook, active(false)).await.unwrap();
    world.let_it(webhook, Does::Succeed);
    world.pass(Duration::from_secs(60)).await;
    world.store.lose_answers(1);
    world.engine.edit_webhook(ACCOUNT, webhook, active(true)).await.unwrap_err();
    // Making another one reads the account anew.
    world.webhook(3, &["user.*"]).await;
    world.engine.account(ACCOUNT).await.unwrap();
    world.engine.edit_webhook(ACCOUNT, webhook, active(true)).await.unwrap();
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.succeeded(), 1);
}
