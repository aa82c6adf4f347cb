//! Promises about events that are stored once, under an idempotency key.

use std::sync::Arc;

use bytes::Bytes;
use postrider_model::id::{AccountId, DeliveryId};
use postrider_model::key::KeyOwner;
use postrider_ports::Store;
use postrider_ports::once::{AnswerKey, Keep, Once, Write, Written};
use postrider_ports::registry::AccountVersion;
use postrider_ports::store::{NewEvent, StoredEvent, Submission, Submitted};

use super::fixture::{START, at, bits, due_ids, event, own_event, sender, stored, submission, to, webhook};
use super::once::{answer, answer_key, keep, kept_body};

/// A request under a key, with this answer.
async fn keyed(store: &dyn Store, at: &AnswerKey, account: AccountId, events: Vec<NewEvent>, body: &str) -> Submission {
    Submission {
        keep: Some(keep(at, START, answer(body))),
        ..submission(store, account, events).await
    }
}

async fn commit(store: &dyn Store, submission: Submission) -> Submitted {
    store.commit_events(vec![submission]).await.unwrap().remove(0)
}

fn key(account: AccountId) -> AnswerKey {
    answer_key(KeyOwner::Account(account), "key")
}

pub async fn events_are_kept_with_their_answer(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let own = own_event(account, "mine", "{}");
    stored(store, account, vec![to(&own, &[])]).await;
    let events = [event(account, START), own];
    let at_key = key(account);
    // The answer says what was written: how many are new, and how many repeats.
    let render = |written: &Written| {
        let Written::Events(events) = written else { return None };
        let new = events.iter().filter(|event| matches!(event, StoredEvent::New { .. })).count();
        Some(answer(&format!("{new} of {}", events.len())))
    };
    let request = Submission {
        keep: Some(Keep {
            render: Arc::new(render),
            ..keep(&at_key, START, answer(""))
        }),
        ..submission(store, account, events.iter().map(|event| to(event, &[webhook])).collect()).await
    };
    let first = commit(store, request.clone()).await;
    assert!(matches!(&first, Submitted::Stored(stored) if stored.len() == 2), "{first:?}");
    assert_eq!(kept_body(store, &at_key).await, Some(Bytes::from_static(b"1 of 2")));
    let last = store.last_position().await;
    let Submitted::Kept(kept) = commit(store, request).await else {
        panic!("stored again");
    };
    assert_eq!((kept.fingerprint, kept.answer), ([7; 32], answer("1 of 2")));
    assert_eq!(store.last_position().await, last, "nothing was written");
    assert_eq!(due_ids(store, account, webhook, at(1)).await.len(), 1);
}

pub async fn a_key_twice_in_one_group_is_answered_once(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let (first, second) = (event(account, START), event(account, START));
    let at = key(account);
    let group = vec![
        keyed(store, &at, account, vec![to(&first, &[webhook])], "first").await,
        keyed(store, &at, account, vec![to(&second, &[webhook])], "second").await,
    ];
    let answers = store.commit_events(group).await.unwrap();
    assert!(matches!(answers[0], Submitted::Stored(_)), "{answers:?}");
    assert!(
        matches!(&answers[1], Submitted::Kept(kept) if kept.answer == answer("first")),
        "{answers:?}"
    );
    assert_eq!(store.event(account, second.id.clone()).await, Ok(None));
    assert!(store.event(account, first.id.clone()).await.unwrap().is_some());
}

pub async fn a_kept_answer_wins_over_a_taken_id(store: &dyn Store) {
    let (account, _) = sender(store).await;
    let at = key(account);
    let first = own_event(account, "order-1", "{\"a\":1}");
    let other = own_event(account, "order-1", "{\"a\":2}");
    let request = keyed(store, &at, account, vec![to(&first, &[])], "first").await;
    assert!(matches!(commit(store, request).await, Submitted::Stored(_)));
    let request = keyed(store, &at, account, vec![to(&other, &[])], "second").await;
    assert!(matches!(commit(store, request).await, Submitted::Kept(_)));
}

pub async fn a_stale_version_is_judged_before_a_kept_answer(store: &dyn Store) {
    let (account, _) = sender(store).await;
    let at_key = key(account);
    let request = keyed(store, &at_key, account, vec![to(&event(account, START), &[])], "first").await;
    assert!(matches!(commit(store, request.clone()).await, Submitted::Stored(_)));
    webhook(store, account).await;
    assert_eq!(
        commit(store, request.clone()).await,
        Submitted::Stale,
        "who asks must show the key again"
    );
    store.delete_account(account, at(1)).await.unwrap();
    assert_eq!(commit(store, request).await, Submitted::NoAccount);
}

pub async fn what_is_not_stored_keeps_no_answer(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    stored(store, account, vec![to(&own_event(account, "taken", "{\"a\":1}"), &[])]).await;
    let key = |name: &str| answer_key(KeyOwner::Account(account), name);
    let request = async |name: &str, events| keyed(store, &key(name), account, events, name).await;
    let new = || to(&event(account, START), &[webhook]);
    let stale = request("stale", vec![new()]).await;
    let stale = Submission {
        version: AccountVersion(stale.version.0 + 1),
        ..stale
    };
    let nobody = AccountId::new(START, bits());
    let no_account = Submission {
        account: nobody,
        ..request("no account", vec![to(&event(nobody, START), &[])]).await
    };
    let taken = || to(&own_event(account, "taken", "{\"a\":2}"), &[webhook]);
    let twice = DeliveryId::new(START, bits());
    let mut broken = new();
    broken.deliveries = vec![(twice, webhook), (twice, webhook)];
    let group = vec![
        request("before", vec![new()]).await,
        stale,
        no_account,
        request("taken", vec![taken()]).await,
        request("taken in a batch", vec![new(), taken(), new()]).await,
        request("broken", vec![broken]).await,
        request("after", vec![new(), new()]).await,
    ];
    let answers = store.commit_events(group).await.unwrap();
    assert!(matches!(answers[0], Submitted::Stored(_)), "{answers:?}");
    assert_eq!(
        answers[1..5],
        [
            Submitted::Stale,
            Submitted::NoAccount,
            Submitted::IdTaken { index: 0 },
            Submitted::IdTaken { index: 1 }
        ]
    );
    assert!(matches!(answers[5], Submitted::Refused(_)), "{answers:?}");
    assert!(matches!(answers[6], Submitted::Stored(_)), "{answers:?}");
    for name in ["stale", "no account", "taken", "taken in a batch", "broken"] {
        assert_eq!(kept_body(store, &key(name)).await, None, "{name}");
    }
    for name in ["before", "after"] {
        assert_eq!(kept_body(store, &key(name)).await, Some(Bytes::copy_from_slice(name.as_bytes())));
    }
    assert_eq!(due_ids(store, account, webhook, at(1)).await.len(), 3);
    let again = request("broken", vec![new()]).await;
    assert!(matches!(commit(store, again).await, Submitted::Stored(_)), "its key is free");
}

pub async fn a_key_is_one_for_events_and_other_writes(store: &dyn Store) {
    let (account, _) = sender(store).await;
    let at = key(account);
    let once = store.write_once(Write::Nothing, keep(&at, START, answer("nothing"))).await;
    assert!(matches!(once, Ok(Once::Done(_))), "{once:?}");
    let new = event(account, START);
    let request = keyed(store, &at, account, vec![to(&new, &[])], "events").await;
    let submitted = commit(store, request).await;
    assert!(
        matches!(&submitted, Submitted::Kept(kept) if kept.answer == answer("nothing")),
        "{submitted:?}"
    );
    assert_eq!(store.event(account, new.id.clone()).await, Ok(None));
}
