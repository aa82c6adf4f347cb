//! A graceful end, and what the next start finds.

use std::time::Duration;

use crate::world::{Does, World};

#[tokio::test]
async fn what_is_in_flight_ends_and_the_rest_is_left_to_the_next_start() {
    let mut world = World::with(|settings| settings.lanes.in_flight_max = 2).await;
    let webhook = world.webhook(2, &[]).await;
    world.let_it(webhook, Does::TakeFor(Duration::from_secs(3)));
    world.post(&["order.filled"; 10]).await.unwrap();
    let in_flight = world.engine.load().in_flight;
    assert!((1..10).contains(&in_flight), "{in_flight}");
    let engine = world.engine.clone();
    let shutdown = tokio::spawn(async move { engine.shutdown(Duration::from_secs(30)).await });
    world.settle().await;
    assert!(!shutdown.is_finished());
    world.pass(Duration::from_secs(4)).await;
    assert!(shutdown.await.unwrap(), "all ended in time");
    assert_eq!((world.sent().len(), world.succeeded()), (in_flight, in_flight));
    world.let_it(webhook, Does::Succeed);
    // No time passes: what waited goes at once, from the store alone.
    world.start_again().await;
    assert_eq!((world.sent().len(), world.succeeded()), (10, 10));
}

#[tokio::test]
async fn patience_with_attempts_that_do_not_end_is_bounded() {
    let world = World::new().await;
    let webhook = world.webhook(2, &[]).await;
    world.let_it(webhook, Does::TakeFor(Duration::from_secs(25)));
    world.post(&["order.filled"]).await.unwrap();
    let engine = world.engine.clone();
    let shutdown = tokio::spawn(async move { engine.shutdown(Duration::from_secs(10)).await });
    world.settle().await;
    world.pass(Duration::from_secs(10)).await;
    assert!(!shutdown.await.unwrap());
    assert_eq!(world.succeeded(), 0);
}

#[tokio::test]
async fn after_a_crash_an_attempt_whose_outcome_was_not_recorded_is_made_again() {
    let mut world = World::new().await;
    let webhook = world.webhook(2, &[]).await;
    world.let_it(webhook, Does::TakeFor(Duration::from_secs(3)));
    world.post(&["order.filled"]).await.unwrap();
    world.let_it(webhook, Does::Succeed);
    world.start_again().await;
    assert_eq!(world.sent().iter().map(|outgoing| outgoing.number).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(world.succeeded(), 1);
}
