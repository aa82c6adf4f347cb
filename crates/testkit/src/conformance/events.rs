//! Promises about events.

use std::sync::Arc;

use postrider_model::id::{AccountId, DeliveryId, EventId};
use postrider_model::queue::Position;
use postrider_ports::Store;
use postrider_ports::registry::AccountVersion;
use postrider_ports::store::{StoredEvent, Submission, Submitted, WaitingAsk};

use super::fixture::{
    START, account, at, bits, commit, due_ids, event, event_like, own_event, sender, stored, submission, to, version, webhook,
};

fn position(stored: &StoredEvent) -> Position {
    match stored {
        StoredEvent::New { position, .. } => *position,
        StoredEvent::Repeated(_) => panic!("the event is not new"),
    }
}

pub async fn a_stored_event_comes_back_byte_for_byte(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let data = "{ \"b\" : 1.0,\"a\":\"\\u00e9\\n\", \"big\":12345678901234567890.123 }";
    for id in [EventId::new(START, bits()), EventId::own("Order:1_a.b-c").unwrap()] {
        let event = event_like(account, id.clone(), ("order.created", "ord_\"1\"", data), at(3));
        let answer = stored(store, account, vec![to(&event, &[webhook])]).await;
        assert!(matches!(answer[..], [StoredEvent::New { queued: true, .. }]), "{answer:?}");
        assert_eq!(store.event(account, id).await, Ok(Some(event)));
    }
}

pub async fn an_event_that_no_webhook_wants_is_stored(store: &dyn Store) {
    let account = account(store).await;
    let event = event(account, START);
    let answer = stored(store, account, vec![to(&event, &[])]).await;
    assert!(matches!(answer[..], [StoredEvent::New { .. }]), "{answer:?}");
    assert_eq!(store.event(account, event.id.clone()).await, Ok(Some(event)));
    assert_eq!(store.waiting(WaitingAsk::first(10)).await, Ok(Vec::new()));
}

pub async fn positions_follow_the_commits(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let mut last = Position::default();
    for _ in 0..3 {
        let events = (0..2).map(|_| to(&event(account, START), &[webhook])).collect();
        for one in stored(store, account, events).await {
            assert!(position(&one) > last, "a later event stands behind an earlier one");
            last = position(&one);
        }
    }
}

pub async fn an_own_id_again_is_a_repeat(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let first = own_event(account, "order-1", "{\"a\":1,\"b\":[2]}");
    stored(store, account, vec![to(&first, &[webhook])]).await;
    let same = own_event(account, "order-1", "{ \"b\": [2], \"a\": 1 }");
    let answer = stored(store, account, vec![to(&same, &[webhook])]).await;
    assert_eq!(answer, [StoredEvent::Repeated(Arc::clone(&first))]);
    assert_eq!(
        due_ids(store, account, webhook, at(1)).await.len(),
        1,
        "nothing more is to be delivered"
    );
    assert_eq!(store.event(account, first.id.clone()).await, Ok(Some(first)));
}

pub async fn an_own_id_with_other_content_is_taken(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let first = own_event(account, "order-1", "{\"a\":1}");
    stored(store, account, vec![to(&first, &[webhook])]).await;
    let id = first.id.clone();
    let others = [
        own_event(account, "order-1", "{\"a\":1.0}"),
        event_like(account, id.clone(), ("order.changed", "ord_1", "{\"a\":1}"), START),
        event_like(account, id.clone(), ("order.created", "ord_2", "{\"a\":1}"), START),
    ];
    for other in others {
        let answer = commit(store, account, vec![to(&other, &[webhook])]).await;
        assert_eq!(answer, Submitted::IdTaken { index: 0 });
    }
    assert_eq!(due_ids(store, account, webhook, at(1)).await.len(), 1);
    assert_eq!(store.event(account, id).await, Ok(Some(first)));
}

pub async fn an_own_id_twice_in_one_request_is_judged_there(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let first = own_event(account, "twice", "{\"a\":1}");
    let same = own_event(account, "twice", "{ \"a\":1 }");
    let answer = stored(store, account, vec![to(&first, &[webhook]), to(&same, &[webhook])]).await;
    assert!(matches!(answer[0], StoredEvent::New { .. }), "{answer:?}");
    assert_eq!(answer[1], StoredEvent::Repeated(first));

    let one = own_event(account, "thrice", "{\"a\":1}");
    let other = own_event(account, "thrice", "{\"a\":2}");
    let answer = commit(store, account, vec![to(&one, &[webhook]), to(&other, &[webhook])]).await;
    assert_eq!(answer, Submitted::IdTaken { index: 1 });
    assert_eq!(store.event(account, one.id.clone()).await, Ok(None), "nothing of it was stored");
    assert_eq!(due_ids(store, account, webhook, at(1)).await.len(), 1);
}

pub async fn an_own_id_belongs_to_its_account(store: &dyn Store) {
    let (one, other) = (account(store).await, account(store).await);
    let of_one = own_event(one, "order-1", "{\"a\":1}");
    let of_other = own_event(other, "order-1", "{\"a\":2}");
    stored(store, one, vec![to(&of_one, &[])]).await;
    let answer = stored(store, other, vec![to(&of_other, &[])]).await;
    assert!(matches!(answer[..], [StoredEvent::New { .. }]), "{answer:?}");
    assert_eq!(store.event(one, of_one.id.clone()).await, Ok(Some(of_one)));
    assert_eq!(store.event(other, of_other.id.clone()).await, Ok(Some(of_other)));
}

pub async fn a_stale_version_is_refused_and_nothing_is_stored(store: &dyn Store) {
    let (account, first) = sender(store).await;
    let event = event(account, START);
    let stale = submission(store, account, vec![to(&event, &[first])]).await;
    webhook(store, account).await;
    assert_eq!(store.commit_events(vec![stale.clone()]).await, Ok(vec![Submitted::Stale]));
    assert_eq!(store.event(account, event.id.clone()).await, Ok(None));
    assert!(due_ids(store, account, first, at(1)).await.is_empty());
    let fresh = Submission {
        version: version(store, account).await,
        ..stale
    };
    let answer = store.commit_events(vec![fresh]).await.unwrap();
    assert!(matches!(answer[..], [Submitted::Stored(_)]), "{answer:?}");
}

pub async fn an_unknown_account_is_refused(store: &dyn Store) {
    let deleted = account(store).await;
    let kept = version(store, deleted).await;
    store.delete_account(deleted, at(1)).await.unwrap();
    for (account, version) in [(deleted, kept), (AccountId::new(START, bits()), AccountVersion::default())] {
        let request = Submission {
            account,
            version,
            events: vec![to(&event(account, START), &[])],
            keep: None,
        };
        assert_eq!(store.commit_events(vec![request]).await, Ok(vec![Submitted::NoAccount]));
    }
}

pub async fn a_batch_is_all_or_none(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    stored(store, account, vec![to(&own_event(account, "taken", "{\"a\":1}"), &[])]).await;
    let events = [
        event(account, START),
        own_event(account, "free", "{}"),
        own_event(account, "taken", "{\"a\":2}"),
        event(account, START),
    ];
    let batch = events.iter().map(|event| to(event, &[webhook])).collect();
    assert_eq!(commit(store, account, batch).await, Submitted::IdTaken { index: 2 });
    for event in [&events[0], &events[1], &events[3]] {
        assert_eq!(store.event(account, event.id.clone()).await, Ok(None));
    }
    assert!(due_ids(store, account, webhook, at(1)).await.is_empty());
    let everything = postrider_ports::store::DeliveryFilter::default();
    assert!(super::fixture::listed(store, account, &everything, 10).await.is_empty());

    let good = events[..2].iter().map(|event| to(event, &[webhook])).collect();
    assert_eq!(stored(store, account, good).await.len(), 2, "what was refused can be sent again");
}

pub async fn one_request_never_fails_another(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let (first, last) = (event(account, START), event(account, START));
    stored(store, account, vec![to(&own_event(account, "taken", "{\"a\":1}"), &[])]).await;
    let now = version(store, account).await;
    let request = |version, event: &Arc<postrider_model::event::Event>| Submission {
        account,
        version,
        events: vec![to(event, &[webhook])],
        keep: None,
    };
    let taken = own_event(account, "taken", "{\"a\":2}");
    let nobody = AccountId::new(START, bits());
    // A delivery id that comes twice can be stored in no way: whatever is said of it, the others must not suffer.
    let twice = DeliveryId::new(START, bits());
    let mut broken = request(now, &event(account, START));
    broken.events[0].deliveries = vec![(twice, webhook), (twice, webhook)];
    let group = vec![
        request(now, &first),
        request(now, &taken),
        request(AccountVersion(now.0 + 1), &event(account, START)),
        Submission {
            account: nobody,
            version: now,
            events: vec![to(&event(nobody, START), &[])],
            keep: None,
        },
        broken,
        request(now, &last),
    ];
    let answers = store.commit_events(group).await.unwrap();
    assert_eq!(answers.len(), 6);
    assert!(matches!(answers[0], Submitted::Stored(_)), "{answers:?}");
    assert_eq!(answers[1], Submitted::IdTaken { index: 0 });
    assert_eq!(answers[2], Submitted::Stale);
    assert_eq!(answers[3], Submitted::NoAccount);
    assert!(matches!(answers[4], Submitted::Refused(_)), "{answers:?}");
    assert!(matches!(answers[5], Submitted::Stored(_)), "{answers:?}");
    assert_eq!(due_ids(store, account, webhook, at(1)).await.len(), 2);
    assert_eq!(store.event(account, first.id.clone()).await, Ok(Some(first)));
    assert_eq!(store.event(account, last.id.clone()).await, Ok(Some(last)));
}

pub async fn another_account_sees_no_event(store: &dyn Store) {
    let (one, other) = (account(store).await, account(store).await);
    let (made, own) = (event(one, START), own_event(one, "mine", "{}"));
    stored(store, one, vec![to(&made, &[]), to(&own, &[])]).await;
    assert_eq!(store.event(other, made.id.clone()).await, Ok(None));
    assert_eq!(store.event(other, own.id.clone()).await, Ok(None));
    assert_eq!(store.event(one, EventId::new(START, bits())).await, Ok(None));
}
