//! Who wants an event, few or many.

use postrider_engine::IngestError;
use postrider_model::id::WebhookId;
use postrider_model::limits::{REQUEST_DELIVERIES_MAX, TRANSACTION_ROWS_MAX};

use crate::world::{ACCOUNT, World, hours};

#[tokio::test]
async fn each_webhook_gets_what_it_asked_for_once() {
    let world = World::new().await;
    world.webhook(2, &[]).await;
    world.webhook(3, &["order.filled"]).await;
    world.webhook(4, &["order.*"]).await;
    world.webhook(5, &["order.filled", "order.*", "order.item.*"]).await;
    world.webhook(6, &["order"]).await;
    world.webhook(7, &["orders.*", "user.*"]).await;
    let wanted = [
        ("order.filled", vec![2, 3, 4, 5]),
        ("order.item.added", vec![2, 4, 5]),
        ("order", vec![2, 6]),
        ("orders", vec![2]),
        ("user.made", vec![2, 7]),
    ];
    for (name, mut webhooks) in wanted {
        let before = world.sent().len();
        world.post(&[name]).await.unwrap();
        let mut got: Vec<WebhookId> = world.sent()[before..].iter().map(|outgoing| outgoing.webhook.id).collect();
        got.sort_unstable();
        webhooks.sort_unstable();
        assert_eq!(got, webhooks.into_iter().map(WebhookId::from_u128).collect::<Vec<_>>(), "{name}");
    }
}

#[tokio::test]
async fn a_fan_out_that_no_transaction_holds_is_delivered_in_steps() {
    let world = World::new().await;
    for number in 2..12 {
        world.webhook(number, &[]).await;
    }
    let events = vec!["order.filled"; 600];
    assert!(events.len() * 10 > TRANSACTION_ROWS_MAX);
    world.post(&events).await.unwrap();
    world.pass(hours(1)).await;
    assert_eq!(
        (world.succeeded(), world.statuses().len(), world.sent().len()),
        (6_000, 6_000, 6_000)
    );
}

#[tokio::test]
async fn more_than_a_request_may_make_is_refused_with_its_number() {
    let world = World::new().await;
    for number in 2..23 {
        world.webhook(number, &[]).await;
    }
    let refused = world.post(&["order.filled"; 1_000]).await.unwrap_err();
    assert_eq!(refused, IngestError::TooManyDeliveries { count: 21_000 });
    assert!(21_000 > REQUEST_DELIVERIES_MAX && world.statuses().is_empty());
}

#[tokio::test]
async fn an_event_that_nobody_wants_is_stored() {
    let world = World::new().await;
    world.webhook(2, &["user.*"]).await;
    let posted = world.post(&["order.filled"]).await.unwrap();
    assert!(posted[0].is_new && world.store.look_event(ACCOUNT, &posted[0].event.id).is_some());
    assert!(world.sent().is_empty());
}
