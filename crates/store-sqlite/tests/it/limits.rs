//! The log stays small, and no read lasts for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::support::{Folder, NOW, Sender};
use postrider_model::account::AccountChange;
use postrider_model::time::{Monotonic, Timestamp};
use postrider_ports::clock::Sleep;
use postrider_ports::store::{DeliveryFilter, WaitingAsk};
use postrider_ports::{Clock, PageAsk, Registry as _, Store as _, StoreError};
use postrider_store_sqlite::{OpenOptions, SqliteStore};

/// What the log may take: the mark at which reads wait for a moment, and some room.
const LOG_BYTES_MAX: u64 = 48 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_log_stays_bounded_while_readers_come_and_go() {
    let folder = Folder::new();
    let store = Arc::new(folder.open());
    let sender = Arc::new(Sender::new(&store).await);
    store.commit_events(vec![sender.request(1, 2_000)]).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (store, sender, stop) = (Arc::clone(&store), Arc::clone(&sender), Arc::clone(&stop));
        readers.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                sender.due(&store).await;
                let ask = PageAsk { limit: 200, after: None };
                store.list_deliveries(sender.account, DeliveryFilter::default(), ask).await.unwrap();
            }
        });
    }
    let mut written = 0;
    while written < 3 * LOG_BYTES_MAX {
        let group = (0..10).map(|_| sender.request(60_000, 0)).collect();
        store.commit_events(group).await.unwrap();
        written += 600_000;
        let log = store.wal_bytes();
        assert!(log < LOG_BYTES_MAX, "the log has {log} bytes after {written}");
    }
    stop.store(true, Ordering::Relaxed);
    readers.join_all().await;
    assert!(store.file_bytes() > written / 2, "what was written is in the database");
}

/// A clock that moves on by a second whenever it is looked at.
struct Hasty(AtomicU64);

impl Clock for Hasty {
    fn wall(&self) -> Timestamp {
        NOW
    }

    fn mono(&self) -> Monotonic {
        Monotonic::from_nanos(self.0.fetch_add(1_000_000_000, Ordering::Relaxed))
    }

    fn sleep_until(&self, _deadline: Monotonic) -> Sleep {
        Box::pin(std::future::ready(()))
    }
}

fn too_slow(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable { reason, .. } if reason.contains("too long"))
}

#[tokio::test]
async fn a_read_that_takes_too_long_is_broken_off() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    for _ in 0..1_000 {
        store.change_account(sender.account, AccountChange::default(), NOW).await.unwrap();
    }
    store.commit_events(vec![sender.request(1, 100)]).await.unwrap();
    drop(store);
    let store = SqliteStore::open(OpenOptions {
        clock: Arc::new(Hasty(AtomicU64::new(0))),
        read_time_max: Duration::from_secs(2),
        ..folder.options("postrider.db")
    })
    .unwrap();
    // Of many short statements: between two of them.
    let ask = PageAsk { limit: 200, after: None };
    let listed = store.list_deliveries(sender.account, DeliveryFilter::default(), ask).await;
    assert!(listed.is_ok(), "short enough: {listed:?}");
    let due = store.waiting(WaitingAsk::first(10)).await;
    assert!(due.is_ok(), "short enough: {due:?}");
    let asks = vec![
        postrider_ports::store::DueAsk {
            account: sender.account,
            webhook: sender.webhook,
            rows_max: 100,
            bytes_max: usize::MAX,
            known: Vec::new(),
            tests_only: false,
        };
        3
    ];
    assert!(too_slow(&store.fetch_due(asks, NOW).await.unwrap_err()));
    // Of one long statement: within it.
    assert!(too_slow(&store.changes(Some(0)).await.unwrap_err()));
    assert_eq!(store.check().await, Ok(()), "the next call finds everything in order");
}
