//! What reads cost beside a long history: 30 days, each a partition, of many accounts, one of which has half of it. The server itself says how
//! it went about each.
//!
//! Ten million rows of each table take ten minutes and ten gigabytes:
//! POSTRIDER_PLANS_ROWS=10000000 cargo test -p postrider-store-postgres --test it plans -- --nocapture --test-threads 1

use std::fmt::Write as _;
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
use postrider_ports::store::{DeliveryFilter, EventFilter, JobMade, JobNext, JobStep, Retire, Retried, RetryAsk, StatusFilter, TimeRange};
use uuid::Uuid;

use crate::explained::{Explained, rows_or};

/// Midnight of UTC.
const FIRST_DAY: Timestamp = Timestamp::from_millis(1_700_006_400_000);
const DAY: Duration = Duration::from_secs(24 * 3600);
const DAYS: u32 = 30;
/// Events, deliveries and failed attempts, where nobody says how many: each event has one delivery, which failed once and then succeeded.
const ROWS: u32 = 24_000;
/// Events of an account in one transaction.
const EACH: u32 = 50;
/// Accounts that share one half.
const OTHERS: u32 = 100;
/// Deliveries of the last day that wait once more.
const WAITING: u32 = 400;
/// Behind all transactions of the history.
const POSITION_BASE: i64 = 1_000_000;

/// It has the other half.
const ACCOUNT: AccountId = AccountId::from_u128(0xacc);
/// Deliveries that were made after their events, at least: so many that a look at all of them shows. They are of this account.
const LATER: u32 = 200_000;
const RECOVERING: AccountId = AccountId::from_u128(0xc000);
/// Of events with even numbers, and with odd ones.
const FIRST: WebhookId = WebhookId::from_u128(0xa1);
const SECOND: WebhookId = WebhookId::from_u128(0xa2);

/// So many days after the first.
fn day(number: u32) -> Timestamp {
    FIRST_DAY + DAY * number
}

/// The id of event `number` of a day, as the seed makes it: a time, and the number in the last bits.
fn event_of(of: u32, number: u32) -> EventId {
    let id = u128::from((day(of).as_millis() + i64::from(number)).unsigned_abs()) << 80 | u128::from(number);
    EventId::Made(MadeEventId::from_u128(id))
}

/// The id of its delivery.
fn delivery_of(of: u32, number: u32) -> DeliveryId {
    let id = u128::from((day(of).as_millis() + i64::from(number)).unsigned_abs()) << 80 | 1 << 64 | u128::from(number);
    DeliveryId::from_u128(id)
}

fn other(number: u32) -> AccountId {
    AccountId::from_u128(0xb000 + u128::from(number))
}

/// A time as the first bits of an id.
fn bound(time: Timestamp) -> Uuid {
    Uuid::from_u128(u128::from(time.as_millis().unsigned_abs()) << 80)
}

fn seed() -> String {
    let events = rows_or(ROWS) / 2 / DAYS;
    let uuid = |id: u128| Uuid::from_u128(id);
    let (account, first, second) = (uuid(ACCOUNT.as_u128()), uuid(FIRST.as_u128()), uuid(SECOND.as_u128()));
    let mut sql = format!("INSERT INTO postrider.meta (name, value) VALUES ('position_base', int8send({POSITION_BASE}));");
    for number in 0..DAYS {
        let (at, from, to) = (day(number).as_millis(), bound(day(number)), bound(day(number + 1)));
        for table in ["events", "deliveries", "attempts"] {
            write!(
                sql,
                "CREATE TABLE postrider.{table}_t{number} PARTITION OF postrider.{table} FOR VALUES FROM ('{from}') TO ('{to}');"
            )
            .unwrap();
        }
        // The halves take turns, as accounts do.
        let rows = format!(
            "SELECT n, half, {at} + n AS at, lpad(to_hex({at} + n), 12, '0') AS prefix, to_hex(n::bigint + (half::bigint << 40)) AS suffix,
                    CASE half WHEN 0 THEN '{account}' ELSE ('00000000-0000-0000-0000-00000000' || to_hex({others} + n % {OTHERS}))::uuid END
                        AS account, CASE n % 2 WHEN 0 THEN '{first}'::uuid ELSE '{second}' END AS webhook,
                    1 + ({number}::bigint * {events} + n) / {EACH} AS major, ({number} * {events} + n) % {EACH} * 4 AS minor
             FROM generate_series(0, {events} - 1) n, generate_series(0, 1) half",
            others = other(0).as_u128(),
        );
        let event = "(prefix || lpad(suffix, 20, '0'))::uuid";
        let delivery = "(prefix || '0001' || lpad(suffix, 16, '0'))::uuid";
        let own_id = "CASE half WHEN 1 THEN 'own-' || prefix || suffix END";
        // As src/codec.rs has it: its number, id, url, time, duration, and the status of the answer with its duration.
        let attempt = |number: u32, status: &str| {
            format!(
                "'\\x01010{number}'::bytea || uuid_send({delivery}) || '\\x19' || 'https://hooks.example.com'::bytea || int8send(at)
                 || '\\x80897a{status}80897a'::bytea"
            )
        };
        write!(
            sql,
            "INSERT INTO postrider.events_t{number}
                 SELECT account, {event}, major, minor, {own_id}, 'order.created', 'ord_' || n, 'order', at, uuid_send({delivery}), 'body'
                 FROM ({rows}) AS made;
             INSERT INTO postrider.event_ids SELECT account, {own_id}, {event} FROM ({rows}) AS made WHERE half = 1;
             INSERT INTO postrider.deliveries_t{number}
                 SELECT account, {delivery}, webhook, {event}, major, minor + 1, 1, NULL, at, 2, 0, at, false, at, at, {success}
                 FROM ({rows}) AS made;
             INSERT INTO postrider.attempts_t{number} SELECT account, {delivery}, 1, {failure} FROM ({rows}) AS made;",
            success = attempt(2, "c801"),
            failure = attempt(1, "f403"),
        )
        .unwrap();
    }
    sql + &pending() + &later()
}

/// Deliveries that were made after their events, of an account that nothing else is about: a recovery has brought them.
fn later() -> String {
    let (owner, webhook) = (Uuid::from_u128(RECOVERING.as_u128()), Uuid::from_u128(FIRST.as_u128()));
    let (rows, at) = (rows_or(ROWS).max(LATER), day(DAYS - 1).as_millis());
    format!(
        "INSERT INTO postrider.queue (account, delivery, webhook, event, due, major, schedule_began_at, created_at, modified_at, minor, slot,
                                      is_later)
             SELECT '{owner}', (prefix || '0005' || suffix)::uuid, '{webhook}', (prefix || '0004' || suffix)::uuid, at, {POSITION_BASE}, at, at,
                    at, 5, 1, true
             FROM (SELECT {at} + n AS at, lpad(to_hex({at} + n), 12, '0') AS prefix, lpad(to_hex(n), 16, '0') AS suffix
                   FROM generate_series(1, {rows}) n) AS made;"
    )
}

fn pending() -> String {
    let (account, first) = (Uuid::from_u128(ACCOUNT.as_u128()), Uuid::from_u128(FIRST.as_u128()));
    let slot = Slot::of(FIRST).number();
    let at = day(DAYS - 1).as_millis();
    format!(
        "INSERT INTO postrider.queue (account, delivery, webhook, event, due, major, schedule_began_at, created_at, modified_at, minor, slot)
             SELECT '{account}', (lpad(to_hex({at} + n), 12, '0') || '0003' || lpad(to_hex(n), 16, '0'))::uuid, '{first}',
                    (lpad(to_hex({at} + n), 12, '0') || lpad(to_hex(n), 20, '0'))::uuid, {at} + n, {POSITION_BASE} - {WAITING} + n,
                    {at} + n, {at} + n, {at} + n, 3, {slot}
             FROM generate_series(0, {WAITING} - 1) n;"
    )
}

const fn page(limit: usize, after: Option<Position>) -> PageAsk {
    PageAsk { limit, after }
}

#[tokio::test]
async fn reads_cost_the_same_however_long_the_history_is() {
    let history = Explained::new(&seed()).await;
    println!("| call | rows read | pages | ms |\n|---|---|---|---|");
    an_id_leads_to_one_partition(&history).await;
    a_page_of_deliveries_stops_early(&history).await;
    a_page_of_events_stops_early(&history).await;
    a_step_of_a_recovery_looks_at_so_many_events(&history).await;
    a_retry_touches_one_day(&history).await;
    an_account_goes_in_steps(&history).await;
    what_is_old_goes_in_steps(&history).await;
}

async fn an_id_leads_to_one_partition(history: &Explained) {
    let store = &history.store;
    let (found, plans) = history.plans(store.event(ACCOUNT, event_of(20, 7))).await;
    let found = found.unwrap().unwrap();
    assert_eq!((found.resource.id.as_str(), &*found.body), ("ord_7", &b"body"[..]));
    plans.cost("event, by its id", (1, 10));
    assert_eq!(plans.partitions("events"), 1, "{}", plans.text());

    let (found, plans) = history.plans(store.delivery(ACCOUNT, delivery_of(20, 7))).await;
    let found = found.unwrap().unwrap();
    assert_eq!((found.delivery.webhook, found.delivery.event), (SECOND, Some(event_of(20, 7))));
    assert_eq!(found.attempts.len(), 2);
    plans.cost("delivery, by its id", (3, 30));
    let looked_into = ["deliveries", "events", "attempts"].map(|table| plans.partitions(table));
    assert_eq!(looked_into, [1, 1, 1], "{}", plans.text());

    let own = format!("own-{:012x}{:x}", day(20).as_millis() + 7, 7_u64 + (1 << 40));
    let (found, plans) = history.plans(store.event(other(7), EventId::own(&own).unwrap())).await;
    assert_eq!(found.unwrap().unwrap().resource.id, "ord_7");
    plans.cost("event, by its caller's own id", (2, 15));
}

async fn a_page_of_deliveries_stops_early(history: &Explained) {
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
    // A row of each partition is looked at to see which is the newest; then come those of the page, their events, twice, and attempts. What
    // has another webhook and lies between may be read with them, where it is little; and rows that are found by pages count twice.
    let page_rows = u64::from(DAYS) + 51 + 6 * 50 + 600;
    let page_pages = 1_000;
    // Those that were made ahead are looked into as well.
    let every = DAYS as usize + 3;
    // What is counted of days before is passed over, and then half of a day: as far as a page looks.
    let half = day(10) + Duration::from_millis(u64::from(rows_or(ROWS) / 2 / DAYS / 2));
    let cases = [
        ("all", ACCOUNT, all(), page_rows, every),
        ("succeeded", ACCOUNT, with(StatusFilter::Succeeded), page_rows, every),
        ("pending", ACCOUNT, with(StatusFilter::Pending), page_rows, 0),
        ("of one webhook", ACCOUNT, of(SECOND), page_rows, every),
        (
            "of one that 400 wait for",
            ACCOUNT,
            of(FIRST),
            page_rows + u64::from(WAITING),
            every,
        ),
        // Until noon, and what is not of those days is not looked at.
        ("until a noon", ACCOUNT, ended_until(day(10) + DAY / 2), page_rows, 11),
        ("of a small account", other(3), all(), page_rows, every),
    ];
    for (what, account, filter, rows_max, partitions_max) in cases {
        let list = history.store.list_deliveries(account, filter.clone(), page(50, None));
        let (found, plans) = history.plans(list).await;
        let found = found.unwrap();
        assert_eq!((found.rows.len(), found.next.is_some()), (50, true), "{filter:?}");
        assert!(found.rows.iter().all(|row| filter.created.contains(row.delivery.created_at)));
        plans.cost(&format!("list_deliveries, 50, {what}"), (rows_max, page_pages));
        assert!(plans.partitions("deliveries") <= partitions_max, "{}", plans.text());
    }
    let list = history.store.list_deliveries(ACCOUNT, ended_until(half), page(50, None));
    let (found, plans) = history.plans(list).await;
    assert!(found.unwrap().next.is_some());
    plans.cost("list_deliveries, 50, until a moment of a long day", (20_000, 30_000));
    let of_event = DeliveryFilter {
        event: Some(event_of(20, 7)),
        ..all()
    };
    let (found, plans) = history
        .plans(history.store.list_deliveries(ACCOUNT, of_event, page(50, None)))
        .await;
    assert_eq!(found.unwrap().rows.len(), 1);
    plans.cost("list_deliveries, of an event", (6, 80));
}

async fn a_page_of_events_stops_early(history: &Explained) {
    let store = &history.store;
    let (rows_max, pages_max) = (u64::from(DAYS) + 51 + 4 * 50, 600);
    for (account, after) in [(ACCOUNT, None), (ACCOUNT, Some(Position { major: 60, minor: 0 })), (other(3), None)] {
        let (found, plans) = history
            .plans(store.list_events(account, EventFilter::default(), page(50, after)))
            .await;
        let found = found.unwrap();
        assert_eq!((found.rows.len(), found.next.is_some()), (50, true));
        plans.cost("list_events, 50", (rows_max, pages_max));

        let after = after.unwrap_or_default();
        let (found, plans) = history.plans(store.events_behind(account, EventFilter::default(), after, 50)).await;
        let found = found.unwrap();
        assert_eq!((found.rows.len(), found.has_more), (50, true));
        plans.cost("events_behind, 50", (rows_max, pages_max));
    }
    // Most of the time there is nothing new.
    let last = store.last_position().await.unwrap();
    let (found, plans) = history.plans(store.events_behind(ACCOUNT, EventFilter::default(), last, 50)).await;
    let found = found.unwrap();
    assert!(found.rows.is_empty() && !found.has_more && found.next >= last);
    plans.cost("events_behind, nothing new", (0, 6 * u64::from(DAYS)));
}

async fn make_account(history: &Explained, id: AccountId) {
    let account = Account {
        id,
        external_id: None,
        name: "Acme".to_owned(),
        is_active: true,
        created_at: FIRST_DAY,
        modified_at: FIRST_DAY,
    };
    history.store.create_account(account).await.unwrap();
}

async fn a_step_of_a_recovery_looks_at_so_many_events(history: &Explained) {
    let store = &history.store;
    make_account(history, ACCOUNT).await;
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
        let step = JobStep {
            job: id,
            rows_max: 10,
            fresh: Vec::new(),
            now: day(DAYS),
        };
        let (done, plans) = history.plans(store.step_job(step)).await;
        assert_eq!(done.unwrap().next, JobNext::More);
        // 100 events, and their deliveries to the webhook: these are counted twice where their places are found first.
        plans.cost("step_job, 100 events", (400, 1_600));
        assert!(plans.partitions("events") <= 4, "{}", plans.text());
    }
}

async fn a_retry_touches_one_day(history: &Explained) {
    let ask = RetryAsk {
        account: ACCOUNT,
        delivery: delivery_of(20, 9),
        fresh: DeliveryId::new(day(DAYS), 1),
        now: day(DAYS),
    };
    let (done, plans) = history.plans(history.store.retry_delivery(ask)).await;
    assert!(matches!(done, Ok(Retried::Due { .. })), "{done:?}");
    // Found, held, what it carries.
    plans.cost("retry_delivery, of a delivery that has ended", (10, 120));
    assert!(plans.partitions("deliveries") <= 1, "{}", plans.text());
}

async fn an_account_goes_in_steps(history: &Explained) {
    make_account(history, other(5)).await;
    assert_eq!(history.store.delete_account(other(5), day(DAYS)).await, Ok(true));
    let (more, plans) = history.plans(history.store.erase_deleted(100)).await;
    assert_eq!(more, Ok(true));
    // Each is found, found again and taken away; of each day one is looked at.
    let rows_max = 3 * 100 + 2 * u64::from(DAYS);
    plans.cost("erase_deleted, 100 rows", (rows_max, 6 * rows_max));
}

async fn what_is_old_goes_in_steps(history: &Explained) {
    let ask = |rows_max| Retire {
        before: day(1) + DAY / 8,
        now: day(DAYS),
        rows_max,
    };
    let (done, plans) = history.plans(history.store.retire(ask(100))).await;
    assert!(done.unwrap().has_more);
    // Each is found, its event looked at, and whether something of that is on its way; then it is taken away. And the marks, and each account's
    // oldest that waits.
    plans.cost("retire, 100 rows", (700, 2_000));
    let last = loop {
        let (done, plans) = history.plans(history.store.retire(ask(1_000))).await;
        if !done.unwrap().has_more {
            break plans;
        }
    };
    // The last own ids. What goes is counted row by row in partitions of up to 16 MB, and one of them is dropped.
    last.cost("retire, the floor is raised", (7 * 1_000 + 200_000, 40 * 1_000 + 10_000));
    let (done, plans) = history.plans(history.store.retire(ask(100))).await;
    assert!(!done.unwrap().has_more);
    plans.cost("retire, nothing to do", (2_000, 1_000));
}
