//! History goes by whole days, and only when nobody needs it. Rows are written by hand, so that days lie where the story wants them.

use std::time::Duration;

use postrider_model::time::Timestamp;
use postrider_ports::Store;
use postrider_ports::store::{Retire, Retired};

use crate::support::Fresh;

const DAY: Duration = Duration::from_secs(24 * 3600);
const ACCOUNT: &str = "00000000-0000-0000-0000-0000000000aa";
const WEBHOOK: &str = "00000000-0000-0000-0000-0000000000bb";

fn day(number: u32) -> Timestamp {
    "2025-06-01T00:00:00Z".parse::<Timestamp>().unwrap() + DAY * number
}

/// An id of a time; `number` tells it from others of the same ms.
fn id(time: Timestamp, number: u32) -> String {
    let millis = format!("{:012x}", time.as_millis());
    format!("{}-{}-7000-8000-{number:012x}", &millis[..8], &millis[8..])
}

struct Story {
    fresh: Fresh,
}

impl Story {
    async fn begin() -> Self {
        let fresh = Fresh::empty().await;
        fresh.database.psql(&format!(
            "INSERT INTO postrider.accounts (id, major, minor, name, is_active, version, created_at, modified_at)
             VALUES ('{ACCOUNT}', 1, 0, 'Acme', true, 1, 0, 0);
             INSERT INTO postrider.webhooks (account, id, major, minor, url, is_active, event_names, secrets, created_at, modified_at)
             VALUES ('{ACCOUNT}', '{WEBHOOK}', 1, 0, 'https://hooks.example.com/', true, '{{}}', '', 0, 0)"
        ));
        Self { fresh }
    }

    /// Makes the partitions of a day. A store that opens on that day does.
    async fn make_day(&self, time: Timestamp) {
        let retire = Retire {
            before: Timestamp::from_millis(0),
            now: time,
            rows_max: 1,
        };
        self.fresh.store.retire(retire).await.unwrap();
    }

    /// An event with a delivery, ended or pending, both of this time.
    async fn deliver(&self, time: Timestamp, is_pending: bool) {
        self.make_day(time).await;
        let (event, delivery) = (id(time, 1), id(time, 2));
        let at = time.as_millis();
        self.fresh.database.psql(&format!(
            "INSERT INTO postrider.events VALUES
             ('{ACCOUNT}', '{event}', 2, 0, NULL, 'a', 'r', 't', {at}, decode(replace('{delivery}', '-', ''), 'hex'), '{{}}')"
        ));
        let row = if is_pending {
            format!(
                "INSERT INTO postrider.queue (account, delivery, slot, webhook, event, due, major, minor, schedule_began_at, created_at, modified_at)
                 VALUES ('{ACCOUNT}', '{delivery}', 1, '{WEBHOOK}', '{event}', {at}, 2, 1, {at}, {at}, {at})"
            )
        } else {
            format!(
                "INSERT INTO postrider.deliveries VALUES
                 ('{ACCOUNT}', '{delivery}', '{WEBHOOK}', '{event}', 2, 1, 1, NULL, {at}, 1, 0, {at}, false, {at}, {at}, NULL);
                 INSERT INTO postrider.attempts VALUES ('{ACCOUNT}', '{delivery}', 1, '')"
            )
        };
        self.fresh.database.psql(&row);
    }

    /// A session that has run this in a transaction, and has not ended it.
    async fn hold(&self, sql: &str) -> tokio_postgres::Client {
        let url = self.fresh.database.url();
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(&format!("BEGIN; {sql}")).await.unwrap();
        client
    }

    async fn retire(&self, before: Timestamp) -> Retired {
        let step = Retire {
            before,
            now: before + DAY * 30,
            rows_max: 100,
        };
        self.fresh.store.retire(step).await.unwrap()
    }

    /// Days up to 2025 that are there, of each table.
    fn days(&self) -> [String; 3] {
        ["events", "deliveries", "attempts"].map(|table| {
            self.fresh.database.psql(&format!(
                "SELECT string_agg(substr(inhrelid::regclass::text, length('postrider.{table}_2025_') + 1), ' ' ORDER BY inhrelid::regclass::text)
                 FROM pg_inherits WHERE inhparent = 'postrider.{table}'::regclass AND inhrelid::regclass::text LIKE '%\\_2025\\_06\\_0%'"
            ))
        })
    }
}

fn all(days: &str) -> [String; 3] {
    [days.to_owned(), days.to_owned(), days.to_owned()]
}

#[tokio::test]
async fn a_day_goes_when_all_of_it_is_old() {
    let story = Story::begin().await;
    story.deliver(day(0) + DAY / 2, false).await;
    story.deliver(day(1) - Duration::from_millis(1), false).await;
    story.deliver(day(1), false).await;
    let retired = story.retire(day(0) + DAY / 2).await;
    assert_eq!((retired.events, retired.deliveries), (0, 0), "what is as old as that is kept");
    let retired = story.retire(day(1)).await;
    assert_eq!((retired.events, retired.deliveries), (2, 2));
    assert_eq!(
        story.days(),
        all("06_01 06_02 06_03 06_04"),
        "nobody who has read before is still at it"
    );
    let retired = story.retire(day(1) + Duration::from_secs(3600)).await;
    assert_eq!((retired.events, retired.deliveries), (1, 1));
    assert_eq!(story.days(), all("06_02 06_03 06_04"));
}

#[tokio::test]
async fn a_day_stays_while_something_of_it_is_on_its_way() {
    let story = Story::begin().await;
    story.deliver(day(0), false).await;
    story.deliver(day(1) + DAY / 2, true).await;
    story.retire(day(4)).await;
    assert_eq!(story.days(), all("06_02 06_03 06_04"), "what is behind it waits for it");
    story.fresh.database.psql("DELETE FROM postrider.queue");
    story.retire(day(4)).await;
    assert_eq!(story.days(), all("06_04"));
}

#[tokio::test]
async fn a_day_stays_while_something_later_made_or_promised_needs_its_events() {
    let story = Story::begin().await;
    story.deliver(day(0), false).await;
    let event = id(day(0), 1);
    for (make, take) in [
        (
            format!(
                "INSERT INTO postrider.queue (account, delivery, slot, webhook, event, due, major, minor, schedule_began_at, is_later, created_at, modified_at)
                 VALUES ('{ACCOUNT}', '{}', 1, '{WEBHOOK}', '{event}', 0, 9, 1, 0, true, 0, 0)",
                id(day(40), 7)
            ),
            "DELETE FROM postrider.queue",
        ),
        (
            format!(
                r#"INSERT INTO postrider.fanouts SELECT (jsonb_populate_record(NULL::postrider.fanouts,
                 '{{"account": "{ACCOUNT}", "event": "{event}", "chunk": 0, "created_at": 0, "pairs": ""}}')).*"#
            ),
            "DELETE FROM postrider.fanouts",
        ),
    ] {
        story.fresh.database.psql(&make);
        story.retire(day(2)).await;
        assert!(story.days()[0].starts_with("06_01"), "{make}");
        story.fresh.database.psql(take);
    }
    story.retire(day(2)).await;
    assert!(!story.days()[0].starts_with("06_01"));
}

#[tokio::test]
async fn a_day_that_is_read_goes_later_and_nobody_waits_for_it() {
    let story = Story::begin().await;
    story.deliver(day(0), false).await;
    let reader = story.hold("SELECT count(*) FROM postrider.events").await;
    story.retire(day(2)).await;
    assert!(story.days()[0].starts_with("06_01"));
    reader.batch_execute("ROLLBACK").await.unwrap();
    story.retire(day(2)).await;
    assert!(!story.days()[0].starts_with("06_01"));
}

#[tokio::test]
async fn one_node_works_and_the_others_return() {
    let story = Story::begin().await;
    story.deliver(day(0), false).await;
    let worker = story.hold("SELECT pg_advisory_xact_lock(x'5054524B'::bigint)").await;
    assert_eq!(story.retire(day(2)).await, Retired::default());
    assert_eq!(story.fresh.store.erase_deleted(10).await, Ok(false));
    worker.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(story.retire(day(2)).await.events, 1);
}

#[tokio::test]
async fn what_stands_apart_goes_in_steps() {
    let story = Story::begin().await;
    let (old, young) = (id(day(0), 1), id(day(5), 1));
    story.fresh.database.psql(&format!(
        "INSERT INTO postrider.event_ids SELECT '{ACCOUNT}', 'old' || n, '{old}' FROM generate_series(1, 5) AS n;
         INSERT INTO postrider.event_ids VALUES ('{ACCOUNT}', 'young', '{young}');
         INSERT INTO postrider.tests VALUES ('{ACCOUNT}', '{old}', ''), ('{ACCOUNT}', '{young}', '');
         INSERT INTO postrider.changes (major, account, at) VALUES (1, '{ACCOUNT}', 0), (2, '{ACCOUNT}', {});
         INSERT INTO postrider.kept_answers VALUES ('{ACCOUNT}', 'old', 1, '', false, ''), ('{ACCOUNT}', 'young', {}, '', false, '')",
        (day(2) + DAY * 30).as_millis(),
        (day(3) + DAY * 30).as_millis(),
    ));
    let step = Retire {
        before: day(2),
        now: day(2) + DAY * 30,
        rows_max: 2,
    };
    let mut steps = 0;
    while story.fresh.store.retire(step).await.unwrap().has_more {
        steps += 1;
        assert!(steps < 20);
    }
    assert_eq!(steps, 4, "of two rows each");
    for table in ["event_ids", "tests", "changes", "kept_answers"] {
        assert_eq!(
            story.fresh.database.psql(&format!("SELECT count(*) FROM postrider.{table}")),
            "1",
            "{table}"
        );
    }
}

#[tokio::test]
async fn lists_end_at_what_was_written_long_before_the_floor() {
    let story = Story::begin().await;
    let place = || story.fresh.database.psql("SELECT major FROM postrider.retention");
    story.retire(day(0)).await;
    assert_eq!(place(), "-1", "nothing is known of that time");
    story.retire(day(10)).await;
    story.retire(day(30) + Duration::from_secs(600)).await;
    let first = place().parse::<i64>().unwrap();
    assert!(first > 0);
    story.retire(day(50)).await;
    assert!(place().parse::<i64>().unwrap() > first);
    assert_eq!(
        story
            .fresh
            .database
            .psql("SELECT count(*) FROM postrider.marks WHERE at < 1751328000000"),
        "0"
    );
}

#[tokio::test]
async fn an_id_is_free_when_the_day_of_its_event_goes() {
    let story = Story::begin().await;
    story.deliver(day(0), true).await;
    story.fresh.database.psql(&format!(
        "UPDATE postrider.events SET own_id = 'o-1';
         INSERT INTO postrider.event_ids VALUES ('{ACCOUNT}', 'o-1', '{}')",
        id(day(0), 1)
    ));
    story.retire(day(4)).await;
    let ids = "SELECT count(*) FROM postrider.event_ids";
    assert_eq!(story.fresh.database.psql(ids), "1", "its event is on its way");
    story.fresh.database.psql("DELETE FROM postrider.queue");
    story.retire(day(4)).await;
    assert!(!story.days()[0].starts_with("06_01"));
    assert_eq!(story.fresh.database.psql(ids), "0", "an id that leads nowhere could not be used");
}
