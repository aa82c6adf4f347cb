//! Promises about large fan-outs.

use std::collections::BTreeSet;

use postrider_model::delivery::{FailedReason, Status};
use postrider_model::id::DeliveryId;
use postrider_model::limits::TRANSACTION_ROWS_MAX;
use postrider_ports::Store;
use postrider_ports::store::{DeliveryFilter, StoredEvent, WaitingAsk};

use super::fixture::{START, at, due, due_ids, event, sender, shown, stored, to, webhook};

pub async fn a_large_fan_out_is_expanded_in_steps(store: &dyn Store) {
    let (account, first) = sender(store).await;
    let second = webhook(store, account).await;
    let event = event(account, START);
    let mut new = to(&event, &[second]);
    for _ in 0..TRANSACTION_ROWS_MAX {
        new.deliveries.extend(to(&event, &[first]).deliveries);
    }
    let made: BTreeSet<DeliveryId> = new.deliveries.iter().map(|(id, _)| *id).collect();
    let answer = stored(store, account, vec![new]).await;
    assert!(matches!(answer[..], [StoredEvent::New { queued: false, .. }]), "{answer:?}");
    assert_eq!(
        store.event(account, event.id.clone()).await,
        Ok(Some(event.clone())),
        "the event is there at once"
    );
    assert!(due_ids(store, account, first, at(1)).await.is_empty(), "its deliveries are not");

    let step = TRANSACTION_ROWS_MAX / 2 - 3;
    let mut seen = BTreeSet::new();
    for round in 1.. {
        let before = due(store, account, first, at(1)).await.through;
        let expanded = store.expand_fanouts(step).await.unwrap();
        assert!(!expanded.webhooks.is_empty());
        assert!(before < expanded.through, "an earlier read has not seen it");
        for (owner, webhook) in &expanded.webhooks {
            assert_eq!(*owner, account);
            let answer = due(store, account, *webhook, at(1)).await;
            assert!(answer.through >= expanded.through, "a later read sees what was expanded");
        }
        seen.extend(expanded.webhooks.iter().map(|(_, webhook)| *webhook));
        if !expanded.more {
            assert_eq!(round, 3, "a step takes as much as it may");
            break;
        }
    }
    assert_eq!(seen, BTreeSet::from([first, second]));
    let mut found: BTreeSet<DeliveryId> = due_ids(store, account, second, at(1)).await.into_iter().collect();
    let mut all = super::fixture::ask(account, first);
    all.rows_max = made.len();
    all.bytes_max = usize::MAX;
    let rows = store.fetch_due(vec![all], at(1)).await.unwrap().remove(0).rows;
    assert!(rows.iter().all(|row| row.body == event.body && row.event == Some(event.id.clone())));
    found.extend(rows.iter().map(|row| row.delivery));
    assert_eq!(found, made, "each delivery comes once");
    let of_event = DeliveryFilter {
        event: Some(event.id.clone()),
        webhook: Some(second),
        ..DeliveryFilter::default()
    };
    assert_eq!(super::fixture::listed(store, account, &of_event, 50).await.len(), 1);
}

pub async fn an_expansion_without_work_says_so(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    stored(store, account, vec![to(&event(account, START), &[webhook])]).await;
    let expanded = store.expand_fanouts(100).await.unwrap();
    assert!(expanded.webhooks.is_empty());
    assert!(!expanded.more);
}

pub async fn an_expanded_delivery_of_a_deleted_webhook_ends(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let event = event(account, START);
    let mut new = to(&event, &[]);
    for _ in 0..TRANSACTION_ROWS_MAX {
        new.deliveries.extend(to(&event, &[webhook]).deliveries);
    }
    let one = new.deliveries[0].0;
    stored(store, account, vec![new]).await;
    store.delete_webhook(account, webhook, at(1)).await.unwrap();
    while store.stop_deleted(TRANSACTION_ROWS_MAX, at(2)).await.unwrap() {}
    while store.expand_fanouts(TRANSACTION_ROWS_MAX).await.unwrap().more {}
    while store.stop_deleted(TRANSACTION_ROWS_MAX, at(3)).await.unwrap() {}
    let status = shown(store, account, one).await.delivery.status;
    assert!(
        matches!(
            status,
            Status::Failed {
                reason: FailedReason::WebhookDeleted,
                ..
            }
        ),
        "{status:?}"
    );
    assert_eq!(store.waiting(WaitingAsk::first(10)).await, Ok(Vec::new()));
}
