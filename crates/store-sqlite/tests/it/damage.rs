//! A row that is changed in any table of a store that was filled shows: in the records that are read out, or as what does not agree.

use std::collections::BTreeSet;

use postrider_ports::Store as _;
use postrider_store_sqlite::{OpenOptions, SqliteStore, key_path};
use postrider_testkit::conformance::archive::{damage, everything, fill, move_all};
use rusqlite::Connection;

use crate::support::Folder;

/// Tables that a store keeps for itself: a move begins them anew, and nothing of what was moved is in them.
const ITS_OWN: [&str; 6] = ["changes", "kept_events", "meta", "pulse", "retention", "sqlite_sequence"];

/// What is done to a table, and what tells of it.
const DAMAGE: [(&str, &str, &str); 30] = [
    ("accounts", "UPDATE accounts SET name = name || 'x' WHERE position = 1", "records"),
    (
        "accounts",
        "UPDATE accounts SET webhooks = webhooks + 1 WHERE position = 1",
        "accounts: ",
    ),
    (
        "keys",
        "UPDATE keys SET hash = zeroblob(32) WHERE name = 'ci' AND owner = x''",
        "records",
    ),
    ("webhooks", "UPDATE webhooks SET url = url || 'x' WHERE failures = 3", "records"),
    (
        "webhooks",
        "UPDATE webhooks SET secrets = CAST(substr(secrets, 1, length(secrets) - 1) || x'00' AS BLOB) WHERE failures = 3",
        "the webhook wh_",
    ),
    ("webhooks", "DELETE FROM webhooks WHERE failures = 3", "records"),
    (
        "stopping",
        "DELETE FROM stopping WHERE webhook = (SELECT max(webhook) FROM stopping)",
        "records",
    ),
    (
        "events",
        "UPDATE events SET body = CAST(body || ' ' AS BLOB) WHERE position = (SELECT min(position) FROM events)",
        "records",
    ),
    (
        "events",
        "UPDATE events SET deliveries = x'' WHERE length(deliveries) = 32",
        "records",
    ),
    (
        "event_ids",
        "UPDATE event_ids SET event = event + 1 WHERE event = (SELECT min(event) FROM event_ids)",
        "event_ids: ",
    ),
    ("event_ids", "DELETE FROM event_ids WHERE length(id) > 16", "event_ids: "),
    (
        "later_deliveries",
        "DELETE FROM later_deliveries WHERE position = (SELECT min(position) FROM later_deliveries)",
        "records",
    ),
    (
        "later_deliveries",
        "INSERT INTO later_deliveries SELECT event, -position, delivery FROM later_deliveries LIMIT 1",
        "later_deliveries: ",
    ),
    (
        "deliveries",
        "UPDATE deliveries SET state = CAST(x'09' || substr(state, 2) AS BLOB) WHERE event IS NULL",
        "the delivery whd_",
    ),
    (
        "deliveries",
        "UPDATE deliveries SET webhook = zeroblob(16) WHERE position = (SELECT min(position) FROM deliveries)",
        "records",
    ),
    (
        "queue",
        "DELETE FROM queue WHERE position = (SELECT min(position) FROM queue)",
        "queue: ",
    ),
    (
        "queue",
        "UPDATE queue SET due = due + 1 WHERE position = (SELECT min(position) FROM queue)",
        "queue: ",
    ),
    (
        "queue",
        "INSERT INTO queue SELECT webhook, due + 1, position, delivery FROM queue LIMIT 1",
        "queue: ",
    ),
    ("queued_tests", "DELETE FROM queued_tests", "queued_tests: "),
    (
        "attempts",
        "UPDATE attempts SET attempt = CAST(substr(attempt, 1, length(attempt) - 1) || 'x' AS BLOB) WHERE number = 2",
        "records",
    ),
    ("attempts", "UPDATE attempts SET number = 3 WHERE number = 2", "records"),
    ("tests", "UPDATE tests SET body = CAST(body || ' ' AS BLOB)", "records"),
    ("urls", "UPDATE urls SET url = url || 'x'", "records"),
    (
        "arrivals",
        "DELETE FROM arrivals WHERE length(events) > 0 OR length(deliveries) > 0",
        "records",
    ),
    (
        "history",
        "UPDATE history SET entries = substr(entries, 25) WHERE substr(owner, 1, 1) = CAST('w' AS BLOB) AND length(entries) > 24",
        "history: ",
    ),
    (
        "history",
        "UPDATE history SET owner = CAST('w' || zeroblob(16) AS BLOB)
         WHERE owner = (SELECT min(owner) FROM history WHERE substr(owner, 1, 1) = CAST('w' AS BLOB))",
        "history: ",
    ),
    ("segments", "DELETE FROM segments", "segments: "),
    ("fanouts", "UPDATE fanouts SET pairs = substr(pairs, 33)", "records"),
    ("jobs", "UPDATE jobs SET done = done + 1", "records"),
    (
        "kept_answers",
        "UPDATE kept_answers SET answer = CAST(substr(answer, 1, length(answer) - 1) || x'00' AS BLOB) WHERE is_secret",
        "the answer kept under \"Z\"",
    ),
];

/// A store that was filled to the end, and is not released yet; with all that it holds.
async fn filled(folder: &Folder) -> Vec<String> {
    let (one, other) = (folder.open_as("one.db"), folder.open_as("whole.db"));
    fill(&one).await;
    // So much that the lists have a segment too.
    one.expand_fanouts(5_000).await.unwrap();
    move_all(&one, &other).await;
    let whole = everything(&other).await.unwrap();
    assert!(whole == everything(&one).await.unwrap());
    assert_eq!(damage(&other, &whole).await, "nothing");
    whole
}

#[tokio::test]
async fn a_changed_row_of_any_table_shows() {
    let folder = Folder::new();
    let whole = filled(&folder).await;
    let (from, path) = (folder.path("whole.db"), folder.path("copy.db"));
    std::fs::copy(key_path(&from), key_path(&path)).unwrap();
    let (mut tables, mut unseen) = (BTreeSet::new(), Vec::new());
    for (table, sql, told) in DAMAGE {
        std::fs::copy(&from, &path).unwrap();
        let conn = Connection::open(&path).unwrap();
        let rows = conn.execute(sql, []).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert!(rows > 0, "{sql}");
        drop(conn);
        let options = OpenOptions {
            is_filled: true,
            ..folder.options("copy.db")
        };
        let store = SqliteStore::open(options).unwrap();
        let found = damage(&store, &whole).await;
        if !found.contains(told) {
            unseen.push((sql, found));
        }
        tables.insert(table.to_owned());
    }
    assert!(unseen.is_empty(), "{unseen:#?}");
    let conn = Connection::open(&from).unwrap();
    let mut statement = conn.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").unwrap();
    let all: BTreeSet<String> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    tables.extend(ITS_OWN.map(str::to_owned));
    assert_eq!(tables, all, "each table was tried, or is the store's own");
}
