//! A copy of a store that is in use.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use postrider_model::event::Event;
use postrider_ports::{Store as _, StoreError};
use postrider_store_sqlite::{BackupProgress, SqliteStore, backup, key_path};

use crate::support::{Folder, Sender};

/// Everything in the folder whose name begins with that of the copy.
fn around(to: &Path) -> Vec<String> {
    let name = to.file_name().unwrap().to_str().unwrap();
    let folder = std::fs::read_dir(to.parent().unwrap()).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|entry| entry.starts_with(name)).collect()
}

fn reason(error: StoreError) -> String {
    match error {
        StoreError::CannotOpen { what, reason } => format!("{what}: {reason}"),
        other => panic!("{other:?}"),
    }
}

/// Gives a copy the key of the database that it was made of.
fn bring_key(folder: &Folder, copy: &Path) {
    std::fs::copy(key_path(&folder.path("postrider.db")), key_path(copy)).unwrap();
}

/// Commits events until it is told to stop, and tells all that were acknowledged.
async fn commit_until(store: Arc<SqliteStore>, sender: Sender, stop: Arc<AtomicBool>) -> Vec<Arc<Event>> {
    let mut stored = Vec::new();
    while !stop.load(Ordering::Acquire) {
        stored.push(sender.deliver(&store).await.0);
    }
    stored
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_taken_beside_a_writer_is_whole() {
    let folder = Folder::new();
    let store = Arc::new(folder.open());
    let sender = Sender::new(&store).await;
    let account = sender.account;
    let mut before = Vec::new();
    for _ in 0..40 {
        let request = sender.request(100_000, 1);
        before.push(Arc::clone(&request.events[0].event));
        store.commit_events(vec![request]).await.unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(commit_until(Arc::clone(&store), sender, Arc::clone(&stop)));
    let (from, to) = (folder.path("postrider.db"), folder.path("copy.db"));
    let copied = {
        let to = to.clone();
        tokio::task::spawn_blocking(move || {
            let mut seen: Vec<BackupProgress> = Vec::new();
            let bytes = backup(&from, &to, |progress| seen.push(progress)).unwrap();
            (bytes, seen)
        })
    };
    let (bytes, seen) = copied.await.unwrap();
    stop.store(true, Ordering::Release);
    let meanwhile = writer.await.unwrap();
    assert!(bytes > 4_000_000, "{bytes}");
    assert!(seen.is_sorted_by_key(|progress| progress.done_bytes));
    let last = seen.last().unwrap();
    assert_eq!((last.done_bytes, last.total_bytes), (bytes, bytes));
    assert_eq!(around(&to), ["copy.db"], "nothing is left beside it");

    bring_key(&folder, &to);
    let copy = folder.open_as("copy.db");
    for event in before {
        assert_eq!(copy.event(account, event.id.clone()).await, Ok(Some(event)));
    }
    // What came meanwhile is in it up to one moment, and not beyond.
    let mut is_over = false;
    for event in meanwhile {
        let found = copy.event(account, event.id.clone()).await.unwrap();
        assert!(!(is_over && found.is_some()), "an event is missing before one that is there");
        is_over |= found.is_none();
    }
    assert_eq!(copy.check().await, Ok(()));
    assert_eq!(store.check().await, Ok(()), "the store goes on");
}

#[tokio::test]
async fn a_copy_goes_on_like_the_store_itself() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let (event, waits) = sender.deliver(&store).await;
    let to = folder.path("copy.db");
    store.backup(&to, |_| ()).unwrap();
    drop(store);
    bring_key(&folder, &to);
    let copy = folder.open_as("copy.db");
    assert_eq!(copy.event(sender.account, event.id.clone()).await, Ok(Some(event)));
    assert_eq!(sender.due(&copy).await, [waits]);
    sender.deliver(&copy).await;
}

#[tokio::test]
async fn a_backup_writes_over_nothing() {
    let folder = Folder::new();
    let store = folder.open();
    let to: PathBuf = folder.path("copy.db");
    std::fs::write(&to, b"mine").unwrap();
    let error = reason(store.backup(&to, |_| ()).unwrap_err());
    assert!(error.contains("copy.db: it is there already"), "{error}");
    assert_eq!(std::fs::read(&to).unwrap(), b"mine");
    assert_eq!(around(&to), ["copy.db"]);
}

#[tokio::test]
async fn a_name_taken_meanwhile_stays_anothers() {
    let folder = Folder::new();
    let store = folder.open();
    let to = folder.path("copy.db");
    let error = store.backup(&to, |_| std::fs::write(&to, b"mine").unwrap()).unwrap_err();
    assert!(reason(error).contains("it is there already"));
    assert_eq!(std::fs::read(&to).unwrap(), b"mine");
    assert_eq!(around(&to), ["copy.db"]);
}

#[tokio::test]
async fn what_cannot_be_copied_is_named() {
    let folder = Folder::new();
    let to = folder.path("copy.db");
    let error = reason(backup(&folder.path("none.db"), &to, |_| ()).unwrap_err());
    assert!(error.contains("none.db"), "{error}");
    std::fs::write(folder.path("text.db"), "not a database, whatever its name says".repeat(100)).unwrap();
    let error = reason(backup(&folder.path("text.db"), &to, |_| ()).unwrap_err());
    assert!(error.contains("text.db") && error.contains("not a database"), "{error}");
    std::fs::write(folder.path("empty.db"), "").unwrap();
    let error = reason(backup(&folder.path("empty.db"), &to, |_| ()).unwrap_err());
    assert!(error.contains("empty.db") && error.contains("Postrider"), "{error}");
    let store = folder.open();
    let error = reason(store.backup(&folder.path("none/copy.db"), |_| ()).unwrap_err());
    assert!(error.contains("none/copy.db"), "{error}");
    assert!(around(&to).is_empty(), "nothing is left");
}

#[tokio::test]
async fn the_log_is_begun_anew_after_a_long_read_of_another() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let commit = async |count: usize| {
        for _ in 0..count {
            store.commit_events(vec![sender.request(200_000, 0)]).await.unwrap();
        }
    };
    // As a backup does it, from the first page to the last.
    let mut other = rusqlite::Connection::open(folder.path("postrider.db")).unwrap();
    let read = other.transaction().unwrap();
    read.query_row("SELECT count(*) FROM events", [], |_| Ok(())).unwrap();
    commit(400).await;
    let grown = store.wal_bytes();
    assert!(grown > 80_000_000, "nothing of it may go while it is read: {grown}");
    drop(read);
    commit(300).await;
    let after = store.wal_bytes();
    assert!(after <= grown, "{after} after {grown}");
}
