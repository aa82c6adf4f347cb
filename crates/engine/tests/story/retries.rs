//! Three days of retries, in milliseconds.

use std::time::Duration;

use postrider_lanes::RetrySchedule;
use postrider_model::delivery::{FailedReason, Status};

use crate::world::{Does, World, hours};

/// Sweep and feed seldom: three days of their steps are nothing to look at.
async fn patient() -> World {
    World::with(|settings| {
        settings.sweep_interval = hours(2);
        settings.changes_interval = hours(2);
    })
    .await
}

#[tokio::test]
async fn thirteen_attempts_over_three_days_each_in_its_time() {
    let world = patient().await;
    let webhook = world.webhook(2, &[]).await;
    world.let_it(webhook, Does::Fail);
    world.post(&["order.filled"]).await.unwrap();
    world.pass(hours(24 * 5)).await;
    let sent = world.sent_at();
    let delays = [5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200, 86_400, 86_400];
    assert_eq!(sent.len(), delays.len() + 1);
    for (pair, delay) in sent.windows(2).zip(delays.map(Duration::from_secs)) {
        let gap = pair[1].since(pair[0]);
        assert!(gap >= delay * 9 / 10 && gap <= delay * 11 / 10, "{gap:?} for {delay:?}");
    }
    let record = world.delivery();
    let reason = FailedReason::Exhausted;
    assert!(matches!(record.delivery.status, Status::Failed { reason: found, .. } if found == reason));
    assert_eq!(
        record.attempts.iter().map(|attempt| attempt.number).collect::<Vec<_>>(),
        (1..=13).collect::<Vec<_>>()
    );
    assert!(
        world
            .sent()
            .iter()
            .all(|outgoing| outgoing.body == record.payload && outgoing.delivery == record.delivery.id)
    );
}

#[tokio::test]
async fn a_receiver_that_comes_back_is_sent_to_once() {
    let world = patient().await;
    let webhook = world.webhook(2, &[]).await;
    world.let_it(webhook, Does::Fail);
    world.post(&["order.filled"]).await.unwrap();
    world.pass(hours(10)).await;
    let failed = world.sent().len();
    world.let_it(webhook, Does::Succeed);
    world.pass(hours(24 * 4)).await;
    assert_eq!(world.sent().len(), failed + 1);
    assert_eq!(world.succeeded(), 1);
}

#[tokio::test]
async fn retry_after_is_obeyed_and_cut_to_a_day() {
    for (asked, waited) in [
        (Duration::from_secs(1), Duration::from_secs(5)),
        (hours(2), hours(2)),
        (hours(100), hours(24)),
    ] {
        let world = patient().await;
        let webhook = world.webhook(2, &[]).await;
        world.let_it(webhook, Does::FailAskingFor(asked));
        world.post(&["order.filled"]).await.unwrap();
        world.pass(hours(25)).await;
        let sent = world.sent_at();
        let gap = sent[1].since(sent[0]);
        assert!(
            gap >= waited * 9 / 10 && gap <= waited * 11 / 10,
            "{gap:?} where {asked:?} was asked for"
        );
    }
}

#[tokio::test]
async fn what_waits_longer_than_its_schedule_and_a_day_expires_without_an_attempt() {
    let mut world = World::with(|settings| settings.lanes.schedule = RetrySchedule::new([Duration::from_secs(10)])).await;
    let webhook = world.webhook(2, &[]).await;
    world.let_it(webhook, Does::TakeFor(hours(1)));
    world.post(&["order.filled"]).await.unwrap();
    // The server goes in the middle of the attempt, and comes back too late.
    world.clock.advance(hours(24) + Duration::from_secs(11));
    world.start_again().await;
    assert_eq!(world.sent().len(), 1);
    let status = world.delivery().delivery.status;
    assert!(
        matches!(
            status,
            Status::Failed {
                reason: FailedReason::Expired,
                ..
            }
        ),
        "{status:?}"
    );
}

#[tokio::test]
async fn a_retry_by_hand_begins_the_schedule_anew_and_goes_on_counting() {
    let world = World::with(|settings| settings.lanes.schedule = RetrySchedule::new([Duration::from_secs(10)])).await;
    let webhook = world.webhook(2, &[]).await;
    world.let_it(webhook, Does::Fail);
    world.post(&["order.filled"]).await.unwrap();
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(world.sent().len(), 2);
    let id = world.delivery().delivery.id;
    assert_eq!(world.retry(id).await, id);
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(
        world.sent().iter().map(|outgoing| outgoing.number).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    world.let_it(webhook, Does::Succeed);
    assert_eq!(world.retry(id).await, id);
    world.settle().await;
    let fresh = world.retry(id).await;
    world.settle().await;
    assert_ne!(fresh, id, "a delivery that succeeded is sent again as a new one");
    assert_eq!(world.succeeded(), 2);
    assert_eq!(world.sent().last().map(|outgoing| outgoing.number), Some(1));
}
