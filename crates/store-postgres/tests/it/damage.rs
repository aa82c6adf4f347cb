//! A row that is changed in any table of a store that was filled shows: in the records that are read out, or as what does not agree.

use std::collections::BTreeSet;

use postrider_ports::Store as _;
use postrider_store_postgres::{OpenOptions, connect};
use postrider_testkit::conformance::archive::{damage, everything, fill, move_all};

use crate::support::{Fresh, options};

/// Tables that a store keeps for itself: a move begins them anew, and nothing of what was moved is in them.
const ITS_OWN: &str = "changes changes_trimmed marks meta nodes pulse retention slots";

/// What is done to a table, and what tells of it.
const DAMAGE: [(&str, &str, &str); 31] = [
    ("accounts", "SET name = name || 'x' WHERE external_id IS NOT NULL", "records"),
    (
        "accounts",
        "SET webhooks = webhooks + 1 WHERE external_id IS NOT NULL",
        "accounts: ",
    ),
    ("accounts", "SET deleted_at = deleted_at + 1 WHERE is_erased", "records"),
    (
        "keys",
        "SET hash = decode(repeat('00', 32), 'hex') WHERE expires_at IS NULL",
        "records",
    ),
    ("webhooks", "SET url = url || 'x' WHERE failures = 3", "records"),
    (
        "webhooks",
        "SET secrets = set_byte(secrets, 60, 1 # get_byte(secrets, 60)) WHERE failures = 3",
        "the webhook wh_",
    ),
    ("webhooks", "SET failures = 4 WHERE failures = 3", "records"),
    ("stopping", "SET webhook = gen_random_uuid()", "records"),
    ("events", "SET body = body || ' '::bytea WHERE own_id = 'own-1'", "records"),
    ("events", "SET deliveries = '' WHERE own_id = 'own-1'", "records"),
    ("events", "SET own_id = 'own-2' WHERE own_id = 'own-1'", "records"),
    ("events", "SET major = major + 1 WHERE own_id = 'own-1'", "records"),
    (
        "event_ids",
        "SET event = gen_random_uuid() WHERE own_id = 'own-1'",
        "event_ids: own-1",
    ),
    ("event_ids", "SET own_id = 'own-2' WHERE own_id = 'own-1'", "event_ids: own-1"),
    ("queue", "SET slot = (slot + 1) % 1024 WHERE is_urgent", "queue: a delivery to wh_"),
    ("queue", "SET due = due + 1 WHERE is_urgent", "records"),
    ("queue", "SET is_urgent = false WHERE is_urgent", "records"),
    ("queue", "SET is_later = false WHERE is_later", "records"),
    ("queue", "SET is_fresh = true", "queue: the delivery whd_"),
    ("queue", "SET schedule_base = schedule_base + 1 WHERE attempts > 1", "records"),
    ("deliveries", "SET ended_at = ended_at + 1 WHERE status = 1", "records"),
    ("deliveries", "SET failed_reason = 2 WHERE failed_reason = 1", "records"),
    (
        "deliveries",
        "SET success = set_byte(success, 3, 1 # get_byte(success, 3)) WHERE success IS NOT NULL",
        "records",
    ),
    ("attempts", "SET number = 7 WHERE number = 2", "an attempt of whd_"),
    (
        "attempts",
        "SET attempt = set_byte(attempt, length(attempt) - 1, 1 # get_byte(attempt, length(attempt) - 1)) WHERE number = 2",
        "records",
    ),
    ("tests", "SET body = body || ' '::bytea", "records"),
    ("fanouts", "SET pairs = substr(pairs, 33)", "records"),
    ("fanouts", "SET created_at = created_at + 1", "records"),
    (
        "kept_answers",
        "SET answer = set_byte(answer, 40, 1 # get_byte(answer, 40)) WHERE is_secret",
        "under \"Z\"",
    ),
    ("jobs", "SET done = done + 1", "records"),
    // Behind it in the order of its account there is nothing: but what comes next would stand before it. Further than the gap that a store
    // leaves when it opens on another server than the one it came from, as the two of this test may be.
    ("jobs", "SET major = major + (1::bigint << 40) WHERE total = 1", "pulse: "),
];

#[tokio::test]
async fn a_changed_row_of_any_table_shows() {
    let (one, other) = (Fresh::empty().await, Fresh::empty().await);
    fill(&one.store).await;
    one.store.expand_fanouts(100).await.unwrap();
    move_all(&one.store, &other.store).await;
    let whole = everything(&other.store).await.unwrap();
    assert!(whole == everything(&one.store).await.unwrap());
    assert_eq!(damage(&other.store, &whole).await, "nothing");

    let Fresh { store, database } = other;
    drop(store);
    let tables = "SELECT string_agg(relname, ' ') FROM pg_class
                  WHERE relnamespace = 'postrider'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition";
    let all = database.psql(tables);
    let template = database.into_template();
    let mut unseen = Vec::new();
    for (table, change, told) in DAMAGE {
        let copy = template.copy();
        let rows = copy.psql(&format!(
            "WITH changed AS (UPDATE postrider.{table} {change} RETURNING 1) SELECT count(*) FROM changed"
        ));
        assert_ne!(rows, "0", "{table}: {change}");
        let options = OpenOptions {
            is_filled: true,
            ..options(copy.url())
        };
        let found = damage(&connect(options).await.unwrap(), &whole).await;
        if !found.contains(told) {
            unseen.push((table, change, found));
        }
    }
    assert!(unseen.is_empty(), "{unseen:#?}");
    let mut tried: BTreeSet<&str> = DAMAGE.into_iter().map(|(table, ..)| table).collect();
    tried.extend(ITS_OWN.split(' '));
    assert_eq!(
        tried,
        all.split_whitespace().collect(),
        "each table was tried, or is the store's own"
    );
}
