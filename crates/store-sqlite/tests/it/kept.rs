//! Answers under idempotency keys, as the file has them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Folder, NOW, Sender, new_webhook};
use bytes::Bytes;
use postrider_model::key::KeyOwner;
use postrider_model::limits::IDEMPOTENCY_KEPT;
use postrider_ports::once::{AnswerKey, Keep, KeptAnswer, Once, Write};
use postrider_ports::store::{Retire, Submitted};
use postrider_ports::{Registry as _, Store as _, StoreError};
use postrider_store_sqlite::{OpenOptions, SqliteStore, Synchronous};

fn at(sender: &Sender, key: &str) -> AnswerKey {
    AnswerKey {
        owner: KeyOwner::Account(sender.account),
        key: key.to_owned(),
    }
}

fn answer(body: &[u8], is_secret: bool) -> KeptAnswer {
    KeptAnswer {
        status: 201,
        headers: vec![("x-mark".to_owned(), "a header of the answer".to_owned())],
        body: Bytes::copy_from_slice(body),
        is_secret,
    }
}

fn keep(at: &AnswerKey, answer: KeptAnswer) -> Keep {
    Keep {
        at: at.clone(),
        fingerprint: [3; 32],
        now: NOW,
        render: Arc::new(move |_| Some(answer.clone())),
    }
}

async fn put(store: &SqliteStore, at: &AnswerKey, answer: KeptAnswer) {
    let once = store.write_once(Write::Nothing, keep(at, answer)).await;
    assert!(matches!(once, Ok(Once::Done(_))), "{once:?}");
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn an_answer_is_replayed_by_a_reopened_store() {
    let folder = Folder::new();
    let options = || OpenOptions {
        synchronous: Synchronous::Full,
        ..folder.options("postrider.db")
    };
    let store = SqliteStore::open(options()).unwrap();
    let sender = Sender::new(&store).await;
    let mut request = sender.request(1, 1);
    request.keep = Some(keep(&at(&sender, "events"), answer(b"the events", false)));
    let submitted = store.commit_events(vec![request.clone()]).await.unwrap();
    assert!(matches!(submitted[..], [Submitted::Stored(_)]), "{submitted:?}");
    let secret = new_webhook(sender.account, &[5; 32]);
    let write = Write::CreateWebhook(secret, 10);
    let kept = keep(&at(&sender, "webhook"), answer(b"the secret", true));
    assert!(matches!(store.write_once(write.clone(), kept.clone()).await, Ok(Once::Done(_))));
    drop(store);

    let store = SqliteStore::open(options()).unwrap();
    let once = store.write_once(write, kept).await;
    assert!(
        matches!(&once, Ok(Once::Kept(kept)) if kept.answer == answer(b"the secret", true)),
        "{once:?}"
    );
    request.version = store.account_snapshot(sender.account).await.unwrap().unwrap().version;
    let submitted = store.commit_events(vec![request]).await.unwrap();
    assert!(
        matches!(&submitted[..], [Submitted::Kept(kept)] if kept.answer == answer(b"the events", false)),
        "{submitted:?}"
    );
    assert_eq!(sender.due(&store).await.len(), 1, "nothing more is to be delivered");
}

#[tokio::test]
async fn a_secret_answer_cannot_be_read_in_the_files() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let secret = b"whsec_that-nobody-else-may-ever-read-again";
    put(&store, &at(&sender, "secret"), answer(secret, true)).await;
    put(&store, &at(&sender, "plain"), answer(b"what anybody may read of an answer", false)).await;
    let bytes = ["postrider.db", "postrider.db-wal"].map(|name| std::fs::read(folder.path(name)).unwrap());
    assert!(bytes.iter().all(|bytes| !contains(bytes, secret)), "the files have the secret");
    // The search itself finds what is there.
    assert!(bytes.iter().any(|bytes| contains(bytes, b"what anybody may read of an answer")));
    let kept = store.kept_answer(at(&sender, "secret"), NOW).await.unwrap().unwrap();
    assert_eq!(kept.answer, answer(secret, true));
}

#[tokio::test]
async fn a_sealed_answer_opens_under_its_own_key_alone() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let (one, other) = (at(&sender, "one"), at(&sender, "other"));
    for key in [&one, &other] {
        put(&store, key, answer(b"secret", true)).await;
    }
    let conn = rusqlite::Connection::open(folder.path("postrider.db")).unwrap();
    conn.execute(
        "UPDATE kept_answers SET answer = (SELECT answer FROM kept_answers WHERE key = 'one') WHERE key = 'other'",
        [],
    )
    .unwrap();
    let told = store.kept_answer(other, NOW).await.unwrap_err();
    assert!(matches!(told, StoreError::Seal(_)), "{told:?}");
    assert!(store.kept_answer(one, NOW).await.is_ok());
}

#[tokio::test]
async fn an_answer_that_cannot_be_kept_takes_its_work_back() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let conn = rusqlite::Connection::open(folder.path("postrider.db")).unwrap();
    conn.execute_batch(
        "CREATE TRIGGER refuses BEFORE INSERT ON kept_answers WHEN new.key = 'refused' BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .unwrap();
    let renders = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&renders);
    let good = Keep {
        render: Arc::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            Some(answer(b"good", false))
        }),
        ..keep(&at(&sender, "good"), answer(b"", false))
    };
    let mut group = [sender.request(1, 1), sender.request(1, 1), sender.request(1, 1)];
    group[0].keep = Some(good);
    group[1].keep = Some(keep(&at(&sender, "refused"), answer(b"refused", false)));
    let refused = Arc::clone(&group[1].events[0].event);
    let answers = store.commit_events(group.to_vec()).await.unwrap();
    assert!(
        matches!(answers[..], [Submitted::Stored(_), Submitted::Refused(_), Submitted::Stored(_)]),
        "{answers:?}"
    );
    assert_eq!(store.event(sender.account, refused.id.clone()).await, Ok(None));
    assert_eq!(store.kept_answer(at(&sender, "refused"), NOW).await, Ok(None));
    assert!(store.kept_answer(at(&sender, "good"), NOW).await.unwrap().is_some());
    assert_eq!(sender.due(&store).await.len(), 2);
    assert_eq!(renders.load(Ordering::Relaxed), 2, "rendered anew with the group's second try");

    let webhook = new_webhook(sender.account, &[5; 32]);
    let id = webhook.id;
    let write = Write::CreateWebhook(webhook, 10);
    let once = store.write_once(write, keep(&at(&sender, "refused"), answer(b"", true))).await;
    assert!(once.is_err(), "{once:?}");
    assert!(store.webhook(sender.account, id).await.unwrap().is_none());
    let version = store.account_snapshot(sender.account).await.unwrap().unwrap().version;
    assert_eq!(version, sender.version, "the account was not changed");
}

#[tokio::test]
async fn large_answers_are_taken_away_in_many_steps() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let large = vec![b'x'; 700_000];
    for key in ["one", "two", "three"] {
        put(&store, &at(&sender, key), answer(&large, false)).await;
    }
    for key in ["small", "smaller"] {
        put(&store, &at(&sender, key), answer(b"x", false)).await;
    }
    let conn = rusqlite::Connection::open(folder.path("postrider.db")).unwrap();
    let left = || -> i64 {
        let count = conn.query_row("SELECT count(*) FROM kept_answers", [], |row| row.get(0));
        count.unwrap()
    };
    let step = Retire {
        before: NOW,
        now: NOW + IDEMPOTENCY_KEPT,
        rows_max: 500,
    };
    for rest in [4, 3] {
        assert!(store.retire(step).await.unwrap().has_more);
        assert_eq!(left(), rest, "one large answer is as much as a step takes");
    }
    store.retire(step).await.unwrap();
    assert_eq!(left(), 0);
}
