//! How the server goes about what every delivery needs, beside ten million pending ones and a history of 30 days: it writes its plans down,
//! with what each step has read.
//!
//! The planner is told of ten million rows; there are 150,000, of which one webhook has two thirds: what a plan reads is counted. With
//! POSTRIDER_PLANS_ROWS there are as many as that says, and none may cost more: see plans_of_reads.rs beside this.

use std::sync::Arc;
use std::time::Duration;

use postrider_model::delivery::Change;
use postrider_model::event::{Event, EventDraft, Resource};
use postrider_model::id::{AccountId, DeliveryId, EventId, WebhookId};
use postrider_model::name::EventName;
use postrider_model::queue::Position;
use postrider_model::slot::Slot;
use postrider_model::time::Timestamp;
use postrider_ports::Store;
use postrider_ports::page::PageAsk;
use postrider_ports::registry::{AccountVersion, Registry as _};
use postrider_ports::store::{DeliveryFilter, DueAsk, NewEvent, OutcomeRecord, Recorded, StatusFilter, Submission, Submitted, WaitingAsk};
use uuid::Uuid;

use crate::explained::{Explained, Plans, rows_or};

/// Midnight of UTC.
const FIRST_DAY: Timestamp = Timestamp::from_millis(1_700_006_400_000);
const DAY: Duration = Duration::from_secs(24 * 3600);
const DAYS: u32 = 30;
/// When the events of the queue were made: on the last of those days.
const NOW: Timestamp = Timestamp::from_millis(1_700_006_400_000 + 29 * 24 * 3_600_000 + 3_600_000);
const ACCOUNT: AccountId = AccountId::from_u128(0xacc);
/// Pending deliveries, and their events, where nobody says how many.
const ROWS: u32 = 150_000;
/// Each webhook but the first has this many pending deliveries; the first has all that are left: two thirds.
const OF_EACH: u32 = 50;
/// Nothing waits for this one.
const IDLE: u32 = 0;
/// Webhooks of the one account, the first among them; the others are of many accounts.
const OF_ACCOUNT: u32 = 100;
const OTHERS: u32 = 500;
/// Behind all transactions of the seed.
const POSITION_BASE: i64 = 1_000_000;
/// Over how many days the first webhook's have come.
const SPREAD: Duration = Duration::from_secs(10 * 24 * 3600);
const GROUP: u32 = 64;

/// The numbers of webhooks that something waits for, but for the first.
fn others() -> std::ops::RangeInclusive<u32> {
    2..=rows_or(ROWS) / 3 / OF_EACH + 1
}

const FIRST: u32 = 1;

fn of_first() -> u32 {
    rows_or(ROWS) - OF_EACH * (others().end() - 1)
}

fn webhook(number: u32) -> WebhookId {
    WebhookId::from_u128(u128::from(number) + 0xb000)
}

/// Whose webhook that is.
fn owner(of: u32) -> AccountId {
    match of {
        ..OF_ACCOUNT => ACCOUNT,
        of => AccountId::from_u128(0xb00 + u128::from(of % OTHERS)),
    }
}

/// When the first of each webhook's came, and how many ms each comes after the one before.
fn beginning() -> (Timestamp, u32) {
    let step = SPREAD.as_millis() / u128::from(of_first());
    (NOW - Duration::from_secs(1_000) - SPREAD, u32::try_from(step).unwrap())
}

/// Delivery `n` of a webhook, as the seed makes its id.
fn delivery(of: u32, n: u32) -> DeliveryId {
    let (at, step) = beginning();
    let at = at.as_millis() + i64::from(n) * i64::from(step);
    DeliveryId::from_u128(u128::from(at.unsigned_abs()) << 80 | u128::from(of) << 32 | u128::from(n))
}

/// The index of the events of its day.
fn events_of(delivery: DeliveryId) -> String {
    let at = i64::try_from(delivery.as_u128() >> 80).unwrap() - FIRST_DAY.as_millis();
    format!("events_t{}_pkey", at / i64::try_from(DAY.as_millis()).unwrap())
}

fn seed() -> String {
    let uuid = |id: u128| Uuid::from_u128(id);
    let one = |number: u32| {
        let (slot, id) = (Slot::of(webhook(number)).number(), uuid(webhook(number).as_u128()));
        let rows = match number {
            FIRST => of_first(),
            IDLE => 0,
            _ => OF_EACH,
        };
        format!(
            "({number}, '{}'::uuid, '{id}'::uuid, {slot}::smallint, {rows})",
            uuid(owner(number).as_u128())
        )
    };
    let webhooks: Vec<String> = (IDLE..=*others().end()).map(one).collect();
    let mut sql = format!(
        "INSERT INTO postrider.meta (name, value) VALUES ('position_base', int8send({POSITION_BASE}));
         CREATE TEMPORARY TABLE seeds (number, account, webhook, slot, count) AS VALUES {};
         INSERT INTO postrider.accounts (id, major, minor, name, is_active, version, created_at, modified_at)
         SELECT account, 1, min(number), 'one', true, 3, 0, 0 FROM seeds GROUP BY account;
         INSERT INTO postrider.webhooks (account, id, major, minor, url, is_active, event_names, secrets, created_at, modified_at)
         SELECT account, webhook, 2, number, 'https://hooks.example.com/', true, '{{}}', '', 0, 0 FROM seeds;",
        webhooks.join(",")
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
    let (first, step) = beginning();
    let at = format!("({} + n::bigint * {step})", first.as_millis());
    let id = format!("(lpad(to_hex({at}), 12, '0') || lpad(to_hex(number::bigint * 4294967296 + n), 20, '0'))::uuid");
    sql += &format!(
        "INSERT INTO postrider.events (account, id, major, minor, name, resource_id, resource_type, created_at, deliveries, body)
         SELECT account, {id}, 10 + n / 100, n % 100, 'order.created', 'ord', 'order', {at}, '', 'body'
         FROM seeds, generate_series(0, count - 1) n;
         INSERT INTO postrider.queue (account, delivery, webhook, event, due, major, schedule_began_at, created_at, modified_at, minor,
                                      attempts, slot, is_fresh)
         SELECT account, {id}, webhook, {id}, {at}, 10 + n / 100, {at}, {at}, {at}, n % 100,
                (number > {FIRST})::integer * n % 2, slot, number = {FIRST} OR n % 2 = 0
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
        deliveries: vec![(DeliveryId::new(at, bits), webhook(FIRST + number % (OF_ACCOUNT - FIRST)))],
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

/// Holds what was done to what it may cost, by these indexes alone.
#[track_caller]
fn expect(plans: &Plans, what: &str, indexes: &[&str], (rows_max, sorted_max, pages_max): (u64, u64, u64)) {
    plans.cost(what, (rows_max, pages_max));
    assert_eq!(plans.indexes(), indexes, "{}", plans.text());
    assert!(plans.sorted() <= sorted_max, "{} rows are sorted: {}", plans.sorted(), plans.text());
}

/// Has the planner take the queue for one of so many rows. Then statements are planned anew.
fn believe(full: &Explained, rows: f64) {
    full.server.psql(&format!(
        "UPDATE pg_class c SET relpages = pg_relation_size(c.oid) / 8192, reltuples = {rows}
         WHERE oid = 'postrider.queue'::regclass OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'postrider.queue'::regclass)"
    ));
}

#[tokio::test]
async fn what_every_delivery_needs_costs_the_same_however_much_waits() {
    let full = Explained::new(&seed()).await;
    println!("| call | rows read | pages | ms |\n|---|---|---|---|");
    // As the planner sees it when it is full; and when it is full, and was empty when it was last cleaned up.
    for (turn, rows) in [(0, 1e7), (1, 0.0)] {
        believe(&full, rows);
        committing(&full, turn).await;
        fetching(&full).await;
        walking(&full).await;
        looking_at_one(&full).await;
        listing(&full).await;
        recording(&full, turn).await;
    }
    what_has_ended_is_stepped_over_once(&full).await;
    stopping(&full).await;
}

async fn committing(full: &Explained, turn: u32) {
    let submission = |number| Submission {
        account: ACCOUNT,
        version: AccountVersion(3),
        events: vec![new_event(turn * GROUP + number)],
        keep: None,
    };
    let (done, plans) = full.plans(full.store.commit_events((0..GROUP).map(submission).collect())).await;
    assert!(done.unwrap().iter().all(|one| matches!(one, Submitted::Stored(_))));
    // The account is found, and left out of those that have changed. What is written goes into nine indexes, and sometimes parts a page.
    expect(&plans, "commit_events, 64", &["accounts_pkey"], (2, 0, u64::from(GROUP) * 60));
}

async fn fetching(full: &Explained) {
    let ask = |number| DueAsk {
        account: ACCOUNT,
        webhook: webhook(number),
        rows_max: 10,
        bytes_max: 1 << 20,
        known: (0..5).map(|n| delivery(number, n)).collect(),
        tests_only: false,
    };
    let asks = (FIRST..FIRST + 20).map(ask).collect();
    let (answers, plans) = full.plans(full.store.fetch_due(asks, NOW)).await;
    let answers = answers.unwrap();
    assert!(answers.iter().all(|answer| answer.rows.len() == 10 && !answer.complete));
    // Of each lane: what is known, eleven rows of the fresh and of the others, the events of those, what has no room, ten bodies.
    let rows = 20 * (5 + 22 + 22 + 15 + 10 + 6);
    let events = events_of(delivery(FIRST, 0));
    expect(
        &plans,
        "fetch_due, 20 webhooks, 10 each",
        &["accounts_pkey", &events, "queue_by_due", "webhooks_pkey"],
        (rows, 20 * 22, 20 * 22 * 8),
    );
}

async fn walking(full: &Explained) {
    let (found, plans) = full.plans(full.store.waiting(WaitingAsk::first(100))).await;
    assert_eq!(found.unwrap().len(), 100);
    // Of each webhook: its next, its first fresh, its first other, itself and its account; and of those that got something.
    let indexes = ["accounts_pkey", "queue_by_due", "webhooks_pkey"];
    expect(&plans, "waiting, 100 webhooks", &indexes, (200 * 8, 0, 200 * 50));
}

async fn looking_at_one(full: &Explained) {
    let id = delivery(FIRST, 70_000);
    let (found, plans) = full.plans(full.store.queued(ACCOUNT, id)).await;
    assert_eq!(found.unwrap().unwrap().webhook, webhook(FIRST));
    expect(&plans, "queued", &[&events_of(id), "queue_pkey"], (2, 0, 20));
    let (found, plans) = full.plans(full.store.delivery(ACCOUNT, id)).await;
    assert_eq!(found.unwrap().unwrap().delivery.webhook, webhook(FIRST));
    // Its day may have a few that have ended, by an index of their own.
    plans.cost("delivery, pending", (200, 30));
}

/// What waits for one webhook has no index in the order of lists: it is sorted, up to 4,001 rows.
async fn listing(full: &Explained) {
    let of = |number| DeliveryFilter {
        webhook: Some(webhook(number)),
        status: Some(StatusFilter::Pending),
        ..DeliveryFilter::default()
    };
    let list = |number, after| full.store.list_deliveries(ACCOUNT, of(number), PageAsk { limit: 50, after });
    let middle = Position {
        major: 10 + u64::from(of_first()) / 200,
        minor: 0,
    };
    for (what, number, after, rows_max) in [
        ("50 of two thirds of the queue", FIRST, None, 10_000),
        ("the same, from its middle", FIRST, Some(middle), 10_000),
        ("50 that wait for another", FIRST + 1, None, 1_500),
    ] {
        let (found, plans) = full.plans(list(number, after)).await;
        assert!(found.unwrap().rows.len() >= 49);
        plans.cost(&format!("list_deliveries, {what}"), (rows_max, rows_max));
        assert!(plans.sorted() <= 4_001, "{}", plans.text());
    }
}

async fn recording(full: &Explained, turn: u32) {
    let first = turn * 2 * GROUP;
    let succeeded = |n| (delivery(FIRST, first + n), Change::Succeeded { number: 1 });
    let (done, plans) = full.plans(full.store.record_outcomes(group(succeeded))).await;
    assert_eq!(done.unwrap(), vec![Recorded::Applied; GROUP as usize]);
    let indexes = ["Tid Scan", "queue_pkey"];
    let rows = u64::from(2 * GROUP);
    expect(&plans, "record_outcomes, 64 succeeded", &indexes, (rows, 0, u64::from(GROUP) * 30));
    let failed = |n| {
        let next = Some(NOW);
        (delivery(FIRST, first + GROUP + n), Change::AttemptFailed { number: 1, next })
    };
    let (done, plans) = full.plans(full.store.record_outcomes(group(failed))).await;
    assert_eq!(done.unwrap(), vec![Recorded::Applied; GROUP as usize]);
    // Read, looked up again, and found by its place: as an update, and once more to see that there is nothing to be taken away.
    let rows = u64::from(5 * GROUP);
    expect(
        &plans,
        "record_outcomes, 64 failed once",
        &indexes,
        (rows, 0, u64::from(GROUP) * 60),
    );
}

/// Nobody can clean up what has ended while a snapshot of before is open.
async fn what_has_ended_is_stepped_over_once(full: &Explained) {
    let (holder, connection) = tokio_postgres::connect(&full.server.url(), tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    holder
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM postrider.queue LIMIT 1")
        .await
        .unwrap();
    let ask = DueAsk {
        account: ACCOUNT,
        webhook: webhook(IDLE),
        rows_max: 10,
        bytes_max: 1 << 20,
        known: Vec::new(),
        tests_only: false,
    };
    let fetch = || full.plans(full.store.fetch_due(vec![ask.clone()], NOW));
    let count = *others().end() as usize;
    let walk = || full.plans(full.store.waiting(WaitingAsk::first(2 * count)));
    let only = WaitingAsk {
        slots: [Slot::of(webhook(IDLE))].into_iter().collect(),
        ..WaitingAsk::first(2 * count)
    };
    // Each step begins behind what has ended, and ends before it: so it costs the same beside twice as many.
    for (what, round) in [("3,000", 0), ("6,000", 1)] {
        deliver_to_idle(full, round).await;
        full.store.waiting(only).await.unwrap();
        let (found, plans) = full.plans(full.store.waiting(only)).await;
        // Of many rows more webhooks fall into the slot.
        let found = found.unwrap().len().max(2) as u64;
        plans.cost(
            &format!("waiting, one slot, beside {what} that have ended"),
            (5 * found, 30 * found),
        );
    }
    let first = fetch().await.1.pages();
    let (answers, plans) = fetch().await;
    assert!(
        first < 40 && plans.pages() < 40,
        "the walk has learned it: {first}, {} pages",
        plans.pages()
    );
    assert!(answers.unwrap()[0].rows.is_empty());
    // The walk has learned it from there.
    let (found, plans) = walk().await;
    assert_eq!(found.unwrap().len(), count);
    let count_rows = u64::try_from(count).unwrap();
    // Beside ten million rows, and as many more webhooks, an index has a level more: 22 pages each in place of 18.
    let pages = if count_rows > 50_000 { 25 } else { 20 };
    plans.cost("waiting, all webhooks, beside those", (5 * count_rows, pages * count_rows));
    // And what comes later is found.
    let new = to_idle(900_000);
    let id = new.deliveries[0].0;
    let stored = full.store.commit_events(vec![submission_of(vec![new])]).await.unwrap();
    assert!(matches!(stored[..], [Submitted::Stored(_)]), "{stored:?}");
    let answers = fetch().await.0.unwrap();
    assert_eq!(answers[0].rows.iter().map(|row| row.delivery).collect::<Vec<_>>(), [id]);
    assert_eq!(walk().await.0.unwrap().len(), count + 1);
    drop(holder);
    connection.abort();
}

/// Of a webhook that is deleted all that waits is ended, in steps.
async fn stopping(full: &Explained) {
    assert_eq!(full.store.delete_webhook(ACCOUNT, webhook(FIRST), NOW).await, Ok(true));
    for _ in 0..2 {
        let (more, plans) = full.plans(full.store.stop_deleted(100, NOW)).await;
        assert_eq!(more, Ok(true));
        // Found, and found by its place to be taken away.
        plans.cost("stop_deleted, 100 of two thirds of the queue", (400, 6_000));
    }
}

/// Deliveries of a webhook that come and end.
async fn deliver_to_idle(full: &Explained, round: u32) {
    for turn in 0..30 {
        let new: Vec<NewEvent> = (0..100).map(|n| to_idle(100_000 * (1 + round) + turn * 100 + n)).collect();
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
