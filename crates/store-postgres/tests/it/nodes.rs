//! What two nodes do at one database at one time.

use std::sync::Arc;

use bytes::Bytes;
use postrider_model::delivery::{Change, FailedReason, Status};
use postrider_model::event::Event;
use postrider_model::id::{DeliveryId, EventId};
use postrider_model::job::{JobStatus, RecoverWhat};
use postrider_model::queue::Position;
use postrider_model::slot::Slot;
use postrider_ports::Store as _;
use postrider_ports::archive::Archive as _;
use postrider_ports::page::PageAsk;
use postrider_ports::registry::Registry as _;
use postrider_ports::store::{DeliveryFilter, EventFilter, JobNext, Recorded, Retried};
use postrider_store_postgres::PostgresStore;
use postrider_testkit::random::SeededRandom;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::pair::{Pair, START, STEP_ROWS, at, step, step_to_end};
use crate::support::bits;

#[tokio::test]
async fn a_retry_and_an_outcome_of_one_moment_leave_one_delivery() {
    let pair = Pair::new().await;
    let chance = SeededRandom::new(5);
    for round in 0..60 {
        let id = pair.deliver(1).await[0];
        let change = match round % 3 {
            0 => Change::Succeeded { number: 1 },
            1 => Change::AttemptFailed { number: 1, next: None },
            _ => Change::AttemptFailed {
                number: 1,
                next: Some(at(50)),
            },
        };
        let (retried, recorded) = if chance.percent(50) {
            tokio::join!(pair.retry(&pair.one, id), pair.record(&pair.two, id, change))
        } else {
            let (recorded, retried) = tokio::join!(pair.record(&pair.two, id, change), pair.retry(&pair.one, id));
            (retried, recorded)
        };
        assert_eq!(recorded, Recorded::Applied, "a retry of what waits leaves its attempts to count");
        let Retried::Due { queued, record } = retried else {
            panic!("not due: {retried:?}");
        };
        assert_eq!(record.delivery.id, queued.delivery);
        let now = pair.one.delivery(pair.account, id).await.unwrap().unwrap().delivery;
        let is_anew = queued.delivery != id;
        // Whichever came first, what came second was judged by what the first had left.
        let expected = match (change, queued.progress.attempts) {
            (Change::Succeeded { .. }, _) => Status::Succeeded { at: at(2) },
            (Change::AttemptFailed { next: None, .. }, 0) => Status::Failed {
                at: at(2),
                reason: FailedReason::Exhausted,
            },
            (Change::AttemptFailed { next: Some(due), .. }, 0) => Status::Pending { due },
            _ => Status::Pending { due: at(3) },
        };
        assert_eq!(now.status, expected, "round {round}: {queued:?}");
        assert!(!is_anew || matches!(now.status, Status::Succeeded { .. }));
        let places = format!(
            "SELECT (SELECT count(*) FROM postrider.queue WHERE delivery = '{0}') + (SELECT count(*) FROM postrider.deliveries WHERE id = '{0}')",
            Uuid::from_u128(id.as_u128())
        );
        assert_eq!(pair.number(&places), 1, "it stands in one place");
    }
    assert_eq!(
        pair.number("SELECT count(*) FROM postrider.changes WHERE delivery IS NOT NULL"),
        60,
        "the owner of the slot hears of each"
    );
}

#[tokio::test]
async fn two_nodes_at_one_job_send_everything_once() {
    let pair = Pair::new().await;
    let failed = pair.failed(60).await;
    let job = pair.job(RecoverWhat::Failed).await;
    tokio::join!(step_to_end(&pair.one, job), step_to_end(&pair.two, job));
    let ended = pair.one.job(pair.account, job).await.unwrap().unwrap();
    assert_eq!((ended.status, ended.done, ended.total), (JobStatus::Succeeded, 60, Some(60)));
    assert_eq!(pair.number("SELECT count(*) FROM postrider.queue"), failed.len() as u64);
    assert_eq!(pair.number("SELECT count(*) FROM postrider.deliveries"), 0);
}

#[tokio::test]
async fn two_jobs_of_a_webhook_at_two_nodes_make_no_delivery_twice() {
    let pair = Pair::new().await;
    pair.store(60, 0).await;
    let (first, second) = (pair.job(RecoverWhat::Missing).await, pair.job(RecoverWhat::Missing).await);
    tokio::join!(step_to_end(&pair.one, first), step_to_end(&pair.two, second));
    assert_eq!(pair.number("SELECT count(*) FROM postrider.queue"), 60);
    assert_eq!(pair.number("SELECT count(DISTINCT event) FROM postrider.queue"), 60);
    assert_eq!(pair.number("SELECT sum(done) FROM postrider.jobs"), 60);
}

#[tokio::test]
async fn a_list_neither_misses_nor_repeats_what_moves_meanwhile() {
    let pair = Pair::new().await;
    let mut made = pair.deliver(90).await;
    made.reverse();
    let moves = async {
        // Each goes to the history, some of them back, from both ends.
        for id in made.iter().chain(made.iter().rev()) {
            let exhausted = Change::AttemptFailed { number: 1, next: None };
            pair.record(&pair.two, *id, exhausted).await;
            if id.as_u128() % 3 == 0 {
                pair.retry(&pair.two, *id).await;
            }
        }
    };
    let walks = async {
        for limit in [1, 2, 3, 5, 7, 11] {
            for webhook in [None, Some(pair.webhook)] {
                let filter = DeliveryFilter {
                    webhook,
                    ..DeliveryFilter::default()
                };
                assert_eq!(walk(&pair, &filter, limit).await, made, "{limit} at a time");
            }
        }
    };
    tokio::join!(moves, walks);
}

async fn walk(pair: &Pair, filter: &DeliveryFilter, limit: usize) -> Vec<DeliveryId> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let ask = PageAsk { limit, after };
        let page = pair.one.list_deliveries(pair.account, filter.clone(), ask).await.unwrap();
        found.extend(page.rows.iter().map(|row| row.delivery.id));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn two_nodes_end_what_waits_for_a_deleted_webhook() {
    let pair = Pair::new().await;
    pair.deliver(80).await;
    assert_eq!(pair.one.delete_webhook(pair.account, pair.webhook, at(5)).await, Ok(true));
    let stop = async |store: &PostgresStore| while store.stop_deleted(STEP_ROWS, at(6)).await.unwrap() {};
    tokio::join!(stop(&pair.one), stop(&pair.two));
    // What both held at one time is left for later.
    stop(&pair.one).await;
    assert_eq!(pair.number("SELECT count(*) FROM postrider.queue"), 0);
    assert_eq!(
        pair.number("SELECT count(*) FROM postrider.deliveries WHERE status = 2 AND failed_reason = 3"),
        80
    );
    assert_eq!(pair.number("SELECT count(*) FROM postrider.stopping"), 0);
}

/// Puts an event into the database by hand, within a transaction that stays open; tells its place.
async fn put_by_hand(session: &Client, pair: &Pair, id: EventId) -> Position {
    let EventId::Made(made) = id else { panic!("not one of ours") };
    let row = session
        .query_one(
            "INSERT INTO postrider.events (account, id, major, minor, name, resource_id, resource_type, created_at, deliveries, body)
             VALUES ($1, $2, pg_current_xact_id()::text::bigint, 0, 'order.created', 'ord_2', 'order', $3, '', 'by hand') RETURNING major",
            &[
                &Uuid::from_u128(pair.account.as_u128()),
                &Uuid::from_u128(made.as_u128()),
                &START.as_millis(),
            ],
        )
        .await
        .unwrap();
    Position::counted(row.get::<_, i64>(0).unsigned_abs())
}

#[tokio::test]
async fn who_follows_events_waits_for_transactions_that_are_still_open() {
    let pair = Pair::new().await;
    let all = EventFilter::default;
    let first = pair.store(1, 0).await[0].0.clone();
    let session = pair.session().await;
    session.batch_execute("BEGIN").await.unwrap();
    let by_hand = EventId::new(START, bits());
    let place = put_by_hand(&session, &pair, by_hand.clone()).await;
    let later = pair.store(1, 0).await[0].0.clone();
    assert!(pair.two.event_position(pair.account, later.clone()).await.unwrap().unwrap() > place);

    let behind = async |after| pair.two.events_behind(pair.account, all(), after, 10).await.unwrap();
    let ids = |rows: &[Arc<Event>]| rows.iter().map(|event| event.id.clone()).collect::<Vec<_>>();
    let found = behind(Position::default()).await;
    assert_eq!((ids(&found.rows), found.has_more), (vec![first], false));
    assert!(found.next < place && pair.two.last_position().await.unwrap() < place);
    assert_eq!(behind(found.next).await.next, found.next, "nothing new is sure");
    let newest = pair
        .two
        .list_events(pair.account, all(), PageAsk { limit: 1, after: None })
        .await
        .unwrap();
    assert_eq!(
        ids(&newest.rows),
        std::slice::from_ref(&later),
        "a list from the newest shows what is there"
    );

    session.batch_execute("COMMIT").await.unwrap();
    let rest = behind(found.next).await;
    assert_eq!(
        ids(&rest.rows),
        [by_hand, later],
        "none missed, none twice, in the order of their places"
    );
    assert!(pair.two.last_position().await.unwrap() >= rest.next);
}

#[tokio::test]
async fn a_recovery_ends_only_when_all_from_before_it_is_seen() {
    let pair = Pair::new().await;
    pair.store(1, 0).await;
    let session = pair.session().await;
    session.batch_execute("BEGIN").await.unwrap();
    put_by_hand(&session, &pair, EventId::new(START, bits())).await;
    pair.store(2, 0).await;
    let job = pair.job(RecoverWhat::Missing).await;
    for _ in 0..5 {
        assert_eq!(step(&pair.two, job).await, JobNext::Later);
    }
    session.batch_execute("COMMIT").await.unwrap();
    step_to_end(&pair.two, job).await;
    let ended = pair.one.job(pair.account, job).await.unwrap().unwrap();
    assert_eq!((ended.done, ended.total), (4, Some(4)));
}

#[tokio::test]
async fn a_deleted_webhook_is_looked_at_until_all_that_was_fanned_out_before_is_there() {
    let pair = Pair::new().await;
    let session = pair.session().await;
    // It reads by a snapshot of before the deletion, and has not written yet.
    session
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM postrider.webhooks")
        .await
        .unwrap();
    pair.deliver(2).await;
    assert_eq!(pair.one.delete_webhook(pair.account, pair.webhook, at(5)).await, Ok(true));
    let waits = "SELECT count(*) FROM postrider.stopping";
    for store in [&pair.one, &pair.two] {
        assert_eq!(
            store.stop_deleted(STEP_ROWS, at(6)).await,
            Ok(false),
            "there is nothing more to do now"
        );
        assert_eq!(pair.number(waits), 1);
    }
    assert_eq!(pair.number("SELECT count(*) FROM postrider.queue"), 0);
    bring_by_hand(&session, &pair).await;
    assert_eq!(pair.one.stop_deleted(STEP_ROWS, at(7)).await, Ok(false));
    assert_eq!(pair.number(waits), 1, "it may bring something still");
    session.batch_execute("COMMIT").await.unwrap();
    assert_eq!(pair.two.stop_deleted(STEP_ROWS, at(8)).await, Ok(false));
    assert_eq!(pair.number("SELECT count(*) FROM postrider.queue"), 0, "what it brought has ended");
    assert_eq!(pair.number(waits), 0);
}

/// Brings a delivery to the queue by hand, within a transaction that stays open.
async fn bring_by_hand(session: &Client, pair: &Pair) {
    let slot = i16::try_from(Slot::of(pair.webhook).number()).unwrap();
    session
        .execute(
            "INSERT INTO postrider.queue (account, delivery, webhook, event, due, major, minor, schedule_began_at, created_at,
                                          modified_at, slot)
             VALUES ($1, $2, $3, $2, 0, pg_current_xact_id()::text::bigint, 0, 0, 0, 0, $4)",
            &[
                &Uuid::from_u128(pair.account.as_u128()),
                &Uuid::from_u128(DeliveryId::new(START, bits()).as_u128()),
                &Uuid::from_u128(pair.webhook.as_u128()),
                &slot,
            ],
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn what_began_before_a_deletion_was_answered_is_waited_for_though_its_id_is_later() {
    let pair = Pair::new().await;
    pair.deliver(2).await;
    let (deletion, fan_out) = (pair.session().await, pair.session().await);
    deletion
        .batch_execute(
            "BEGIN; UPDATE postrider.webhooks SET deleted_at = 5;
             INSERT INTO postrider.stopping SELECT account, id, pg_current_xact_id()::text::bigint FROM postrider.webhooks",
        )
        .await
        .unwrap();
    fan_out.batch_execute("BEGIN").await.unwrap();
    bring_by_hand(&fan_out, &pair).await;
    deletion.batch_execute("COMMIT").await.unwrap();
    assert_eq!(pair.one.stop_deleted(STEP_ROWS, at(6)).await, Ok(false));
    assert_eq!(
        pair.number("SELECT count(*) FROM postrider.stopping"),
        1,
        "it may bring something still"
    );
    fan_out.batch_execute("COMMIT").await.unwrap();
    assert_eq!(pair.two.stop_deleted(STEP_ROWS, at(7)).await, Ok(false));
    assert_eq!(pair.number("SELECT count(*) FROM postrider.queue"), 0);
    assert_eq!(pair.number("SELECT count(*) FROM postrider.stopping"), 0);
}

#[tokio::test]
async fn a_retry_and_a_deletion_of_one_moment_leave_nothing_waiting() {
    let pair = Pair::new().await;
    let failed = pair.failed(12).await;
    let retries = async {
        for id in &failed {
            pair.retry(&pair.one, *id).await;
        }
    };
    let (_, deleted) = tokio::join!(retries, pair.two.delete_webhook(pair.account, pair.webhook, at(5)));
    assert_eq!(deleted, Ok(true));
    while pair.one.stop_deleted(STEP_ROWS, at(6)).await.unwrap() {}
    assert_eq!(pair.number("SELECT count(*) FROM postrider.queue"), 0);
    assert_eq!(pair.number("SELECT count(*) FROM postrider.deliveries"), 12);
    let test = pair.one.create_test(pair.new_test(), Bytes::from_static(b"{}")).await;
    assert_eq!(test, Ok(false));
}

#[tokio::test]
async fn a_fan_out_that_another_node_is_at_leaves_nothing_to_do() {
    let pair = Pair::new().await;
    let other = pair.session().await;
    let pairs: Vec<u8> = (1..=3)
        .flat_map(|_| [DeliveryId::new(START, bits()).as_u128(), pair.webhook.as_u128()])
        .flat_map(u128::to_be_bytes)
        .collect();
    let row = "INSERT INTO postrider.fanouts (account, event, chunk, created_at, pairs) VALUES ($1, $1, 0, 0, $2)";
    other
        .execute(row, &[&Uuid::from_u128(pair.account.as_u128()), &pairs])
        .await
        .unwrap();
    other
        .batch_execute("BEGIN; SELECT FROM postrider.fanouts FOR UPDATE")
        .await
        .unwrap();
    let step = pair.one.expand_fanouts(2).await.unwrap();
    assert_eq!(
        (step.webhooks, step.more),
        (vec![], false),
        "who asks again at once does nothing again"
    );
    other.batch_execute("ROLLBACK").await.unwrap();
    let step = pair.one.expand_fanouts(2).await.unwrap();
    assert_eq!((step.webhooks.len(), step.more), (1, true));
    assert!(!pair.two.expand_fanouts(2).await.unwrap().more);
    assert_eq!(pair.number("SELECT count(*) FROM postrider.queue"), 3);
}

#[tokio::test]
async fn what_waits_for_a_deleted_webhook_is_ended_behind_however_many_that_stay() {
    let pair = Pair::new().await;
    let reader = pair.session().await;
    reader
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM postrider.webhooks")
        .await
        .unwrap();
    pair.deliver(2).await;
    let other = pair.session().await;
    let many = "INSERT INTO postrider.stopping (account, webhook, major)
                SELECT '00000000-0000-0000-0000-000000000001', lpad(n::text, 32, '0')::uuid, pg_current_xact_id()::text::bigint
                FROM generate_series(1, 10000) AS n";
    other.batch_execute(many).await.unwrap();
    assert_eq!(pair.one.delete_webhook(pair.account, pair.webhook, at(5)).await, Ok(true));
    let mut steps = 0;
    while pair.one.stop_deleted(STEP_ROWS, at(6)).await.unwrap() {
        steps += 1;
        assert!(steps < 10, "it has no end");
    }
    assert_eq!(pair.number("SELECT count(*) FROM postrider.queue"), 0);
    assert_eq!(
        pair.number("SELECT count(*) FROM postrider.stopping"),
        10_001,
        "they stay as long as that is read"
    );
    reader.batch_execute("COMMIT").await.unwrap();
    while pair.one.stop_deleted(STEP_ROWS, at(7)).await.unwrap() {}
    assert_eq!(pair.number("SELECT count(*) FROM postrider.stopping"), 0);
}

#[tokio::test]
async fn records_are_counted_where_the_server_has_not() {
    let pair = Pair::new().await;
    pair.session()
        .await
        .batch_execute("ALTER TABLE postrider.queue SET (autovacuum_enabled = off)")
        .await
        .unwrap();
    assert_eq!(pair.one.standing().await.unwrap().records, 0);
    pair.deliver(7).await;
    assert_eq!(pair.one.standing().await.unwrap().records, 14, "events, and what is pending");
}
