//! Promises about writes that are done once, under an idempotency key.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider_model::account::AccountRef;
use postrider_model::id::{AccountId, DeliveryId, KeyId};
use postrider_model::job::{RecoverWhat, Recovery};
use postrider_model::key::{Key, KeyOwner, Scopes, TokenHash};
use postrider_model::limits::IDEMPOTENCY_KEPT;
use postrider_model::time::Timestamp;
use postrider_model::webhook::WebhookChange;
use postrider_ports::Store;
use postrider_ports::once::{AnswerKey, Keep, Kept, KeptAnswer, Once, Write, Written};
use postrider_ports::registry::{AccountMade, WebhookEdit, WebhookEdited, WebhookMade};
use postrider_ports::store::{JobMade, Retire, Retried, RetryAsk};

use super::fixture::{START, account, at, bits, deliver, due_ids, new_account, new_webhook, sender, succeed, test_of};
use super::jobs::new_job;

/// The place of an answer.
pub(super) fn answer_key(owner: KeyOwner, key: &str) -> AnswerKey {
    AnswerKey {
        owner,
        key: key.to_owned(),
    }
}

/// An answer with this body, and all else that can be kept of one.
pub(super) fn answer(body: &str) -> KeptAnswer {
    KeptAnswer {
        status: 201,
        headers: vec![
            ("location".to_owned(), "/somewhere".to_owned()),
            ("x-empty".to_owned(), String::new()),
        ],
        body: Bytes::copy_from_slice(body.as_bytes()),
        is_secret: false,
    }
}

/// Asks for this answer to be kept, whatever is written.
pub(super) fn keep(at: &AnswerKey, now: Timestamp, answer: KeptAnswer) -> Keep {
    Keep {
        at: at.clone(),
        fingerprint: [7; 32],
        now,
        render: Arc::new(move |_| Some(answer.clone())),
    }
}

/// The body that is kept under a key, where there is one.
pub(super) async fn kept_body(store: &dyn Store, at: &AnswerKey) -> Option<Bytes> {
    let kept = store.kept_answer(at.clone(), START).await.unwrap();
    kept.map(|kept| kept.answer.body)
}

/// Does a write that is done now, and keeps `answer` under a key that never comes twice.
async fn done(store: &dyn Store, owner: KeyOwner, write: Write) -> Written {
    let at = answer_key(owner, &format!("{:x}", bits()));
    match store.write_once(write, keep(&at, START, answer("done"))).await {
        Ok(Once::Done(written)) => {
            assert_eq!(kept_body(store, &at).await, Some(Bytes::from_static(b"done")));
            written
        }
        other => panic!("not done: {other:?}"),
    }
}

pub async fn an_answer_comes_back_byte_for_byte(store: &dyn Store) {
    let owner = KeyOwner::Account(account(store).await);
    let long = "long ".repeat(100_000);
    for (number, is_secret) in [false, true].into_iter().enumerate() {
        for body in ["", "{\"token\":\"ptr_1\"}\n", "\0\u{7f}\u{ffff}", long.as_str()] {
            let at = answer_key(owner, &format!("{number}/{}/é", body.len()));
            let given = KeptAnswer { is_secret, ..answer(body) };
            assert_eq!(store.kept_answer(at.clone(), START).await, Ok(None));
            let once = store.write_once(Write::Nothing, keep(&at, START, given.clone())).await;
            assert!(matches!(once, Ok(Once::Done(Written::Nothing))), "{once:?}");
            let expected = Kept {
                fingerprint: [7; 32],
                answer: given,
            };
            assert_eq!(store.kept_answer(at.clone(), START).await, Ok(Some(expected.clone())));
            let once = store.write_once(Write::Nothing, keep(&at, at_later(), answer("another"))).await;
            assert!(matches!(once, Ok(Once::Kept(kept)) if kept == expected));
        }
    }
}

fn at_later() -> Timestamp {
    at(3_600)
}

pub async fn a_write_is_done_once(store: &dyn Store) {
    let at = answer_key(KeyOwner::Operator, "twice");
    let (first, second) = (new_account(None), new_account(None));
    let once = store
        .write_once(Write::CreateAccount(first.clone()), keep(&at, START, answer("first")))
        .await;
    assert!(matches!(once, Ok(Once::Done(Written::Account(AccountMade::Made)))), "{once:?}");
    let again = Keep {
        fingerprint: [8; 32],
        ..keep(&at, at_later(), answer("second"))
    };
    let once = store.write_once(Write::CreateAccount(second.clone()), again).await;
    let Ok(Once::Kept(kept)) = once else {
        panic!("done again: {once:?}");
    };
    assert_eq!((kept.fingerprint, kept.answer), ([7; 32], answer("first")), "the first request's");
    assert_eq!(store.account(AccountRef::Id(first.id)).await, Ok(Some(first)));
    assert_eq!(store.account(AccountRef::Id(second.id)).await, Ok(None), "nothing was done");
}

pub async fn of_many_at_once_one_is_done(store: &dyn Store) {
    let at = answer_key(KeyOwner::Operator, "many");
    let accounts: Vec<_> = (0..8).map(|_| new_account(None)).collect();
    let ask = |number: usize| {
        let keep = keep(&at, START, answer(&number.to_string()));
        store.write_once(Write::CreateAccount(accounts[number].clone()), keep)
    };
    let answers: [_; 8] = tokio::join!(ask(0), ask(1), ask(2), ask(3), ask(4), ask(5), ask(6), ask(7)).into();
    let done: Vec<usize> = (0..8).filter(|number| matches!(answers[*number], Ok(Once::Done(_)))).collect();
    let [winner] = done[..] else {
        panic!("not one alone: {done:?}");
    };
    for (number, account) in accounts.iter().enumerate() {
        let is_there = store.account(AccountRef::Id(account.id)).await.unwrap().is_some();
        assert_eq!(is_there, number == winner);
        let told = matches!(&answers[number], Ok(Once::Kept(kept)) if kept.answer == answer(&winner.to_string()));
        assert!(told || number == winner, "{:?}", answers[number]);
    }
}

fn new_key(owner: KeyOwner) -> Key {
    Key {
        id: KeyId::new(START, bits()),
        owner,
        name: "ci".to_owned(),
        hint: "2345".to_owned(),
        scopes: Scopes::of_account(),
        created_at: START,
        expires_at: None,
        last_used_at: None,
    }
}

pub async fn a_write_does_what_its_call_does(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let owner = KeyOwner::Account(account);
    let version = super::fixture::version(store, account).await;

    let key = new_key(owner);
    let hash = TokenHash::of("ptr_1");
    let written = done(store, owner, Write::CreateKey(key.clone(), hash)).await;
    assert!(matches!(written, Written::Key(true)), "{written:?}");
    assert_eq!(store.find_key(hash).await.unwrap().map(|(key, _)| key), Some(key));

    let second = new_webhook(account);
    let written = done(store, owner, Write::CreateWebhook(second.clone(), 10)).await;
    assert!(matches!(written, Written::Webhook(WebhookMade::Made)), "{written:?}");
    assert!(store.webhook(account, second.id).await.unwrap().is_some());

    let change = WebhookChange {
        is_active: Some(false),
        ..WebhookChange::default()
    };
    let edit = Write::EditWebhook {
        webhook: (account, second.id),
        edit: WebhookEdit::Change(change),
        now: at(1),
    };
    let written = done(store, owner, edit).await;
    assert!(matches!(written, Written::Edited(WebhookEdited::Edited(webhook)) if !webhook.is_active));
    let raised = super::fixture::version(store, account).await;
    assert!(raised.0 >= version.0 + 3, "each raises the version: {version:?} {raised:?}");

    let test = test_of(account, webhook);
    let written = done(store, owner, Write::CreateTest(test.clone(), Bytes::from_static(b"{}"))).await;
    assert!(matches!(written, Written::Test(true)), "{written:?}");
    assert_eq!(due_ids(store, account, webhook, START).await, [test.id]);

    let recovery = Recovery {
        webhook,
        since: START,
        until: at(1),
        what: RecoverWhat::Failed,
    };
    let job = new_job(account, webhook);
    let written = done(store, owner, Write::CreateJob(job.clone(), recovery)).await;
    assert!(matches!(written, Written::Job(JobMade::Made)), "{written:?}");
    assert_eq!(store.job(account, job.id).await, Ok(Some(job)));

    let (_, delivery) = deliver(store, account, webhook, START).await;
    succeed(store, (account, delivery), 1, at(1)).await;
    let fresh = DeliveryId::new(at(2), bits());
    let written = done(store, owner, Write::RetryDelivery(retry(account, delivery, fresh))).await;
    assert!(matches!(written, Written::Retried(Retried::Due { queued, .. }) if queued.delivery == fresh));
    assert!(due_ids(store, account, webhook, at(2)).await.contains(&fresh));
}

const fn retry(account: AccountId, delivery: DeliveryId, fresh: DeliveryId) -> RetryAsk {
    RetryAsk {
        account,
        delivery,
        fresh,
        now: START,
    }
}

pub async fn a_refusal_is_an_answer_too(store: &dyn Store) {
    let (account, _) = sender(store).await;
    let owner = KeyOwner::Account(account);
    let nobody = AccountId::new(START, bits());
    let unknown = DeliveryId::new(START, bits());
    let written = done(store, owner, Write::CreateWebhook(new_webhook(account), 1)).await;
    assert!(matches!(written, Written::Webhook(WebhookMade::TooMany)), "{written:?}");
    let written = done(store, owner, Write::RetryDelivery(retry(account, unknown, unknown))).await;
    assert!(matches!(written, Written::Retried(Retried::NotFound)), "{written:?}");
    let written = done(
        store,
        KeyOwner::Operator,
        Write::CreateKey(new_key(KeyOwner::Account(nobody)), TokenHash::of("ptr_2")),
    )
    .await;
    assert!(matches!(written, Written::Key(false)), "{written:?}");
    let gone = new_webhook(account).id;
    let written = done(store, owner, Write::CreateTest(test_of(account, gone), Bytes::from_static(b"{}"))).await;
    assert!(matches!(written, Written::Test(false)), "{written:?}");
}

pub async fn an_answer_that_is_not_to_be_kept_leaves_the_key_free(store: &dyn Store) {
    let at = answer_key(KeyOwner::Operator, "free");
    for _ in 0..2 {
        let account = new_account(None);
        let not_kept = Keep {
            render: Arc::new(|_| None),
            ..keep(&at, START, answer(""))
        };
        let once = store.write_once(Write::CreateAccount(account.clone()), not_kept).await;
        assert!(matches!(once, Ok(Once::Done(Written::Account(AccountMade::Made)))), "{once:?}");
        assert_eq!(store.account(AccountRef::Id(account.id)).await, Ok(Some(account)));
        assert_eq!(kept_body(store, &at).await, None);
    }
}

pub async fn owners_share_no_keys(store: &dyn Store) {
    let owners = [
        KeyOwner::Operator,
        KeyOwner::Account(account(store).await),
        KeyOwner::Account(account(store).await),
    ];
    for owner in owners {
        for key in ["one", "One", "one "] {
            let body = format!("{owner:?} {key}");
            let given = KeptAnswer {
                is_secret: key == "One",
                ..answer(&body)
            };
            let once = store.write_once(Write::Nothing, keep(&answer_key(owner, key), START, given)).await;
            assert!(matches!(once, Ok(Once::Done(_))), "{body}: {once:?}");
        }
    }
    for owner in owners {
        for key in ["one", "One", "one "] {
            let body = format!("{owner:?} {key}");
            assert_eq!(kept_body(store, &answer_key(owner, key)).await, Some(Bytes::from(body)));
        }
    }
}

pub async fn an_answer_ends_after_its_time(store: &dyn Store) {
    let at = answer_key(KeyOwner::Account(account(store).await), "again");
    let end = START + IDEMPOTENCY_KEPT;
    let just_before = Timestamp::from_millis(end.as_millis() - 1);
    let write = async |now, body: &str| store.write_once(Write::Nothing, keep(&at, now, answer(body))).await;
    assert!(matches!(write(START, "first").await, Ok(Once::Done(_))));
    assert!(matches!(write(just_before, "second").await, Ok(Once::Kept(_))));
    assert!(store.kept_answer(at.clone(), just_before).await.unwrap().is_some());
    assert_eq!(store.kept_answer(at.clone(), end).await, Ok(None));
    assert!(matches!(write(end, "third").await, Ok(Once::Done(_))), "the key is free again");
    let later = end + IDEMPOTENCY_KEPT.saturating_sub(Duration::from_secs(1));
    let kept = store.kept_answer(at.clone(), later).await.unwrap().expect("for its own time");
    assert_eq!(kept.answer, answer("third"));
}

pub async fn an_answer_that_has_ended_is_taken_away(store: &dyn Store) {
    let owner = KeyOwner::Account(account(store).await);
    let end = START + IDEMPOTENCY_KEPT;
    let (first, second) = (answer_key(owner, "first"), answer_key(owner, "second"));
    for (key, now) in [(&first, START), (&second, at(1))] {
        let once = store.write_once(Write::Nothing, keep(key, now, answer("kept"))).await;
        assert!(matches!(once, Ok(Once::Done(_))), "{once:?}");
    }
    let retire = async |now: Timestamp| {
        let step = Retire {
            before: START,
            now,
            rows_max: 1,
        };
        while store.retire(step).await.unwrap().has_more {}
    };
    retire(Timestamp::from_millis(end.as_millis() - 1)).await;
    assert!(kept_body(store, &first).await.is_some(), "its time is not over");
    retire(end).await;
    assert_eq!(kept_body(store, &first).await, None, "whatever time it is asked for");
    assert!(kept_body(store, &second).await.is_some(), "a second later");
}

pub async fn a_deleted_account_leaves_no_answer(store: &dyn Store) {
    let (one, other) = (account(store).await, account(store).await);
    let keys: Vec<AnswerKey> = (0..5)
        .map(|number| answer_key(KeyOwner::Account(one), &number.to_string()))
        .collect();
    let others = answer_key(KeyOwner::Account(other), "0");
    for key in keys.iter().chain([&others]) {
        let once = store.write_once(Write::Nothing, keep(key, START, answer("kept"))).await;
        assert!(matches!(once, Ok(Once::Done(_))), "{once:?}");
    }
    store.delete_account(one, at(1)).await.unwrap();
    while store.stop_deleted(10, at(1)).await.unwrap() {}
    while store.erase_deleted(2).await.unwrap() {}
    for key in &keys {
        assert_eq!(kept_body(store, key).await, None, "{key:?}");
    }
    assert!(kept_body(store, &others).await.is_some());
}

pub async fn a_write_that_fails_keeps_no_answer(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let key = new_key(KeyOwner::Account(account));
    let hash = TokenHash::of("ptr_3");
    assert_eq!(store.create_key(key.clone(), hash).await, Ok(true));
    let at = |number: u32| answer_key(KeyOwner::Account(account), &format!("fails {number}"));
    // A test with an id that is there can be stored in no way; those beside it can.
    let test = test_of(account, webhook);
    let make = |test, number| {
        store.write_once(
            Write::CreateTest(test, Bytes::from_static(b"{}")),
            keep(&at(number), START, answer("kept")),
        )
    };
    let first = make(test.clone(), 1).await;
    assert!(matches!(first, Ok(Once::Done(Written::Test(true)))), "{first:?}");
    let (again, other) = tokio::join!(make(test, 2), make(test_of(account, webhook), 3));
    assert!(again.is_err(), "{again:?}");
    assert!(matches!(other, Ok(Once::Done(Written::Test(true)))), "{other:?}");
    assert!(kept_body(store, &at(1)).await.is_some());
    assert_eq!(kept_body(store, &at(2)).await, None);
    assert!(kept_body(store, &at(3)).await.is_some());
    assert_eq!(due_ids(store, account, webhook, START).await.len(), 2);
}
