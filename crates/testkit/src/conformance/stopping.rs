//! Promises about what waits for deleted webhooks and accounts.

use postrider_model::delivery::{FailedReason, Status};
use postrider_ports::Store;
use postrider_ports::store::WaitingAsk;

use super::fixture::{START, at, deliver, due, due_ids, sender, shown, succeed, webhook};

const fn stopped(seconds: u64) -> Status {
    Status::Failed {
        at: postrider_model::time::Timestamp::from_millis(START.as_millis() + seconds as i64 * 1_000),
        reason: FailedReason::WebhookDeleted,
    }
}

pub async fn pending_deliveries_of_a_deleted_webhook_end_in_steps(store: &dyn Store) {
    let (account, gone) = sender(store).await;
    let kept = webhook(store, account).await;
    let mut ended = Vec::new();
    for _ in 0..5 {
        ended.push(deliver(store, account, gone, START).await.1);
    }
    let (_, goes_on) = deliver(store, account, kept, START).await;
    assert_eq!(store.stop_deleted(10, at(1)).await, Ok(false), "nothing is deleted");
    store.delete_webhook(account, gone, at(1)).await.unwrap();
    let answer = due(store, account, gone, at(2)).await;
    assert!(answer.rows.is_empty(), "what belongs to a deleted webhook is passed over");

    assert_eq!(store.stop_deleted(3, at(2)).await, Ok(true), "a step is bounded");
    let mut done = 0;
    for id in &ended {
        done += usize::from(shown(store, account, *id).await.delivery.status == stopped(2));
    }
    assert_eq!(done, 3);
    while store.stop_deleted(3, at(3)).await.unwrap() {}
    for id in &ended {
        assert!(shown(store, account, *id).await.delivery.status.is_final());
    }
    assert_eq!(due_ids(store, account, kept, at(3)).await, [goes_on]);
    assert_eq!(store.stop_deleted(3, at(4)).await, Ok(false));
}

pub async fn pending_deliveries_of_a_deleted_account_end(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let (_, delivery) = deliver(store, account, webhook, START).await;
    let (other, others) = sender(store).await;
    let (_, goes_on) = deliver(store, other, others, START).await;
    store.delete_account(account, at(1)).await.unwrap();
    assert!(due_ids(store, account, webhook, at(2)).await.is_empty());
    while store.stop_deleted(10, at(2)).await.unwrap() {}
    let waiting = store.waiting(WaitingAsk::first(10)).await.unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].webhook, others);
    assert_eq!(due_ids(store, other, others, at(2)).await, [goes_on]);
    // Its rows may be gone by then; where they are not, they have ended.
    if let Some(record) = store.delivery(account, delivery).await.unwrap() {
        assert_eq!(record.delivery.status, stopped(2));
    }
}

pub async fn what_has_ended_already_stays_as_it_is(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let (_, delivery) = deliver(store, account, webhook, START).await;
    succeed(store, (account, delivery), 1, at(1)).await;
    let (_, in_flight) = deliver(store, account, webhook, START).await;
    store.delete_webhook(account, webhook, at(2)).await.unwrap();
    succeed(store, (account, in_flight), 1, at(3)).await;
    while store.stop_deleted(10, at(4)).await.unwrap() {}
    let status = shown(store, account, delivery).await.delivery.status;
    assert_eq!(status, Status::Succeeded { at: at(1) });
    let status = shown(store, account, in_flight).await.delivery.status;
    assert_eq!(
        status,
        Status::Succeeded { at: at(3) },
        "the outcome of an attempt in flight counts"
    );
}
