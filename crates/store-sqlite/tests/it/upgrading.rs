//! A file of an older version is brought forward with all that it holds.

use std::sync::Arc;

use crate::support::{Folder, NOW};
use postrider_model::account::AccountRef;
use postrider_model::event::{Event, EventDraft, Resource};
use postrider_model::id::{AccountId, EventId};
use postrider_model::name::EventName;
use postrider_model::queue::Position;
use postrider_ports::store::EventFilter;
use postrider_ports::{PageAsk, Registry as _, Store as _};
use rusqlite::{Connection, params};

const ACCOUNT: AccountId = AccountId::from_u128(7);
/// The place of the one event in the file.
const PLACE: i64 = 2;

fn event() -> Event {
    let draft = EventDraft {
        name: EventName::parse("order.created").unwrap(),
        resource: Resource {
            id: "ord_1".to_owned(),
            resource_type: "order".to_owned(),
        },
        data: "{}",
    };
    Event::new(ACCOUNT, EventId::own("order-1").unwrap(), draft, NOW)
}

/// A file as the first version of the schema had it: an account, and an event of it.
fn first_version(folder: &Folder) {
    let conn = Connection::open(folder.path("postrider.db")).unwrap();
    conn.pragma_update(None, "application_id", 0x5054_5244).unwrap();
    conn.execute_batch("CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID")
        .unwrap();
    conn.execute_batch(include_str!("../../migrations/0001_first.sql")).unwrap();
    conn.execute("INSERT INTO meta VALUES ('oldest_binary', 1)", []).unwrap();
    conn.pragma_update(None, "user_version", 1).unwrap();
    let (account, event) = (ACCOUNT.as_u128().to_be_bytes(), event());
    conn.execute(
        "INSERT INTO accounts (id, position, name, is_active, version, created_at, modified_at) VALUES (?1, 1, 'Acme', 1, 0, ?2, ?2)",
        params![account, NOW.as_millis()],
    )
    .unwrap();
    let key = [&account[..], b"order-1"].concat();
    conn.execute(
        "INSERT INTO events VALUES (?, ?, ?, 'order.created', 'ord_1', 'order', ?, x'', ?)",
        params![PLACE, key, account, NOW.as_millis(), &*event.body],
    )
    .unwrap();
    conn.execute("INSERT INTO event_ids VALUES (?, ?)", params![key, PLACE]).unwrap();
    let arrived = [&account[..], &PLACE.to_be_bytes()].concat();
    conn.execute("INSERT INTO arrivals VALUES (?, x'', ?)", params![PLACE, arrived])
        .unwrap();
}

#[tokio::test]
async fn a_file_of_the_first_version_is_brought_forward() {
    let folder = Folder::new();
    first_version(&folder);
    for _ in 0..2 {
        let store = folder.open();
        let account = store.account(AccountRef::Id(ACCOUNT)).await.unwrap().unwrap();
        assert_eq!(account.name, "Acme");
        let ask = PageAsk { limit: 10, after: None };
        let page = store.list_events(ACCOUNT, EventFilter::default(), ask).await.unwrap();
        assert_eq!(page.rows, [Arc::new(event())]);
        assert_eq!(store.last_position().await, Ok(Position::counted(PLACE.unsigned_abs())));
    }
    let conn = Connection::open(folder.path("postrider.db")).unwrap();
    let version: u32 = conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, postrider_store_sqlite::SCHEMA_KNOWN);
    let damage: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(damage, "ok");
}
