//! Promises about tests and retries.

use bytes::Bytes;
use postrider_model::account::AccountChange;
use postrider_model::delivery::{Progress, Status};
use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::queue::Queued;
use postrider_ports::Store;
use postrider_ports::store::{DeliveryFilter, DueAsk, Retried, RetryAsk};

use super::fixture::{
    START, account, ask, at, bits, deliver, due, due_ids, fail, listed, sender, shown, succeed, switch, test_of, webhook,
};

fn wish(account: AccountId, delivery: DeliveryId, fresh: DeliveryId, seconds: u64) -> RetryAsk {
    RetryAsk {
        account,
        delivery,
        fresh,
        now: at(seconds),
    }
}

async fn retried(store: &dyn Store, account: AccountId, delivery: DeliveryId, fresh: DeliveryId, seconds: u64) -> Queued {
    match store.retry_delivery(wish(account, delivery, fresh, seconds)).await.unwrap() {
        Retried::Due { queued, record } => {
            assert_eq!(Some(*record), store.delivery(account, queued.delivery).await.unwrap());
            queued
        }
        other => panic!("not due: {other:?}"),
    }
}

fn fresh() -> DeliveryId {
    DeliveryId::new(at(50), bits())
}

pub async fn a_test_is_kept_with_its_body(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let test = test_of(account, webhook);
    let body = Bytes::from_static(b"{\"id\":\"evt_test_00000000000000000000000001\"}");
    assert_eq!(store.create_test(test.clone(), body.clone()).await, Ok(true));
    let record = shown(store, account, test.id).await;
    assert_eq!((record.delivery.clone(), record.payload), (test.clone(), body.clone()));
    let row = due(store, account, webhook, START).await.rows.remove(0);
    assert!(row.is_urgent && row.is_test());
    assert_eq!((row.delivery, row.body), (test.id, body));
    let of_body = "evt_test_00000000000000000000000001".parse().unwrap();
    assert_eq!(store.event(account, of_body).await, Ok(None), "no read of events knows it");
    assert_eq!(listed(store, account, &DeliveryFilter::default(), 10).await, [test.id]);

    fail(store, (account, test.id), 1, at(1), Some(at(10))).await;
    let row = due(store, account, webhook, at(10)).await.rows.remove(0);
    assert!(row.is_urgent, "a test stays at the head");
    succeed(store, (account, test.id), 2, at(11)).await;
    assert!(due_ids(store, account, webhook, at(20)).await.is_empty());
}

pub async fn tests_are_found_apart_from_what_else_waits(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    for _ in 0..3 {
        deliver(store, account, webhook, START).await;
    }
    let [first, second] = [test_of(account, webhook), test_of(account, webhook)];
    for test in [&first, &second] {
        let body = Bytes::from_static(b"{}");
        assert_eq!(store.create_test(test.clone(), body).await, Ok(true));
    }
    let tests = async |rows_max, seconds| {
        let asked = DueAsk {
            rows_max,
            tests_only: true,
            ..ask(account, webhook)
        };
        let answer = store.fetch_due(vec![asked], at(seconds)).await.unwrap().remove(0);
        let ids: Vec<DeliveryId> = answer.rows.iter().map(|row| row.delivery).collect();
        (ids, answer.complete, answer.next_due)
    };
    assert_eq!(tests(10, 1).await, (vec![first.id, second.id], true, None));
    assert_eq!(tests(1, 1).await, (vec![first.id], false, None));
    assert_eq!(due_ids(store, account, webhook, at(1)).await.len(), 5, "and among the others too");

    fail(store, (account, first.id), 1, at(1), Some(at(60))).await;
    assert_eq!(tests(10, 2).await, (vec![second.id], true, Some(at(60))));
    succeed(store, (account, second.id), 1, at(3)).await;
    assert_eq!(tests(10, 60).await, (vec![first.id], true, None));
    assert_eq!(retried(store, account, first.id, fresh(), 70).await.due, at(70));
    assert_eq!(tests(10, 69).await, (vec![], true, Some(at(70))));
    fail(store, (account, first.id), 2, at(71), None).await;
    assert_eq!(tests(10, 100).await, (vec![], true, None));
}

pub async fn a_test_of_a_missing_webhook_is_refused(store: &dyn Store) {
    let (account, gone) = sender(store).await;
    let other = super::fixture::account(store).await;
    let inactive = webhook(store, account).await;
    switch(store, account, inactive, false).await;
    store.delete_webhook(account, gone, at(1)).await.unwrap();
    let body = || Bytes::from_static(b"{}");
    assert_eq!(store.create_test(test_of(account, gone), body()).await, Ok(false));
    let unknown = WebhookId::new(START, bits());
    assert_eq!(store.create_test(test_of(account, unknown), body()).await, Ok(false));
    assert_eq!(store.create_test(test_of(other, inactive), body()).await, Ok(false));
    assert_eq!(
        store.create_test(test_of(account, inactive), body()).await,
        Ok(true),
        "an inactive one is tested too"
    );
}

pub async fn a_pending_delivery_is_made_due_now(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let (event, id) = deliver(store, account, webhook, START).await;
    fail(store, (account, id), 1, at(1), Some(at(1_000))).await;
    let queued = retried(store, account, id, fresh(), 5).await;
    assert_eq!((queued.delivery, queued.due), (id, at(5)));
    assert!(queued.is_urgent);
    assert_eq!(
        (queued.event.clone(), queued.body.clone()),
        (Some(event.id.clone()), event.body.clone())
    );
    let progress = Progress {
        attempts: 1,
        ..Progress::new(START)
    };
    assert_eq!(queued.progress, progress, "the schedule goes on");
    let answer = due(store, account, webhook, at(5)).await;
    assert_eq!(answer.rows, [queued], "it stands in the queue once, as it was told");
    assert_eq!(answer.next_due, None);
}

pub async fn a_failed_delivery_begins_its_schedule_anew(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let (_, id) = deliver(store, account, webhook, START).await;
    fail(store, (account, id), 1, at(1), None).await;
    let queued = retried(store, account, id, fresh(), 9).await;
    let progress = Progress {
        attempts: 1,
        schedule_base: 1,
        schedule_began_at: at(9),
    };
    assert_eq!((queued.delivery, queued.progress), (id, progress));
    assert_eq!(due_ids(store, account, webhook, at(9)).await, [id]);
    assert_eq!(shown(store, account, id).await.delivery.status, Status::Pending { due: at(9) });
    fail(store, (account, id), 2, at(10), Some(at(20))).await;
    assert!(
        !due(store, account, webhook, at(20)).await.rows[0].is_urgent,
        "one attempt was asked for"
    );
}

pub async fn a_succeeded_delivery_becomes_a_new_one(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let (event, old) = deliver(store, account, webhook, START).await;
    succeed(store, (account, old), 1, at(1)).await;
    let new = fresh();
    let queued = retried(store, account, old, new, 60).await;
    assert_eq!((queued.delivery, queued.due, queued.progress), (new, at(60), Progress::new(at(60))));
    assert!(queued.is_urgent);
    assert_eq!(queued.body, event.body);
    assert_eq!(due(store, account, webhook, at(60)).await.rows, [queued]);
    let status = shown(store, account, old).await.delivery.status;
    assert_eq!(status, Status::Succeeded { at: at(1) }, "the old one stays as it is");
    let of_event = DeliveryFilter {
        event: Some(event.id.clone()),
        ..DeliveryFilter::default()
    };
    assert_eq!(listed(store, account, &of_event, 1).await, [new, old]);

    let test = test_of(account, webhook);
    store.create_test(test.clone(), Bytes::from_static(b"{\"t\":1}")).await.unwrap();
    succeed(store, (account, test.id), 1, at(2)).await;
    let again = retried(store, account, test.id, fresh(), 61).await;
    assert!(again.is_test());
    assert_eq!(&*again.body, b"{\"t\":1}");
}

pub async fn a_retry_needs_its_webhook(store: &dyn Store) {
    let (account_id, webhook) = sender(store).await;
    let other = account(store).await;
    let (_, id) = deliver(store, account_id, webhook, START).await;
    let retry = async |account, delivery| store.retry_delivery(wish(account, delivery, fresh(), 5)).await;
    assert_eq!(retry(other, id).await, Ok(Retried::NotFound));
    assert_eq!(retry(account_id, fresh()).await, Ok(Retried::NotFound));
    switch(store, account_id, webhook, false).await;
    assert_eq!(retry(account_id, id).await, Ok(Retried::WebhookInactive));
    switch(store, account_id, webhook, true).await;
    let wake = AccountChange {
        is_active: Some(true),
        ..AccountChange::default()
    };
    store.change_account(account_id, wake, at(2)).await.unwrap();
    assert!(matches!(retry(account_id, id).await, Ok(Retried::Due { .. })));
    store.delete_webhook(account_id, webhook, at(3)).await.unwrap();
    assert_eq!(retry(account_id, id).await, Ok(Retried::WebhookDeleted));
}
