//! Retention and erasing on a file: restarts, whole segments, room that is given back, and nothing left of a deleted account.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use postrider_model::delivery::{Change, Delivery, Progress, Status};
use postrider_model::id::{AttemptId, DeliveryId, WebhookId};
use postrider_model::job::{Job, JobKind, JobStatus, RecoverWhat, Recovery};
use postrider_model::time::Timestamp;
use postrider_ports::store::{DeliveryFilter, JobMade, OutcomeRecord, Retire};
use postrider_ports::{PageAsk, Registry as _, Store as _};
use postrider_store_sqlite::SqliteStore;
use rusqlite::Connection;

use crate::support::{Folder, NOW, Sender, bits, new_webhook};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn old(now: Timestamp) -> Retire {
    Retire {
        before: NOW + DAY,
        now,
        rows_max: 400,
    }
}

async fn retire_all(store: &SqliteStore, now: Timestamp) -> (usize, usize) {
    let mut sums = (0, 0);
    for _ in 0..10_000 {
        let retired = store.retire(old(now)).await.unwrap();
        sums = (sums.0 + retired.events, sums.1 + retired.deliveries);
        if !retired.has_more {
            return sums;
        }
    }
    panic!("it has no end");
}

/// Rows of a table, counted past the store.
fn count(folder: &Folder, table: &str) -> i64 {
    let conn = Connection::open(folder.path("postrider.db")).unwrap();
    conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
        .unwrap()
}

/// Stores a request of so many deliveries, and has all but the first of them acknowledged.
async fn all_but_one_ends(store: &SqliteStore, sender: &Sender, deliveries: usize) -> DeliveryId {
    let request = sender.request(10, deliveries);
    let ids: Vec<DeliveryId> = request.events[0].deliveries.iter().map(|(id, _)| *id).collect();
    store.commit_events(vec![request]).await.unwrap();
    let outcomes = ids.iter().skip(1).map(|id| sender.acknowledged(*id)).collect();
    store.record_outcomes(outcomes).await.unwrap();
    ids[0]
}

async fn listed(store: &SqliteStore, sender: &Sender) -> Vec<DeliveryId> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let ask = PageAsk { limit: 200, after };
        let page = store.list_deliveries(sender.account, DeliveryFilter::default(), ask).await.unwrap();
        found.extend(page.rows.iter().map(|row| row.delivery.id));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn a_restart_after_every_step_begins_nothing_anew() {
    let folder = Folder::new();
    let mut store = folder.open();
    let sender = Sender::new(&store).await;
    let mut kept = Vec::new();
    for _ in 0..8 {
        kept.push(all_but_one_ends(&store, &sender, 1_000).await);
    }
    let mut deliveries = 0;
    let mut steps = 0;
    loop {
        let retired = store.retire(old(NOW + 2 * DAY)).await.unwrap();
        assert!(retired.events + retired.deliveries <= 400, "a step is bounded");
        deliveries += retired.deliveries;
        steps += 1;
        drop(store);
        store = folder.open();
        if !retired.has_more {
            break;
        }
    }
    assert_eq!(deliveries, 8 * 999);
    assert!(steps < 60, "{steps} steps of 400 rows for 8,000");
    kept.reverse();
    assert!(listed(&store, &sender).await == kept, "what is on its way stays listed");
    assert_eq!(sender.due(&store).await.len(), 8);
}

#[tokio::test]
async fn segments_go_once_nothing_of_them_is_left() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let mut kept = Vec::new();
    for _ in 0..6 {
        kept.push(all_but_one_ends(&store, &sender, 2_500).await);
    }
    let before = count(&folder, "segments");
    assert!(before >= 3, "{before} segments");
    retire_all(&store, NOW + 2 * DAY).await;
    assert_eq!(count(&folder, "segments"), before, "each has something that is on its way");
    let outcomes = kept.iter().map(|id| sender.acknowledged(*id)).collect();
    store.record_outcomes(outcomes).await.unwrap();
    retire_all(&store, NOW + 3 * DAY).await;
    // Looked at in the same hour: now they are empty.
    retire_all(&store, NOW + 4 * DAY).await;
    assert_eq!(count(&folder, "segments"), 1, "the last one says which positions were given");
    assert!(count(&folder, "history") <= 3);
    for table in ["events", "event_ids", "deliveries", "attempts", "queue", "kept_events"] {
        assert_eq!(count(&folder, table), 0, "{table}");
    }
    let (_, young) = sender.deliver(&store).await;
    drop(store);
    let store = folder.open();
    assert_eq!(sender.due(&store).await, [young], "positions go on");
    assert_eq!(listed(&store, &sender).await, [young]);
}

#[tokio::test]
async fn a_large_fan_out_goes_in_steps() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let request = sender.request(1, 6_000);
    let ids: Vec<DeliveryId> = request.events[0].deliveries.iter().map(|(id, _)| *id).collect();
    store.commit_events(vec![request]).await.unwrap();
    while store.expand_fanouts(2_000).await.unwrap().more {}
    // The last one is still on its way.
    let (last, ended) = ids.split_last().unwrap();
    let outcomes = ended.iter().map(|id| sender.acknowledged(*id)).collect();
    store.record_outcomes(outcomes).await.unwrap();
    assert_eq!(retire_all(&store, NOW + 2 * DAY).await, (0, 5_999));
    assert_eq!(count(&folder, "later_deliveries"), 1);
    store.record_outcomes(vec![sender.acknowledged(*last)]).await.unwrap();
    assert_eq!(retire_all(&store, NOW + 3 * DAY).await, (1, 1));
    assert_eq!(count(&folder, "later_deliveries"), 0);
}

#[tokio::test]
async fn the_file_gives_back_what_is_free() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    for _ in 0..300 {
        store.commit_events(vec![sender.request(100_000, 0)]).await.unwrap();
    }
    drop(store);
    let store = folder.open();
    let before = store.file_bytes();
    assert!(before > 30_000_000, "{before}");
    assert_eq!(retire_all(&store, NOW + 2 * DAY).await, (300, 0));
    drop(store);
    let store = folder.open();
    let after = store.file_bytes();
    assert!(after < 12_000_000, "{after} of {before}");
    assert_eq!(store.check().await, Ok(()));
}

#[tokio::test]
async fn urls_go_once_nothing_names_them() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let attempt = |id| OutcomeRecord {
        attempt: Some(postrider_model::attempt::Attempt {
            id: AttemptId::new(NOW, bits()),
            number: 1,
            url: std::sync::Arc::from("https://hooks.example.com/"),
            created_at: NOW,
            duration: Duration::from_millis(3),
            response: None,
            error: None,
        }),
        ..sender.acknowledged(id)
    };
    let (_, ended) = sender.deliver(&store).await;
    store.record_outcomes(vec![attempt(ended)]).await.unwrap();
    for _ in 0..2 {
        all_but_one_ends(&store, &sender, 4_500).await;
    }
    // As if it had been used long before all that is left.
    let used_long_ago = |folder: &Folder| {
        let conn = Connection::open(folder.path("postrider.db")).unwrap();
        conn.execute("UPDATE urls SET used = -2000000", []).unwrap();
    };
    used_long_ago(&folder);
    retire_all(&store, NOW + 2 * DAY).await;
    assert_eq!(count(&folder, "urls"), 0);
    // The store does not go on naming a place that is gone.
    let (_, next) = sender.deliver(&store).await;
    store.record_outcomes(vec![attempt(next)]).await.unwrap();
    let shown = store.delivery(sender.account, next).await.unwrap().unwrap();
    assert_eq!(&*shown.attempts[0].url, "https://hooks.example.com/");
    assert_eq!(count(&folder, "urls"), 1);
}

#[tokio::test]
async fn an_event_of_a_wrong_clock_holds_nothing_up() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let (early, _) = sender.deliver(&store).await;
    let (late, ended) = sender.deliver(&store).await;
    store.record_outcomes(vec![sender.acknowledged(ended)]).await.unwrap();
    let conn = Connection::open(folder.path("postrider.db")).unwrap();
    let year = NOW + 365 * DAY;
    conn.execute(
        "UPDATE events SET created_at = ? WHERE position = (SELECT min(position) FROM events)",
        [year.as_millis()],
    )
    .unwrap();
    assert_eq!(retire_all(&store, NOW + 2 * DAY).await.0, 1);
    assert!(store.event(sender.account, early.id.clone()).await.unwrap().is_some());
    assert!(store.event(sender.account, late.id.clone()).await.unwrap().is_none());
}

/// All that the file holds in its tables, as bytes, row by row.
fn tables(folder: &Folder) -> Vec<(String, Vec<u8>)> {
    let conn = Connection::open(folder.path("postrider.db")).unwrap();
    let mut names = conn
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        .unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut found = Vec::new();
    for name in names {
        let mut statement = conn.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let mut bytes = Vec::new();
            for column in 0..columns {
                match row.get_ref(column).unwrap() {
                    rusqlite::types::ValueRef::Text(value) | rusqlite::types::ValueRef::Blob(value) => bytes.extend_from_slice(value),
                    other => bytes.extend_from_slice(format!("{other:?}").as_bytes()),
                }
            }
            found.push((name.clone(), bytes));
        }
    }
    found
}

/// In which tables something of an account or webhook stands.
fn tables_naming(folder: &Folder, ids: &[u128]) -> BTreeSet<String> {
    let needles: Vec<[u8; 16]> = ids.iter().map(|id| id.to_be_bytes()).collect();
    let names = |bytes: &[u8]| bytes.windows(16).any(|window| needles.iter().any(|needle| needle == window));
    let rows = tables(folder).into_iter();
    rows.filter(|(_, bytes)| names(bytes)).map(|(name, _)| name).collect()
}

/// Fills an account with one of everything.
async fn fill(store: &SqliteStore, sender: &Sender) -> WebhookId {
    let webhook = new_webhook(sender.account, &[9; 32]);
    let second = webhook.id;
    store.create_webhook(webhook, 10).await.unwrap();
    let snapshot = store.account_snapshot(sender.account).await.unwrap().unwrap();
    for count in [2_000, 2_500, 30] {
        let mut request = sender.request(10, count);
        request.version = snapshot.version;
        let ids: Vec<DeliveryId> = request.events[0].deliveries.iter().map(|(id, _)| *id).collect();
        store.commit_events(vec![request]).await.unwrap();
        let failed = ids.iter().take(20).map(|delivery| OutcomeRecord {
            change: Change::AttemptFailed { number: 1, next: None },
            ..sender.acknowledged(*delivery)
        });
        store.record_outcomes(failed.collect()).await.unwrap();
    }
    let test = Delivery {
        id: DeliveryId::new(NOW, bits()),
        account: sender.account,
        webhook: second,
        event: None,
        status: Status::Pending { due: NOW },
        progress: Progress::new(NOW),
        created_at: NOW,
        modified_at: NOW,
    };
    assert!(store.create_test(test, Bytes::from_static(b"{}")).await.unwrap());
    let job = Job {
        id: postrider_model::id::JobId::new(NOW, bits()),
        account: sender.account,
        kind: JobKind::Recover,
        webhook: Some(sender.webhook),
        status: JobStatus::Running,
        done: 0,
        total: None,
        error: None,
        ended_at: None,
        created_at: NOW,
        modified_at: NOW,
    };
    let recovery = Recovery {
        webhook: sender.webhook,
        since: NOW,
        until: NOW + DAY,
        what: RecoverWhat::All,
    };
    assert_eq!(store.create_job(job, recovery).await, Ok(JobMade::Made));
    second
}

#[tokio::test]
async fn nothing_of_a_deleted_account_is_left_in_the_file() {
    let folder = Folder::new();
    let mut store = folder.open();
    let (gone, other) = (Sender::new(&store).await, Sender::new(&store).await);
    let others_second = fill(&store, &other).await;
    let second = fill(&store, &gone).await;
    let ids = [gone.account.as_u128(), gone.webhook.as_u128(), second.as_u128()];
    let named = tables_naming(&folder, &ids);
    for table in [
        "accounts",
        "webhooks",
        "events",
        "deliveries",
        "history",
        "arrivals",
        "queue",
        "jobs",
        "changes",
    ] {
        assert!(named.contains(table), "the search finds {table}: {named:?}");
    }
    let others = listed(&store, &other).await;
    store.delete_account(gone.account, NOW + DAY).await.unwrap();
    while store.stop_deleted(2_000, NOW + DAY).await.unwrap() {}
    let mut steps = 0;
    while store.erase_deleted(300).await.unwrap() {
        steps += 1;
        // A crash between steps loses nothing of it.
        if steps % 5 == 0 {
            drop(store);
            store = folder.open();
        }
    }
    assert!((15..60).contains(&steps), "{steps} steps of 300 rows");
    let left = tables_naming(&folder, &ids);
    let expected: BTreeSet<String> = ["accounts", "changes"].map(str::to_owned).into();
    assert_eq!(left, expected, "the tombstone, and what tells others of it");
    let soon = Retire {
        before: NOW,
        now: NOW + DAY + Duration::from_secs(60),
        rows_max: 400,
    };
    store.retire(soon).await.unwrap();
    assert_eq!(tables_naming(&folder, &ids), expected, "others may not have heard of it yet");
    let later = Retire {
        now: NOW + 2 * DAY,
        ..soon
    };
    while store.retire(later).await.unwrap().has_more {}
    assert_eq!(tables_naming(&folder, &ids), BTreeSet::new());
    assert!(listed(&store, &other).await == others, "other accounts' lists are as they were");
    assert!(store.webhook(other.account, others_second).await.unwrap().is_some());
    drop(store);
    folder.open();
}
