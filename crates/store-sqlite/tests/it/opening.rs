//! Opening a store, and everything that can be wrong with it.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::support::{Folder, Sender};
use postrider_model::seal::{SealError, SealKey};
use postrider_ports::{Registry as _, Store as _, StoreError};
use postrider_store_sqlite::{OpenOptions, Role, SCHEMA_KNOWN, SealSource, SqliteStore, key_path};

#[test]
fn a_second_server_is_refused_until_the_first_has_ended() {
    let folder = Folder::new();
    let first = folder.open();
    let refusal = folder.refusal(folder.options("postrider.db"));
    assert!(matches!(refusal, StoreError::InUse { .. }), "{refusal:?}");
    drop(first);
    folder.open();
}

#[tokio::test]
async fn a_command_is_let_in_beside_a_server() {
    let folder = Folder::new();
    let server = folder.open();
    let sender = Sender::new(&server).await;
    let command = SqliteStore::open(OpenOptions {
        role: Role::Command,
        ..folder.options("postrider.db")
    })
    .unwrap();
    let found = command.account_snapshot(sender.account).await.unwrap().unwrap();
    assert_eq!(found.version, sender.version);
    assert_eq!(server.check().await, Ok(()));
    assert_eq!(command.check().await, Ok(()));
}

#[test]
fn the_key_is_made_with_the_database_and_for_its_owner_alone() {
    let folder = Folder::new();
    let path = key_path(&folder.path("postrider.db"));
    drop(folder.open());
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(SealKey::parse(&text).is_ok());
    drop(folder.open());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "it stays as it is");
}

#[test]
fn a_missing_key_is_not_made_anew() {
    let folder = Folder::new();
    drop(folder.open());
    let path = key_path(&folder.path("postrider.db"));
    std::fs::remove_file(&path).unwrap();
    let refusal = folder.refusal(folder.options("postrider.db"));
    assert!(matches!(refusal, StoreError::CannotOpen { .. }), "{refusal:?}");
    assert!(!path.exists());
}

#[test]
fn another_key_is_refused() {
    let folder = Folder::new();
    drop(folder.open());
    let refusal = folder.refusal(OpenOptions {
        seal: SealSource::Given(SealKey::from_bytes(&[1; 32]).unwrap()),
        ..folder.options("postrider.db")
    });
    assert!(matches!(refusal, StoreError::Seal(SealError::OtherKey { .. })), "{refusal:?}");

    let given = |byte| OpenOptions {
        seal: SealSource::Given(SealKey::from_bytes(&[byte; 32]).unwrap()),
        ..folder.options("given.db")
    };
    drop(SqliteStore::open(given(2)).unwrap());
    assert!(
        !key_path(&folder.path("given.db")).exists(),
        "a key that was given is not written down"
    );
    drop(SqliteStore::open(given(2)).unwrap());
    assert!(matches!(folder.refusal(given(3)), StoreError::Seal(_)));
}

#[test]
fn a_key_that_is_none_is_refused() {
    let folder = Folder::new();
    drop(folder.open());
    std::fs::write(key_path(&folder.path("postrider.db")), "not a key").unwrap();
    let refusal = folder.refusal(folder.options("postrider.db"));
    assert_eq!(refusal, StoreError::Seal(SealError::BadKey));
}

fn set_schema(folder: &Folder, version: u32, oldest_binary: u32) {
    let conn = rusqlite::Connection::open(folder.path("postrider.db")).unwrap();
    conn.pragma_update(None, "user_version", version).unwrap();
    conn.execute("UPDATE meta SET value = ? WHERE name = 'oldest_binary'", [oldest_binary])
        .unwrap();
}

#[test]
fn a_newer_schema_is_refused_unless_it_says_that_this_binary_may_use_it() {
    let folder = Folder::new();
    drop(folder.open());
    let newer = SCHEMA_KNOWN + 1;
    set_schema(&folder, newer, newer);
    let refusal = folder.refusal(folder.options("postrider.db"));
    let expected = StoreError::NewerSchema {
        found: newer,
        known: SCHEMA_KNOWN,
    };
    assert_eq!(refusal, expected);
    set_schema(&folder, newer, SCHEMA_KNOWN);
    drop(folder.open());
}

#[test]
fn what_is_no_database_of_ours_is_refused_and_left_alone() {
    let folder = Folder::new();
    let text = "not a database, but long enough to be looked at as one. ".repeat(100);
    std::fs::write(folder.path("text.db"), &text).unwrap();
    let refusal = folder.refusal(folder.options("text.db"));
    assert!(matches!(refusal, StoreError::CannotOpen { .. }), "{refusal:?}");
    assert_eq!(std::fs::read_to_string(folder.path("text.db")).unwrap(), text);

    let other = rusqlite::Connection::open(folder.path("other.db")).unwrap();
    other.execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    drop(other);
    let refusal = folder.refusal(folder.options("other.db"));
    assert!(
        matches!(&refusal, StoreError::CannotOpen { what, .. } if what.ends_with("other.db")),
        "{refusal:?}"
    );
}

#[test]
fn a_missing_folder_is_named() {
    let folder = Folder::new();
    for role in [Role::Server, Role::Command] {
        let refusal = folder.refusal(OpenOptions {
            role,
            ..folder.options("missing/postrider.db")
        });
        assert!(
            matches!(&refusal, StoreError::CannotOpen { what, .. } if what.contains("missing")),
            "{refusal:?}"
        );
    }
}

#[tokio::test]
async fn a_damaged_file_is_told_as_such() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let (event, _) = sender.deliver(&store).await;
    drop(store);
    let path = folder.path("postrider.db");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4_096 * 3..].fill(0xA5);
    std::fs::write(&path, bytes).unwrap();
    let told = match SqliteStore::open(folder.options("postrider.db")) {
        Err(error) => error,
        Ok(store) => store.event(sender.account, event.id.clone()).await.unwrap_err(),
    };
    assert!(matches!(told, StoreError::Corrupt { .. }), "{told:?}");
}

#[tokio::test]
async fn a_file_that_another_process_locks_is_not_available() {
    let folder = Folder::new();
    let store = SqliteStore::open(OpenOptions {
        lock_time_max: Duration::ZERO,
        ..folder.options("postrider.db")
    })
    .unwrap();
    let other = rusqlite::Connection::open(folder.path("postrider.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refusal = store.check().await.unwrap_err();
    assert!(
        matches!(&refusal, StoreError::Unavailable { reason, .. } if reason.contains("locked")),
        "{refusal:?}"
    );
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.check().await, Ok(()), "it goes on by itself");
}
