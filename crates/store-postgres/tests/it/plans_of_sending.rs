//! How the server goes about what every delivery needs, beside ten million pending ones and a history of 30 days: it writes its plans down,
//! with what each step has read.
//!
//! The planner is told of ten million rows; there are 150,000, of which one webhook has 100,000: what a plan reads is counted, so that more
//! of them would change nothing. With all ten million in place it was run by hand: docs/decisions tells what came of it.

use std::sync::Arc;
use std::time::Duration;

use postrider_model::delivery::Change;
use postrider_model::event::{Event, EventDraft, Resource};
use postrider_model::id::{AccountId, DeliveryId, EventId, WebhookId};
use postrider_model::name::EventName;
use postrider_model::slot::Slot;
use postrider_model::time::Timestamp;
use postrider_ports::Store;
use postrider_ports::registry::AccountVersion;
use postrider_ports::store::{DueAsk, NewEvent, OutcomeRecord, Recorded, Submission, Submitted, WaitingAsk};
use postrider_store_postgres::{PostgresStore, connect};
use postrider_testkit::postgres::Postgres;
use uuid::Uuid;

use crate::support::options;

/// Midnight of UTC.
const FIRST_DAY: Timestamp = Timestamp::from_millis(1_700_006_400_000);
const DAY: Duration = Duration::from_secs(24 * 3600);
const DAYS: u32 = 30;
/// When the events of the queue were made: on the last of those days.
const NOW: Timestamp = Timestamp::from_millis(1_700_006_400_000 + 29 * 24 * 3_600_000 + 3_600_000);
const ACCOUNT: AccountId = AccountId::from_u128(0xacc);
/// Each but the first has this many pending deliveries; the first has `OF_FIRST`.
const OF_EACH: u32 = 50;
const WEBHOOKS: u32 = 1_001;
const OF_FIRST: u32 = 100_000;
/// For this one nothing waits.
const IDLE: u32 = WEBHOOKS - 1;
const GROUP: u32 = 64;

/// A server that writes down how it carried out each statement, and a store on it.
struct Full {
    store: PostgresStore,
    server: Postgres,
}

impl Full {
    async fn new() -> Self {
        let server = Postgres::options()
            .without_fsync()
            .with("session_preload_libraries", "auto_explain")
            .with("auto_explain.log_min_duration", "0")
            .with("auto_explain.log_analyze", "on")
            .with("auto_explain.log_buffers", "on")
            .with("auto_explain.log_timing", "off")
            .start();
        let store = connect(options(server.url())).await.unwrap();
        server.psql(&seed());
        server.psql("VACUUM ANALYZE");
        Self { store, server }
    }

    /// Has the planner take the queue for one of so many rows. Then statements are planned anew.
    fn believe(&self, rows: f64) {
        self.server.psql(&format!(
            "UPDATE pg_class c SET relpages = pg_relation_size(c.oid) / 8192, reltuples = {rows}
             WHERE oid = 'postrider.queue'::regclass OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'postrider.queue'::regclass)"
        ));
    }

    /// What the server wrote down of statements on the tables of ours while `call` ran.
    async fn plans<T>(&self, call: impl Future<Output = T>) -> (T, Plans) {
        let before = self.server.log().len();
        let done = call.await;
        (done, Plans(self.server.log()[before..].lines().map(str::to_owned).collect()))
    }
}

struct Plans(Vec<String>);

impl Plans {
    /// Scans of tables, but those of partitions that were left out.
    fn scans(&self) -> impl Iterator<Item = &str> {
        let is_scan = |line: &&str| {
            line.contains(" Scan")
                && !line.contains("never executed")
                && [
                    " on queue",
                    " on events",
                    " on deliveries",
                    " on attempts",
                    " on accounts",
                    " on webhooks",
                    " on tests",
                ]
                .iter()
                .any(|table| line.contains(table))
        };
        self.0.iter().map(String::as_str).filter(is_scan)
    }

    /// The indexes that were read, each once; a scan without one by its kind.
    fn indexes(&self) -> Vec<&str> {
        let by = |scan: &&str| scan.contains(" using ");
        let using = self
            .scans()
            .filter(by)
            .filter_map(|scan| scan.split(" using ").nth(1)?.split(' ').next());
        let others = self
            .scans()
            .filter(|scan| !by(scan))
            .filter_map(|scan| scan.split("->  ").last()?.split(" on ").next());
        let mut indexes: Vec<&str> = using.chain(others).collect();
        indexes.sort_unstable();
        indexes.dedup();
        indexes
    }

    /// Rows that all scans gave, and those that a condition behind an index left out.
    fn rows(&self) -> u64 {
        let given = self.scans().filter_map(count);
        let left_out = self
            .0
            .iter()
            .filter_map(|line| line.trim().strip_prefix("Rows Removed by Filter: ")?.parse().ok());
        given.chain(left_out).sum()
    }

    /// The most rows that were sorted at once.
    fn sorted(&self) -> u64 {
        self.0
            .iter()
            .filter(|line| line.contains("Sort  ("))
            .filter_map(|line| count(line))
            .max()
            .unwrap_or(0)
    }

    /// Pages that the statements looked into: the first line of each plan that counts them is that of all of it.
    fn pages(&self) -> u64 {
        let mut pages = 0;
        let mut is_first = false;
        for line in &self.0 {
            is_first |= line.contains("plan:");
            if let Some(buffers) = line.trim().strip_prefix("Buffers: shared ")
                && is_first
            {
                is_first = false;
                let kinds = buffers.split(' ').filter_map(|kind| kind.split_once('='));
                pages += kinds
                    .filter(|(kind, _)| ["hit", "read"].contains(kind))
                    .map(|(_, count)| count.parse::<u64>().unwrap())
                    .sum::<u64>();
            }
        }
        pages
    }

    /// Holds what was done to what it may cost.
    #[track_caller]
    fn expect(&self, indexes: &[&str], (rows_max, sorted_max, pages_max): (u64, u64, u64)) {
        let plan = || self.0.join("\n");
        assert_eq!(self.indexes(), indexes, "{}", plan());
        assert!(!self.scans().any(|scan| scan.contains("Seq Scan")), "{}", plan());
        assert!(self.rows() <= rows_max, "{} rows: {}", self.rows(), plan());
        assert!(self.sorted() <= sorted_max, "{} rows are sorted: {}", self.sorted(), plan());
        assert!(self.pages() <= pages_max, "{} pages: {}", self.pages(), plan());
    }
}

/// Rows of a step, over all its loops.
fn count(line: &str) -> Option<u64> {
    let actual = line.split("(actual rows=").nth(1)?;
    let (rows, rest) = actual.split_once(' ')?;
    let loops = rest.strip_prefix("loops=")?.split(')').next()?;
    Some(rows.parse::<u64>().ok()? * loops.parse::<u64>().ok()?)
}

fn webhook(number: u32) -> WebhookId {
    WebhookId::from_u128(u128::from(number) + 0xb000)
}

/// Delivery `n` of a webhook, as the seed makes its id.
fn delivery(of: u32, n: u32) -> DeliveryId {
    DeliveryId::from_u128(
        u128::from((NOW.as_millis() - 1_000_000 + i64::from(n)).unsigned_abs()) << 80 | u128::from(of) << 32 | u128::from(n),
    )
}

fn seed() -> String {
    let uuid = |id: u128| Uuid::from_u128(id);
    let account = uuid(ACCOUNT.as_u128());
    let mut sql = format!(
        "INSERT INTO postrider.accounts (id, major, minor, name, is_active, version, created_at, modified_at)
         VALUES ('{account}', 1, 0, 'one', true, 3, 0, 0);"
    );
    let values: Vec<String> = (0..WEBHOOKS)
        .map(|number| {
            let slot = Slot::of(webhook(number)).number();
            let rows = match number {
                0 => OF_FIRST,
                IDLE => 0,
                _ => OF_EACH,
            };
            format!("({number}, '{}'::uuid, {slot}::smallint, {rows})", uuid(webhook(number).as_u128()))
        })
        .collect();
    sql += &format!(
        "CREATE TEMPORARY TABLE seeds (number, webhook, slot, count) AS VALUES {};
         INSERT INTO postrider.webhooks (account, id, major, minor, url, is_active, event_names, secrets, created_at, modified_at)
         SELECT '{account}', webhook, 2, number, 'https://hooks.example.com/', true, '{{}}', '', 0, 0 FROM seeds;",
        values.join(",")
    );
    for number in 0..DAYS {
        let bound = |days: u32| uuid(u128::from((FIRST_DAY + DAY * days).as_millis().unsigned_abs()) << 80);
        let (from, to) = (bound(number), bound(number + 1));
        for table in ["events", "deliveries", "attempts"] {
            sql +=
                &format!("CREATE TABLE postrider.{table}_t{number} PARTITION OF postrider.{table} FOR VALUES FROM ('{from}') TO ('{to}');");
        }
    }
    // Of the first webhook each is fresh; of the others every second has been tried once, and is due in its turn.
    let at = NOW.as_millis() - 1_000_000;
    let id = format!("(lpad(to_hex({at} + n), 12, '0') || lpad(to_hex(number::bigint * 4294967296 + n), 20, '0'))::uuid");
    sql += &format!(
        "INSERT INTO postrider.events (account, id, major, minor, name, resource_id, resource_type, created_at, deliveries, body)
         SELECT '{account}', {id}, 10 + n / 100, n % 100, 'order.created', 'ord', 'order', {at} + n, '', 'body'
         FROM seeds, generate_series(0, count - 1) n;
         INSERT INTO postrider.queue (account, delivery, webhook, event, due, major, schedule_began_at, created_at, modified_at, minor,
                                      attempts, slot, is_fresh)
         SELECT '{account}', {id}, webhook, {id}, {at} + n, 10 + n / 100, {at} + n, {at} + n, {at} + n, n % 100,
                (number > 0)::integer * n % 2, slot, number = 0 OR n % 2 = 0
         FROM seeds, generate_series(0, count - 1) n;"
    );
    sql
}

fn new_event(number: u32) -> NewEvent {
    let at = NOW + Duration::from_millis(u64::from(number));
    let draft = EventDraft {
        name: EventName::parse("order.created").unwrap(),
        resource: Resource {
            id: "ord".to_owned(),
            resource_type: "order".to_owned(),
        },
        data: "{}",
    };
    let bits = u128::from(number) << 40;
    NewEvent {
        event: Arc::new(Event::new(ACCOUNT, EventId::new(at, bits), draft, at)),
        deliveries: vec![(DeliveryId::new(at, bits), webhook(number % IDLE))],
    }
}

fn group(outcome: impl Fn(u32) -> (DeliveryId, Change)) -> Vec<OutcomeRecord> {
    let one = |number| {
        let (delivery, change) = outcome(number);
        OutcomeRecord {
            account: ACCOUNT,
            delivery,
            change,
            attempt: None,
            at: NOW,
        }
    };
    (0..GROUP).map(one).collect()
}

#[tokio::test]
async fn what_every_delivery_needs_costs_the_same_however_much_waits() {
    let full = Full::new().await;
    // As the planner sees it when it is full; and when it is full, and was empty when it was last cleaned up.
    for (turn, rows) in [(0, 1e7), (1, 0.0)] {
        full.believe(rows);
        committing(&full, turn).await;
        fetching(&full).await;
        walking(&full).await;
        looking_at_one(&full).await;
        recording(&full, turn).await;
    }
    what_has_ended_is_stepped_over_once(&full).await;
}

async fn committing(full: &Full, turn: u32) {
    let submission = |number| Submission {
        account: ACCOUNT,
        version: AccountVersion(3),
        events: vec![new_event(turn * GROUP + number)],
        keep: None,
    };
    let (done, plans) = full.plans(full.store.commit_events((0..GROUP).map(submission).collect())).await;
    assert!(done.unwrap().iter().all(|one| matches!(one, Submitted::Stored(_))));
    // The account: found, and left out of those that have changed.
    plans.expect(&["accounts_pkey"], (2, 0, 10));
}

async fn fetching(full: &Full) {
    let ask = |number| DueAsk {
        account: ACCOUNT,
        webhook: webhook(number),
        rows_max: 10,
        bytes_max: 1 << 20,
        known: (0..5).map(|n| delivery(number, n)).collect(),
        tests_only: false,
    };
    let (answers, plans) = full.plans(full.store.fetch_due((0..20).map(ask).collect(), NOW)).await;
    let answers = answers.unwrap();
    assert!(answers.iter().all(|answer| answer.rows.len() == 10 && !answer.complete));
    // Of each lane: what is known, eleven rows of the fresh and of the others, the events of those, what has no room, ten bodies.
    let rows = 20 * (5 + 22 + 22 + 15 + 10 + 6);
    plans.expect(
        &["accounts_pkey", "events_t29_pkey", "queue_by_due", "webhooks_pkey"],
        (rows, 20 * 22, 20 * 22 * 8),
    );
}

async fn walking(full: &Full) {
    let (found, plans) = full.plans(full.store.waiting(WaitingAsk::first(100))).await;
    assert_eq!(found.unwrap().len(), 100);
    // Of each webhook: its next, its first fresh, its first other, itself and its account; and of those that got something.
    plans.expect(&["accounts_pkey", "queue_by_due", "webhooks_pkey"], (200 * 5, 0, 200 * 25));
}

async fn looking_at_one(full: &Full) {
    let (found, plans) = full.plans(full.store.queued(ACCOUNT, delivery(0, 70_000))).await;
    assert_eq!(found.unwrap().unwrap().webhook, webhook(0));
    plans.expect(&["events_t29_pkey", "queue_pkey"], (2, 0, 20));
}

async fn recording(full: &Full, turn: u32) {
    let first = turn * 2 * GROUP;
    let succeeded = |n| (delivery(0, first + n), Change::Succeeded { number: 1 });
    let (done, plans) = full.plans(full.store.record_outcomes(group(succeeded))).await;
    assert_eq!(done.unwrap(), vec![Recorded::Applied; GROUP as usize]);
    plans.expect(&["Tid Scan", "queue_pkey"], (u64::from(2 * GROUP), 0, u64::from(GROUP) * 10));
    let failed = |n| {
        let next = Some(NOW);
        (delivery(0, first + GROUP + n), Change::AttemptFailed { number: 1, next })
    };
    let (done, plans) = full.plans(full.store.record_outcomes(group(failed))).await;
    assert_eq!(done.unwrap(), vec![Recorded::Applied; GROUP as usize]);
    // Read, looked up again, and found by its place: as an update, and once more to see that there is nothing to be taken away.
    plans.expect(&["Tid Scan", "queue_pkey"], (u64::from(5 * GROUP), 0, u64::from(GROUP) * 25));
}

/// Nobody can clean up what has ended while a snapshot of before is open.
async fn what_has_ended_is_stepped_over_once(full: &Full) {
    let (holder, connection) = tokio_postgres::connect(&full.server.url(), tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    holder
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM postrider.queue LIMIT 1")
        .await
        .unwrap();
    deliver_to_idle(full).await;
    let ask = DueAsk {
        account: ACCOUNT,
        webhook: webhook(IDLE),
        rows_max: 10,
        bytes_max: 1 << 20,
        known: Vec::new(),
        tests_only: false,
    };
    let fetch = || full.plans(full.store.fetch_due(vec![ask.clone()], NOW));
    let walk = || full.plans(full.store.waiting(WaitingAsk::first(2_000)));
    let only = WaitingAsk {
        slots: [Slot::of(webhook(IDLE))].into_iter().collect(),
        ..WaitingAsk::first(2_000)
    };
    let walk_there = || full.plans(full.store.waiting(only));
    let walked = walk_there().await.1.pages();
    let again = walk_there().await.1;
    assert!(
        again.pages() * 2 < walked,
        "{} pages, and {walked} at first: {}",
        again.pages(),
        again.0.join("\n")
    );
    let first = fetch().await.1.pages();
    let (answers, plans) = fetch().await;
    assert!(
        first < 40 && plans.pages() < 40,
        "the walk has learned it: {first}, {} pages",
        plans.pages()
    );
    assert!(answers.unwrap()[0].rows.is_empty());
    // The walk has learned it from there.
    let of_each = u64::from(WEBHOOKS) * 20;
    let (found, plans) = walk().await;
    assert_eq!(found.unwrap().len(), IDLE as usize);
    assert!(plans.pages() < of_each, "{}", plans.pages());
    // And what comes later is found.
    let new = to_idle(900_000);
    let id = new.deliveries[0].0;
    let stored = full.store.commit_events(vec![submission_of(vec![new])]).await.unwrap();
    assert!(matches!(stored[..], [Submitted::Stored(_)]), "{stored:?}");
    let answers = fetch().await.0.unwrap();
    assert_eq!(answers[0].rows.iter().map(|row| row.delivery).collect::<Vec<_>>(), [id]);
    assert_eq!(walk().await.0.unwrap().len(), WEBHOOKS as usize);
    drop(holder);
    connection.abort();
}

/// Deliveries of a webhook that come and end.
async fn deliver_to_idle(full: &Full) {
    for turn in 0..30 {
        let new: Vec<NewEvent> = (0..100).map(|n| to_idle(100_000 + turn * 100 + n)).collect();
        let made: Vec<DeliveryId> = new.iter().map(|one| one.deliveries[0].0).collect();
        full.store.commit_events(vec![submission_of(new)]).await.unwrap();
        let ended = |n: u32| (made[n as usize], Change::Succeeded { number: 1 });
        full.store.record_outcomes(group(ended)).await.unwrap();
        let rest = |n: u32| (made[99 - n as usize], Change::Succeeded { number: 1 });
        full.store.record_outcomes(group(rest)).await.unwrap();
    }
}

fn submission_of(events: Vec<NewEvent>) -> Submission {
    Submission {
        account: ACCOUNT,
        version: AccountVersion(3),
        events,
        keep: None,
    }
}

fn to_idle(number: u32) -> NewEvent {
    let mut new = new_event(number);
    new.deliveries[0].1 = webhook(IDLE);
    new
}
