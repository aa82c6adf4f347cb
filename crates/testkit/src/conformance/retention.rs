//! Promises about what is kept no longer, and about what deleted accounts leave.

use std::time::Duration;

use bytes::Bytes;
use postrider_model::account::AccountChange;
use postrider_model::delivery::Status;
use postrider_model::id::{AccountId, DeliveryId, EventId, WebhookId};
use postrider_model::job::RecoverWhat;
use postrider_model::key::{KeyOwner, TokenHash};
use postrider_model::time::Timestamp;
use postrider_ports::Store;
use postrider_ports::store::{DeliveryFilter, Retire, Retired, StoredEvent, WaitingAsk};

use super::fixture::{
    START, account, at, bits, deliver, due, due_ids, event, event_like, fail, listed, own_event, page, sender, shown, stored, succeed,
    switch, test_of, to, webhook,
};
use super::jobs::{job, recovery, shown_job, steps};
use super::keys::new_key;

/// What was made before this goes, in these stories.
const BEFORE: u64 = 1_000;

fn day(number: u32) -> Timestamp {
    START + Duration::from_secs(24 * 3600) * number
}

/// Takes away all that is to go at that time, in steps of so many rows.
async fn retire(store: &dyn Store, rows_max: usize, now: Timestamp) -> Retired {
    let mut all = Retired::default();
    for _ in 0..10_000 {
        let before = at(BEFORE);
        let step = Retire { before, now, rows_max };
        let retired = store.retire(step).await.unwrap();
        all.events += retired.events;
        all.deliveries += retired.deliveries;
        if !retired.has_more {
            return all;
        }
    }
    panic!("it has no end");
}

async fn is_event(store: &dyn Store, account: AccountId, event: &EventId) -> bool {
    store.event(account, event.clone()).await.unwrap().is_some()
}

async fn is_delivery(store: &dyn Store, account: AccountId, delivery: DeliveryId) -> bool {
    store.delivery(account, delivery).await.unwrap().is_some()
}

pub async fn what_is_old_goes_and_what_is_young_stays(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let (old, ended) = deliver(store, account, webhook, at(BEFORE - 1)).await;
    fail(store, (account, ended), 1, at(BEFORE), Some(at(BEFORE + 1))).await;
    succeed(store, (account, ended), 2, at(BEFORE + 5)).await;
    let unwanted = event(account, START);
    stored(store, account, vec![to(&unwanted, &[])]).await;
    let (young, its) = deliver(store, account, webhook, at(BEFORE)).await;
    fail(store, (account, its), 1, at(BEFORE + 1), None).await;
    let retired = retire(store, 100, day(30)).await;
    assert_eq!((retired.events, retired.deliveries), (2, 1));
    for event in [old, unwanted] {
        assert!(!is_event(store, account, &event.id).await);
    }
    assert!(!is_delivery(store, account, ended).await);
    assert!(is_event(store, account, &young.id).await);
    assert_eq!(shown(store, account, its).await.attempts.len(), 1);
    assert_eq!(listed(store, account, &DeliveryFilter::default(), 10).await, [its]);
    let again = retire(store, 100, day(30)).await;
    assert_eq!(again, Retired::default(), "there is nothing left to do");
}

pub async fn an_own_id_is_free_again(store: &dyn Store) {
    let account = account(store).await;
    let first = own_event(account, "order-1", "{\"n\":1}");
    stored(store, account, vec![to(&first, &[])]).await;
    retire(store, 10, day(30)).await;
    let id = first.id.clone();
    let other = event_like(account, id, ("order.created", "ord_1", "{\"n\":2}"), day(30));
    let answers = stored(store, account, vec![to(&other, &[])]).await;
    assert!(matches!(answers[..], [StoredEvent::New { .. }]), "{answers:?}");
    assert_eq!(store.event(account, other.id.clone()).await, Ok(Some(other)));
}

pub async fn it_goes_step_by_step(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let mut made = Vec::new();
    for seconds in 0..6 {
        let event = event(account, at(seconds));
        let new = to(&event, &[webhook; 5]);
        for (delivery, _) in &new.deliveries {
            made.push(*delivery);
        }
        stored(store, account, vec![new]).await;
    }
    for delivery in &made {
        succeed(store, (account, *delivery), 1, at(10)).await;
    }
    let first = store
        .retire(Retire {
            before: at(BEFORE),
            now: day(30),
            rows_max: 4,
        })
        .await
        .unwrap();
    // What is left of a list is read as if the rest had never been.
    let left = listed(store, account, &DeliveryFilter::default(), 3).await;
    assert_eq!(left.len(), made.len() - first.deliveries);
    let rest = retire(store, 4, day(30)).await;
    assert_eq!(first.events + rest.events, 6);
    assert_eq!(first.deliveries + rest.deliveries, 30);
    assert!(listed(store, account, &DeliveryFilter::default(), 3).await.is_empty());
}

pub async fn what_is_on_its_way_keeps_its_event(store: &dyn Store) {
    let (account, first) = sender(store).await;
    let second = webhook(store, account).await;
    let event = event(account, START);
    let new = to(&event, &[first, second]);
    let (waits, ended) = (new.deliveries[0].0, new.deliveries[1].0);
    stored(store, account, vec![new]).await;
    fail(store, (account, waits), 1, at(1), Some(day(40))).await;
    succeed(store, (account, ended), 1, at(1)).await;
    let (later, its) = deliver(store, account, second, at(2)).await;
    succeed(store, (account, its), 1, at(3)).await;
    retire(store, 10, day(30)).await;
    assert!(is_event(store, account, &event.id).await);
    assert!(!is_event(store, account, &later.id).await, "what is behind it goes");
    let rows = due(store, account, first, day(40)).await.rows;
    assert_eq!((rows.len(), rows[0].delivery, rows[0].body.clone()), (1, waits, event.body.clone()));
    let by_webhook = DeliveryFilter {
        webhook: Some(first),
        ..DeliveryFilter::default()
    };
    assert_eq!(
        listed(store, account, &by_webhook, 10).await,
        [waits],
        "it is listed although it is old"
    );
    assert!(!is_delivery(store, account, its).await);

    succeed(store, (account, waits), 2, day(40)).await;
    retire(store, 10, day(41)).await;
    assert!(
        !is_event(store, account, &event.id).await,
        "it goes once nothing of it is on its way"
    );
    assert!(!is_delivery(store, account, waits).await);
    assert!(listed(store, account, &DeliveryFilter::default(), 10).await.is_empty());
}

pub async fn what_waits_for_nobody_goes_with_its_event(store: &dyn Store) {
    let (account, inactive) = sender(store).await;
    let (of_inactive, first) = deliver(store, account, inactive, START).await;
    switch(store, account, inactive, false).await;
    let (suspended, webhook) = sender(store).await;
    let (of_suspended, second) = deliver(store, suspended, webhook, START).await;
    let change = AccountChange {
        is_active: Some(false),
        ..AccountChange::default()
    };
    store.change_account(suspended, change, at(1)).await.unwrap();
    retire(store, 10, day(30)).await;
    for (account, event, delivery) in [(account, of_inactive, first), (suspended, of_suspended, second)] {
        assert!(!is_event(store, account, &event.id).await);
        assert!(!is_delivery(store, account, delivery).await);
    }
    assert_eq!(store.waiting(WaitingAsk::first(10)).await, Ok(vec![]), "nothing waits any more");
    assert!(due_ids(store, account, inactive, day(31)).await.is_empty());
}

pub async fn what_is_promised_keeps_its_event(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let event = event(account, START);
    let many = postrider_model::limits::TRANSACTION_ROWS_MAX + 1;
    stored(store, account, vec![to(&event, &vec![webhook; many])]).await;
    retire(store, 100, day(30)).await;
    assert!(is_event(store, account, &event.id).await);
    while store.expand_fanouts(5_000).await.unwrap().more {}
    assert_eq!(due(store, account, webhook, day(30)).await.rows.len(), 1_000);
}

pub async fn deliveries_made_later_go_with_their_event(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let (event, first) = deliver(store, account, webhook, at(10)).await;
    succeed(store, (account, first), 1, at(11)).await;
    let id = job(store, account, recovery(webhook, RecoverWhat::All)).await;
    steps(store, id, 10, BEFORE + 10).await;
    let again = due_ids(store, account, webhook, at(BEFORE + 10)).await;
    assert_eq!(again.len(), 1);
    succeed(store, (account, again[0]), 1, at(BEFORE + 11)).await;
    retire(store, 10, day(30)).await;
    assert!(!is_event(store, account, &event.id).await);
    assert!(!is_delivery(store, account, again[0]).await, "what it carried is gone");
    assert!(listed(store, account, &DeliveryFilter::default(), 10).await.is_empty());
}

pub async fn tests_go_as_well(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let make = async || {
        let test = test_of(account, webhook);
        store.create_test(test.clone(), Bytes::from_static(b"{}")).await.unwrap();
        test.id
    };
    let (ended, waits) = (make().await, make().await);
    fail(store, (account, ended), 1, at(1), None).await;
    retire(store, 10, day(30)).await;
    assert!(!is_delivery(store, account, ended).await);
    assert_eq!(shown(store, account, waits).await.delivery.status, Status::Pending { due: START });
    succeed(store, (account, waits), 1, day(30)).await;
    retire(store, 10, day(31)).await;
    assert!(!is_delivery(store, account, waits).await);
}

pub async fn ended_jobs_go_and_running_ones_stay(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let make = async || job(store, account, recovery(webhook, RecoverWhat::Failed)).await;
    let (ended, young, runs) = (make().await, make().await, make().await);
    store.cancel_job(account, ended, at(BEFORE - 1)).await.unwrap();
    store.cancel_job(account, young, at(BEFORE)).await.unwrap();
    retire(store, 10, day(30)).await;
    assert_eq!(store.job(account, ended).await, Ok(None));
    shown_job(store, account, young).await;
    shown_job(store, account, runs).await;
    assert_eq!(store.list_jobs(account, page(10, None)).await.unwrap().rows.len(), 2);
}

pub async fn deliveries_of_a_deleted_webhook_go_too(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let (event, delivery) = deliver(store, account, webhook, START).await;
    store.delete_webhook(account, webhook, at(1)).await.unwrap();
    while store.stop_deleted(10, at(2)).await.unwrap() {}
    retire(store, 10, day(30)).await;
    assert!(!is_event(store, account, &event.id).await);
    assert!(!is_delivery(store, account, delivery).await);
    assert_eq!(store.webhook(account, webhook).await.unwrap().map(|webhook| webhook.id), None);
}

pub async fn pages_go_on_while_rows_go(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let (mut old, mut young) = (Vec::new(), Vec::new());
    // So many that a store which moves what is old moves some of it.
    for round in 0..60 {
        let event = event(account, at(if round < 30 { 0 } else { BEFORE }));
        let new = to(&event, &[webhook; 100]);
        let ids = new.deliveries.iter().map(|(id, _)| *id);
        if round < 30 {
            old.extend(ids)
        } else {
            young.extend(ids)
        }
        stored(store, account, vec![new]).await;
    }
    for delivery in old.iter().skip(1) {
        succeed(store, (account, *delivery), 1, at(1)).await;
    }
    let expected: Vec<DeliveryId> = young.iter().rev().chain(old.first()).copied().collect();
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let answer = store
            .list_deliveries(account, DeliveryFilter::default(), page(150, after))
            .await
            .unwrap();
        found.extend(answer.rows.iter().map(|record| record.delivery.id));
        after = answer.next;
        if after.is_none() {
            break;
        }
        let step = Retire {
            before: at(BEFORE),
            now: day(30),
            rows_max: 100,
        };
        store.retire(step).await.unwrap();
        let kept: Vec<DeliveryId> = found.iter().filter(|id| young.contains(id)).copied().collect();
        assert!(expected.starts_with(&kept), "what stays is neither missed nor repeated");
    }
    retire(store, 1_000, day(30)).await;
    assert!(listed(store, account, &DeliveryFilter::default(), 200).await == expected);
}

async fn account_with_all(store: &dyn Store) -> (AccountId, WebhookId, Vec<EventId>, Vec<DeliveryId>) {
    let (account, webhook) = sender(store).await;
    let mut events = Vec::new();
    let mut deliveries = Vec::new();
    for seconds in 0..4 {
        let (event, delivery) = deliver(store, account, webhook, at(seconds)).await;
        fail(store, (account, delivery), 1, at(10), Some(at(20))).await;
        events.push(event.id.clone());
        deliveries.push(delivery);
    }
    succeed(store, (account, deliveries[0]), 2, at(30)).await;
    let test = test_of(account, webhook);
    store.create_test(test.clone(), Bytes::from_static(b"{}")).await.unwrap();
    deliveries.push(test.id);
    job(store, account, recovery(webhook, RecoverWhat::Failed)).await;
    (account, webhook, events, deliveries)
}

pub async fn a_deleted_account_leaves_nothing(store: &dyn Store) {
    let (gone, webhook, events, deliveries) = account_with_all(store).await;
    let (other, its, other_events, other_deliveries) = account_with_all(store).await;
    assert_eq!(store.erase_deleted(100).await, Ok(false), "nothing is deleted");
    store.delete_account(gone, at(100)).await.unwrap();
    assert_eq!(store.erase_deleted(3).await, Ok(false), "something of it still waits to end");
    while store.stop_deleted(10, at(101)).await.unwrap() {}
    assert_eq!(store.erase_deleted(3).await, Ok(true), "a step is bounded");
    while store.erase_deleted(3).await.unwrap() {}
    for event in events {
        assert!(!is_event(store, gone, &event).await);
    }
    for delivery in deliveries {
        assert!(!is_delivery(store, gone, delivery).await);
    }
    assert!(listed(store, gone, &DeliveryFilter::default(), 10).await.is_empty());
    assert!(store.list_jobs(gone, page(10, None)).await.unwrap().rows.is_empty());
    assert!(store.webhook(gone, webhook).await.unwrap().is_none());

    let mut all = other_deliveries.clone();
    all.reverse();
    assert_eq!(listed(store, other, &DeliveryFilter::default(), 2).await, all);
    for event in other_events {
        assert!(is_event(store, other, &event).await);
    }
    assert!(store.webhook(other, its).await.unwrap().is_some());
    deliver(store, other, its, at(200)).await;
}

pub async fn a_deleted_accounts_keys_stay_dead(store: &dyn Store) {
    let (gone, _) = sender(store).await;
    let hash = TokenHash::of("ptr_one");
    store.create_key(new_key(KeyOwner::Account(gone)), hash).await.unwrap();
    store.delete_account(gone, at(100)).await.unwrap();
    while store.erase_deleted(10).await.unwrap() {}
    assert_eq!(store.find_key(hash).await, Ok(None));
    let unknown = WebhookId::new(START, bits());
    assert!(store.webhook(gone, unknown).await.unwrap().is_none());
    assert!(store.account_snapshot(gone).await.unwrap().is_none());
}
