//! What reads cost beside a long history: 30 days, each a partition, of two accounts. The server itself says how it went about each.

use std::time::Duration;

use postrider_model::account::Account;
use postrider_model::id::{AccountId, DeliveryId, EventId, MadeEventId, WebhookId};
use postrider_model::job::{RecoverWhat, Recovery};
use postrider_model::queue::Position;
use postrider_model::slot::Slot;
use postrider_model::time::Timestamp;
use postrider_ports::Store;
use postrider_ports::page::PageAsk;
use postrider_ports::registry::{Registry as _, WebhookMade};
use postrider_ports::store::{DeliveryFilter, EventFilter, JobMade, JobNext, JobStep, StatusFilter, TimeRange};
use postrider_store_postgres::{PostgresStore, connect};
use postrider_testkit::postgres::Postgres;
use uuid::Uuid;

use crate::support::options;

/// Midnight of UTC.
const FIRST_DAY: Timestamp = Timestamp::from_millis(1_700_006_400_000);
const DAY: Duration = Duration::from_secs(24 * 3600);
const DAYS: u32 = 30;
/// Events of each account and day; each has two deliveries, to one webhook each.
const EVENTS: u32 = 400;
/// Events of an account in one transaction.
const EACH: u32 = DAYS * EVENTS / 200;
/// Deliveries of the last day that wait once more.
const WAITING: u32 = 400;

const ACCOUNT: AccountId = AccountId::from_u128(0xacc);
const OTHER: AccountId = AccountId::from_u128(0xacd);
const FIRST: WebhookId = WebhookId::from_u128(0xa1);
const SECOND: WebhookId = WebhookId::from_u128(0xa2);

/// A server that writes down how it carried out each statement, and a store with a history on it.
struct History {
    store: PostgresStore,
    server: Postgres,
}

impl History {
    async fn new() -> Self {
        let server = Postgres::options()
            .without_fsync()
            .with("session_preload_libraries", "auto_explain")
            .with("auto_explain.log_min_duration", "0")
            .with("auto_explain.log_analyze", "on")
            .with("auto_explain.log_timing", "off")
            .start();
        let store = connect(options(server.url())).await.unwrap();
        server.psql(&seed());
        Self { store, server }
    }

    /// What the server did since the log had so many bytes, without partitions that it left out.
    fn plans_since(&self, length: usize) -> Vec<String> {
        let log = self.server.log();
        let lines = log[length..].lines();
        // The one row that says what is kept is no history.
        let is_of_history = |line: &&str| !line.contains("CTE Scan") && !line.contains(" on retention ");
        lines
            .filter(|line| line.contains("Scan") && !line.contains("never executed"))
            .filter(is_of_history)
            .map(str::to_owned)
            .collect()
    }

    fn mark(&self) -> usize {
        self.server.log().len()
    }
}

/// So many days after the first.
fn day(number: u32) -> Timestamp {
    FIRST_DAY + DAY * number
}

/// The id of event `number` of a day, as the seed makes it: a time, and the number in the last bits.
fn event_of(of: u32, number: u32) -> EventId {
    let id = u128::from((day(of).as_millis() + i64::from(number)).unsigned_abs()) << 80 | u128::from(number);
    EventId::Made(MadeEventId::from_u128(id))
}

fn delivery_of(of: u32, number: u32) -> DeliveryId {
    let id = u128::from((day(of).as_millis() + i64::from(number)).unsigned_abs()) << 80 | 1 << 64 | u128::from(number);
    DeliveryId::from_u128(id)
}

fn seed() -> String {
    let uuid = |id: u128| Uuid::from_u128(id);
    let (account, other) = (uuid(ACCOUNT.as_u128()), uuid(OTHER.as_u128()));
    let (first, second) = (uuid(FIRST.as_u128()), uuid(SECOND.as_u128()));
    let mut sql = String::new();
    for number in 0..DAYS {
        let at = day(number).as_millis();
        let bound = |time: Timestamp| uuid(u128::from(time.as_millis().unsigned_abs()) << 80);
        let (from, to) = (bound(day(number)), bound(day(number + 1)));
        for table in ["events", "deliveries", "attempts"] {
            sql +=
                &format!("CREATE TABLE postrider.{table}_t{number} PARTITION OF postrider.{table} FOR VALUES FROM ('{from}') TO ('{to}');");
        }
        // Each transaction holds so many events of either account that there were fewer of them than the server has had.
        let (major, minor) = (
            format!("1 + ({number} * {EVENTS} + n) / {EACH}"),
            format!("({number} * {EVENTS} + n) % {EACH} * 4"),
        );
        let accounts = format!("(VALUES ('{account}'::uuid, 0), ('{other}'::uuid, 1 << 20)) AS of (account, shift)");
        let event = format!("(lpad(to_hex({at} + n), 12, '0') || lpad(to_hex(n + shift), 20, '0'))::uuid");
        sql += &format!(
            "INSERT INTO postrider.events
                 SELECT account, {event}, {major}, {minor}, NULL, 'order.created', 'ord_' || n, 'order', {at} + n, '', 'body'
                 FROM generate_series(0, {EVENTS} - 1) n, {accounts};
             INSERT INTO postrider.deliveries
                 SELECT account, (lpad(to_hex({at} + n), 12, '0') || lpad(to_hex(place), 4, '0') || lpad(to_hex(n + shift), 16, '0'))::uuid,
                        webhook, {event}, {major}, {minor} + place, 1, NULL, {at} + n, 0, 0, {at} + n, false, {at} + n, {at} + n, NULL
                 FROM generate_series(0, {EVENTS} - 1) n, {accounts},
                      (VALUES (1, '{first}'::uuid), (2, '{second}'::uuid)) AS to_webhook (place, webhook);"
        );
    }
    let slot = Slot::of(FIRST).number();
    let at = day(DAYS - 1).as_millis();
    sql += &format!(
        "INSERT INTO postrider.queue (account, delivery, webhook, event, due, major, schedule_began_at, created_at, modified_at, minor, slot)
             SELECT '{account}', (lpad(to_hex({at} + n), 12, '0') || '0003' || lpad(to_hex(n), 16, '0'))::uuid, '{first}',
                    (lpad(to_hex({at} + n), 12, '0') || lpad(to_hex(n), 20, '0'))::uuid, {at} + n, 1 + (({DAYS} - 1) * {EVENTS} + n) / {EACH},
                    {at} + n, {at} + n, {at} + n, (({DAYS} - 1) * {EVENTS} + n) % {EACH} * 4 + 3, {slot}
             FROM generate_series(0, {WAITING} - 1) n;
         ANALYZE;"
    );
    sql
}

/// Which of the days a scan looked into.
fn partitions(scans: &[String], table: &str) -> usize {
    let mut found: Vec<&str> = scans
        .iter()
        .filter_map(|scan| {
            let name = scan.split(&format!(" on {table}_")).nth(1)?;
            name.split_whitespace().next()
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found.len()
}

/// How many rows all scans gave together.
fn rows(scans: &[String]) -> u64 {
    let count = |scan: &String| {
        let actual = scan.split("(actual rows=").nth(1)?;
        let (rows, rest) = actual.split_once(' ')?;
        let loops = rest.strip_prefix("loops=")?.split(')').next()?;
        Some(rows.parse::<u64>().ok()? * loops.parse::<u64>().ok()?)
    };
    scans.iter().filter_map(count).sum()
}

const fn page(limit: usize, after: Option<Position>) -> PageAsk {
    PageAsk { limit, after }
}

#[tokio::test]
async fn reads_cost_the_same_however_long_the_history_is() {
    let history = History::new().await;
    an_id_of_ours_leads_to_one_partition(&history).await;
    a_page_of_deliveries_stops_early(&history).await;
    a_page_of_events_stops_early(&history).await;
    a_step_of_a_recovery_looks_at_so_many_events(&history).await;
}

async fn an_id_of_ours_leads_to_one_partition(history: &History) {
    let at = history.mark();
    let found = history.store.event(ACCOUNT, event_of(20, 7)).await.unwrap().unwrap();
    assert_eq!((found.resource.id.as_str(), &*found.body), ("ord_7", &b"body"[..]));
    let scans = history.plans_since(at);
    assert_eq!((partitions(&scans, "events"), rows(&scans)), (1, 1), "{scans:#?}");

    let at = history.mark();
    let found = history.store.delivery(ACCOUNT, delivery_of(20, 7)).await.unwrap().unwrap();
    assert_eq!((found.delivery.webhook, found.delivery.event), (FIRST, Some(event_of(20, 7))));
    let scans = history.plans_since(at);
    assert_eq!(partitions(&scans, "deliveries"), 1, "{scans:#?}");
    assert_eq!((partitions(&scans, "events"), partitions(&scans, "attempts")), (1, 0), "{scans:#?}");
}

async fn a_page_of_deliveries_stops_early(history: &History) {
    let all = DeliveryFilter::default;
    let of = |webhook| DeliveryFilter {
        webhook: Some(webhook),
        ..all()
    };
    let with = |status| DeliveryFilter {
        status: Some(status),
        ..all()
    };
    let ended_until = |until| DeliveryFilter {
        created: TimeRange {
            from: None,
            until: Some(until),
        },
        ..with(StatusFilter::Succeeded)
    };
    // A row of each partition is looked at to see which is the newest; those of a page; their events, twice. What waits for one webhook is
    // sorted.
    let page_rows = 51 + u64::from(DAYS) + 51 + 2 * 50 + 50;
    // Those that were made ahead are looked into as well.
    let every = DAYS as usize + 3;
    let cases = [
        (all(), page_rows, every),
        (with(StatusFilter::Succeeded), page_rows, every),
        (with(StatusFilter::Pending), page_rows, 0),
        (of(SECOND), page_rows, every),
        (of(FIRST), page_rows + u64::from(WAITING), every),
        // Until noon, and what is not of those days is not looked at.
        (ended_until(day(10) + DAY / 2), page_rows, 11),
    ];
    for (filter, rows_max, partitions_max) in cases {
        let at = history.mark();
        let found = history
            .store
            .list_deliveries(ACCOUNT, filter.clone(), page(50, None))
            .await
            .unwrap();
        assert_eq!((found.rows.len(), found.next.is_some()), (50, true), "{filter:?}");
        assert!(found.rows.iter().all(|row| filter.created.contains(row.delivery.created_at)));
        let scans = history.plans_since(at);
        assert!(rows(&scans) <= rows_max, "{} rows for {filter:?}: {scans:#?}", rows(&scans));
        assert!(partitions(&scans, "deliveries") <= partitions_max, "{filter:?}: {scans:#?}");
        assert!(!scans.iter().any(|scan| scan.contains("Seq Scan on deliveries")), "{scans:#?}");
    }
}

async fn a_page_of_events_stops_early(history: &History) {
    let store = &history.store;
    let rows_max = u64::from(DAYS) + 51 + 2 * 50;
    for after in [None, Some(Position { major: 60, minor: 0 })] {
        let at = history.mark();
        let found = store.list_events(ACCOUNT, EventFilter::default(), page(50, after)).await.unwrap();
        assert_eq!((found.rows.len(), found.next.is_some()), (50, true));
        let scans = history.plans_since(at);
        assert!(rows(&scans) <= rows_max, "{} rows: {scans:#?}", rows(&scans));

        let at = history.mark();
        let after = after.unwrap_or_default();
        let found = store.events_behind(ACCOUNT, EventFilter::default(), after, 50).await.unwrap();
        assert_eq!((found.rows.len(), found.has_more), (50, true));
        let scans = history.plans_since(at);
        assert!(rows(&scans) <= rows_max, "{} rows: {scans:#?}", rows(&scans));
    }
    // Most of the time there is nothing new.
    let last = store.last_position().await.unwrap();
    let at = history.mark();
    let found = store.events_behind(ACCOUNT, EventFilter::default(), last, 50).await.unwrap();
    assert!(found.rows.is_empty() && !found.has_more && found.next >= last);
    assert_eq!(rows(&history.plans_since(at)), 0);
}

async fn a_step_of_a_recovery_looks_at_so_many_events(history: &History) {
    let store = &history.store;
    let account = Account {
        id: ACCOUNT,
        external_id: None,
        name: "Acme".to_owned(),
        is_active: true,
        created_at: FIRST_DAY,
        modified_at: FIRST_DAY,
    };
    store.create_account(account).await.unwrap();
    let its = crate::pair::webhook_of(ACCOUNT, SECOND);
    assert_eq!(store.create_webhook(its, 10).await, Ok(WebhookMade::Made));
    let recovery = Recovery {
        webhook: SECOND,
        since: day(12) + DAY / 4,
        until: day(14),
        what: RecoverWhat::Failed,
    };
    let job = crate::pair::new_job(ACCOUNT, SECOND);
    let id = job.id;
    assert_eq!(store.create_job(job, recovery).await, Ok(JobMade::Made));
    for _ in 0..3 {
        let at = history.mark();
        let step = JobStep {
            job: id,
            rows_max: 10,
            fresh: Vec::new(),
            now: day(DAYS),
        };
        assert_eq!(store.step_job(step).await.unwrap().next, JobNext::More);
        let scans = history.plans_since(at);
        // 100 events, and their deliveries to the webhook: these are counted twice where their places are found first.
        assert!(rows(&scans) <= 400, "{} rows: {scans:#?}", rows(&scans));
        assert!(partitions(&scans, "events") <= 4, "{scans:#?}");
    }
}
