//! Promises about reading deliveries.

use postrider_model::id::{DeliveryId, EventId};
use postrider_model::name::EventNamePattern;
use postrider_model::time::Timestamp;
use postrider_ports::Store;
use postrider_ports::store::{DeliveryFilter, StatusFilter, TimeRange};

use super::fixture::{
    START, account, at, bits, deliver, event, event_like, fail, listed, page, sender, shown, stored, succeed, to, webhook,
};

pub async fn a_delivery_is_shown_with_what_it_carries(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let (event, id) = deliver(store, account, webhook, at(4)).await;
    let record = shown(store, account, id).await;
    let delivery = record.delivery;
    assert_eq!((delivery.id, delivery.account, delivery.webhook), (id, account, webhook));
    assert_eq!(delivery.event, Some(event.id.clone()));
    assert_eq!((delivery.created_at, delivery.modified_at), (at(4), at(4)));
    assert_eq!(record.payload, event.body);
    assert!(record.attempts.is_empty());
    let unknown = DeliveryId::new(START, bits());
    assert_eq!(store.delivery(account, unknown).await, Ok(None));
}

pub async fn another_account_sees_no_delivery(store: &dyn Store) {
    let (one, webhook) = sender(store).await;
    let other = account(store).await;
    let (event, id) = deliver(store, one, webhook, START).await;
    assert_eq!(store.delivery(other, id).await, Ok(None));
    let by_webhook = DeliveryFilter {
        webhook: Some(webhook),
        ..DeliveryFilter::default()
    };
    let by_event = DeliveryFilter {
        event: Some(event.id.clone()),
        ..DeliveryFilter::default()
    };
    for filter in [DeliveryFilter::default(), by_webhook, by_event] {
        assert!(listed(store, other, &filter, 10).await.is_empty());
        assert_eq!(listed(store, one, &filter, 10).await, [id]);
    }
}

pub async fn deliveries_are_listed_newest_first(store: &dyn Store) {
    let (account, first) = sender(store).await;
    let second = webhook(store, account).await;
    let mut made = Vec::new();
    for number in 0..9 {
        let webhook = if number % 3 == 0 { second } else { first };
        // Later events may bear earlier times: the order is that of storing.
        made.push((webhook, deliver(store, account, webhook, at(100 - number)).await.1));
    }
    made.reverse();
    let all: Vec<DeliveryId> = made.iter().map(|(_, id)| *id).collect();
    assert_eq!(listed(store, account, &DeliveryFilter::default(), 200).await, all);
    assert_eq!(listed(store, account, &DeliveryFilter::default(), 2).await, all);
    let of_second = DeliveryFilter {
        webhook: Some(second),
        ..DeliveryFilter::default()
    };
    let expected: Vec<DeliveryId> = made.iter().filter(|(webhook, _)| *webhook == second).map(|(_, id)| *id).collect();
    assert_eq!(listed(store, account, &of_second, 2).await, expected);
}

pub async fn pages_neither_miss_nor_repeat_while_rows_are_added(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let (_, noise) = sender(store).await;
    let mut made = Vec::new();
    // So many that a store which moves what is old moves some of it meanwhile.
    for _ in 0..30 {
        let event = event(account, START);
        let new = to(&event, &[webhook; 100]);
        made.extend(new.deliveries.iter().map(|(id, _)| *id));
        stored(store, account, vec![new]).await;
    }
    made.reverse();
    let filter = DeliveryFilter {
        webhook: Some(webhook),
        ..DeliveryFilter::default()
    };
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let answer = store.list_deliveries(account, filter.clone(), page(200, after)).await.unwrap();
        found.extend(answer.rows.iter().map(|record| record.delivery.id));
        let more = event(account, START);
        stored(store, account, vec![to(&more, &[webhook; 50]), to(&more_of(account), &[noise; 50])]).await;
        if answer.next.is_none() {
            break;
        }
        after = answer.next;
    }
    assert_eq!(found.len(), made.len());
    assert!(found == made, "in the order of storing, newest first");
}

fn more_of(account: postrider_model::id::AccountId) -> std::sync::Arc<postrider_model::event::Event> {
    event(account, at(1))
}

pub async fn each_filter_chooses(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let make = async |name, resource, when: Timestamp| {
        let event = event_like(account, EventId::new(when, bits()), (name, resource, "{}"), when);
        let new = to(&event, &[webhook]);
        let id = new.deliveries[0].0;
        stored(store, account, vec![new]).await;
        (account, id)
    };
    let pending = make("order.created", "ord_1", at(10)).await;
    let failed = make("order.item.added", "ord_2", at(20)).await;
    let succeeded = make("user.made", "usr_1", at(30)).await;
    fail(store, failed, 1, at(40), None).await;
    succeed(store, succeeded, 1, at(40)).await;

    let chosen = async |filter: DeliveryFilter| listed(store, account, &filter, 10).await;
    for (status, expected) in [
        (StatusFilter::Pending, pending),
        (StatusFilter::Failed, failed),
        (StatusFilter::Succeeded, succeeded),
    ] {
        let filter = DeliveryFilter {
            status: Some(status),
            ..DeliveryFilter::default()
        };
        assert_eq!(chosen(filter).await, [expected.1], "{status:?}");
    }
    let named = |name| DeliveryFilter {
        name: Some(EventNamePattern::parse(name).unwrap()),
        ..DeliveryFilter::default()
    };
    assert_eq!(chosen(named("order.*")).await, [failed.1, pending.1]);
    assert_eq!(chosen(named("user.made")).await, [succeeded.1]);
    let about = DeliveryFilter {
        resource_id: Some("ord_2".to_owned()),
        ..DeliveryFilter::default()
    };
    assert_eq!(chosen(about).await, [failed.1]);
    let within = |from, until| DeliveryFilter {
        created: TimeRange { from, until },
        ..DeliveryFilter::default()
    };
    assert_eq!(
        chosen(within(Some(at(20)), None)).await,
        [succeeded.1, failed.1],
        "from is inclusive"
    );
    assert_eq!(chosen(within(None, Some(at(20)))).await, [pending.1], "until is exclusive");
    assert_eq!(chosen(within(Some(at(15)), Some(at(25)))).await, [failed.1]);
}

pub async fn deliveries_of_a_deleted_webhook_are_still_listed(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let (_, id) = deliver(store, account, webhook, START).await;
    store.delete_webhook(account, webhook, at(1)).await.unwrap();
    while store.stop_deleted(10, at(2)).await.unwrap() {}
    let of_webhook = DeliveryFilter {
        webhook: Some(webhook),
        ..DeliveryFilter::default()
    };
    for filter in [DeliveryFilter::default(), of_webhook] {
        assert_eq!(listed(store, account, &filter, 10).await, [id]);
    }
    assert!(shown(store, account, id).await.delivery.status.is_final());
}

pub async fn deliveries_of_an_event_are_found(store: &dyn Store) {
    let (account, first) = sender(store).await;
    let second = webhook(store, account).await;
    let event = event(account, START);
    let new = to(&event, &[first, second, first]);
    let mut made: Vec<DeliveryId> = new.deliveries.iter().map(|(id, _)| *id).collect();
    deliver(store, account, first, START).await;
    stored(store, account, vec![new]).await;
    deliver(store, account, first, START).await;
    made.reverse();
    let of_event = |id: EventId| DeliveryFilter {
        event: Some(id),
        ..DeliveryFilter::default()
    };
    assert_eq!(listed(store, account, &of_event(event.id.clone()), 2).await, made);
    assert!(listed(store, account, &of_event(EventId::new(START, bits())), 2).await.is_empty());
}

pub async fn a_store_that_works_says_so(store: &dyn Store) {
    assert_eq!(store.check().await, Ok(()));
}
