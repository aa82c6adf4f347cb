//! Many calls in one transaction, and two processes on one file.

use std::sync::Arc;

use crate::support::{Folder, NOW, Sender, new_account};
use postrider_model::account::AccountChange;
use postrider_model::id::DeliveryId;
use postrider_ports::registry::{Changed, Told};
use postrider_ports::store::{Recorded, Submitted};
use postrider_ports::{PageAsk, Registry as _, Store as _};
use postrider_store_sqlite::{CHANGES_KEPT_MAX, OpenOptions, Role, SqliteStore};

#[tokio::test]
async fn the_guilty_one_of_a_group_stands_alone() {
    let folder = Folder::new();
    let store = Arc::new(folder.open());
    let sender = Sender::new(&store).await;
    let (_, taken) = sender.deliver(&store).await;
    let mut calls = Vec::new();
    for number in 0..60 {
        let mut request = sender.request(10, 1);
        // Every tenth brings the id of a delivery that is there.
        if number % 10 == 9 {
            request.events[0].deliveries[0].0 = taken;
        }
        let store = Arc::clone(&store);
        calls.push(tokio::spawn(async move { (number, store.commit_events(vec![request]).await) }));
    }
    for call in calls {
        let (number, answer) = call.await.unwrap();
        let answer = answer.unwrap().remove(0);
        if number % 10 == 9 {
            assert!(matches!(answer, Submitted::Refused(_)), "{number}: {answer:?}");
        } else {
            assert!(matches!(answer, Submitted::Stored(_)), "{number}: {answer:?}");
        }
    }
    assert_eq!(sender.due(&store).await.len(), 1 + 54);
}

#[tokio::test]
async fn an_outcome_that_cannot_be_stored_holds_up_no_other() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let (_, damaged) = sender.deliver(&store).await;
    // Of a format that nobody knows.
    let sql = "UPDATE deliveries SET state = CAST(x'09' || substr(state, 2) AS BLOB)";
    let conn = rusqlite::Connection::open(folder.path("postrider.db")).unwrap();
    assert_eq!(conn.execute(sql, []).unwrap(), 1);
    let (_, sound) = sender.deliver(&store).await;
    let group = vec![sender.acknowledged(damaged), sender.acknowledged(sound)];
    let recorded = store.record_outcomes(group).await.unwrap();
    assert_eq!(recorded, [Recorded::Refused, Recorded::Applied]);
}

#[tokio::test]
async fn a_group_larger_than_a_transaction_is_stored_whole() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let group: Vec<_> = (0..9).map(|_| sender.request(1, 1_200)).collect();
    let ids: Vec<DeliveryId> = group
        .iter()
        .flat_map(|request| request.events[0].deliveries.iter().map(|(id, _)| *id))
        .collect();
    let answers = store.commit_events(group).await.unwrap();
    assert_eq!(answers.len(), 9);
    assert!(answers.iter().all(|answer| matches!(answer, Submitted::Stored(_))));
    assert_eq!(sender.due(&store).await.len(), ids.len());
    let outcomes = ids.iter().map(|id| sender.acknowledged(*id)).collect();
    let recorded = store.record_outcomes(outcomes).await.unwrap();
    assert_eq!(recorded, vec![Recorded::Applied; ids.len()]);
    assert!(sender.due(&store).await.is_empty());
}

#[tokio::test]
async fn who_gives_up_waiting_disturbs_nobody() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let mut given_up = store.commit_events(vec![sender.request(1, 1)]);
    // On a busy machine the writer may be done within the first look: then it was answered, and nobody gave up.
    std::future::poll_fn(|context| std::task::Poll::Ready(given_up.as_mut().poll(context).is_ready())).await;
    drop(given_up);
    sender.deliver(&store).await;
    assert_eq!(sender.due(&store).await.len(), 2, "what was asked for is done all the same");
}

fn command(folder: &Folder) -> SqliteStore {
    SqliteStore::open(OpenOptions {
        role: Role::Command,
        ..folder.options("postrider.db")
    })
    .unwrap()
}

#[tokio::test]
async fn a_server_notices_what_a_command_changes() {
    let folder = Folder::new();
    let server = folder.open();
    let sender = Sender::new(&server).await;
    // The writer remembers the version from here on.
    sender.deliver(&server).await;
    let through = server.changes(None).await.unwrap().through;
    let command = command(&folder);
    let change = AccountChange {
        is_active: Some(false),
        ..AccountChange::default()
    };
    command.change_account(sender.account, change, NOW).await.unwrap();
    let answer = server.commit_events(vec![sender.request(1, 1)]).await.unwrap();
    assert_eq!(answer, [Submitted::Stale], "the server's memory of the version is old");
    let changes = server.changes(Some(through)).await.unwrap();
    assert!(matches!(changes.changes[..], [Told { changed: Changed::Account(account), .. }] if account == sender.account));
}

#[tokio::test]
async fn two_writers_count_positions_together() {
    let folder = Folder::new();
    let server = folder.open();
    let command = command(&folder);
    let mut made = Vec::new();
    for number in 0..10 {
        let account = new_account();
        made.push(account.id);
        let store = if number % 2 == 0 { &server } else { &command };
        store.create_account(account).await.unwrap();
    }
    made.reverse();
    let listed = server.list_accounts(PageAsk { limit: 20, after: None }).await.unwrap();
    let ids: Vec<_> = listed.rows.iter().map(|account| account.id).collect();
    assert_eq!(ids, made);
}

#[tokio::test]
async fn who_fell_behind_the_feed_is_told_that_all_may_have_changed() {
    let folder = Folder::new();
    let store = Arc::new(folder.open());
    let sender = Sender::new(&store).await;
    let other = Sender::new(&store).await;
    let through = store.changes(None).await.unwrap().through;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..=CHANGES_KEPT_MAX {
        let store = Arc::clone(&store);
        calls.spawn(async move { store.change_account(sender.account, AccountChange::default(), NOW).await.unwrap() });
    }
    calls.join_all().await;
    let changes = store.changes(Some(through)).await.unwrap();
    assert_eq!(changes.changes.len(), 3, "{:?}", changes.changes.len());
    assert!(changes.changes.iter().any(|told| told.changed == Changed::OperatorKeys));
    assert!(changes.changes.iter().any(|told| told.changed == Changed::Account(other.account)));
    let conn = rusqlite::Connection::open(folder.path("postrider.db")).unwrap();
    let kept: i64 = conn.query_row("SELECT count(*) FROM changes", [], |row| row.get(0)).unwrap();
    assert_eq!(kept.unsigned_abs(), CHANGES_KEPT_MAX);
}
