//! Groups in a deadlock with another session: PostgreSQL ends the group's statement, which is tried again, and the caller hears nothing.

use postrider_model::delivery::Change;
use postrider_model::id::{DeliveryId, EventId};
use postrider_ports::Store as _;
use postrider_ports::store::{OutcomeRecord, Recorded, StoredEvent, Submitted};
use tokio_postgres::Client;

use crate::pair::{Pair, START, at};
use crate::support::bits;

/// So many looks come to far more than a second.
const LOOKS_MAX: usize = 100_000;

/// A group meets a session that has what the group needs second, and asks for what it has first. What the group is told.
///
/// A deadlock is looked for by whoever waits, once: by the group, seconds after it began to, for the session does not. By then the session has
/// to wait too; nobody would look again.
async fn in_a_deadlock<T>(pair: &Pair, (second, first): (&str, &str), group: impl Future<Output = T>) -> T {
    let (session, watcher) = (pair.session().await, pair.session().await);
    session.batch_execute("SET deadlock_timeout = '1min'; BEGIN").await.unwrap();
    session.batch_execute(second).await.unwrap();
    let oppose = async {
        wait_for_who_waits(&watcher).await;
        session.batch_execute(first).await.expect("the group is what PostgreSQL ends");
        session.batch_execute("ROLLBACK").await.unwrap();
    };
    let (answer, ()) = tokio::join!(group, oppose);
    answer
}

async fn wait_for_who_waits(watcher: &Client) {
    for _ in 0..LOOKS_MAX {
        let waiting = watcher
            .query_one(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
                &[],
            )
            .await
            .unwrap();
        if waiting.get::<_, i64>(0) > 0 {
            return;
        }
    }
    panic!("the group waits for nothing: this tested nothing");
}

/// Records the same of two deliveries, as one group. They are locked in their order.
async fn record_in_a_deadlock(change: Change) {
    let pair = Pair::new().await;
    let mut deliveries = pair.deliver(2).await;
    deliveries.sort_unstable();
    let lock = |delivery: DeliveryId| {
        let id = uuid::Uuid::from_u128(delivery.as_u128());
        format!("SELECT 1 FROM postrider.queue WHERE delivery = '{id}' FOR UPDATE")
    };
    let outcome = |delivery: &DeliveryId| OutcomeRecord {
        account: pair.account,
        delivery: *delivery,
        change,
        attempt: None,
        at: at(2),
    };
    let node = pair.patient().await;
    let group = node.record_outcomes(deliveries.iter().map(outcome).collect());
    let recorded = in_a_deadlock(&pair, (&lock(deliveries[1]), &lock(deliveries[0])), group).await;
    assert_eq!(recorded, Ok(vec![Recorded::Applied; 2]));
}

/// Stores two events under these ids, as one request.
async fn store_in_a_deadlock(pair: &Pair, ids: [EventId; 2], statements: (&str, &str)) {
    let submission = pair.submission(ids.map(|id| pair.new_event(id, 1)).into()).await;
    let node = pair.patient().await;
    let group = node.commit_events(vec![submission]);
    let submitted = in_a_deadlock(pair, statements, group).await.unwrap();
    let [Submitted::Stored(stored)] = &submitted[..] else {
        panic!("{submitted:?}")
    };
    assert_eq!(stored.len(), 2);
    assert!(stored.iter().all(|one| matches!(one, StoredEvent::New { .. })), "{stored:?}");
    assert_eq!(pair.number("SELECT count(*) FROM postrider.queue"), 2);
}

#[tokio::test]
async fn successes_are_recorded_by_another_try() {
    record_in_a_deadlock(Change::Succeeded { number: 1 }).await;
}

#[tokio::test]
async fn failed_attempts_are_recorded_by_another_try() {
    let next = Some(at(60));
    record_in_a_deadlock(Change::AttemptFailed { number: 1, next }).await;
}

/// Whoever takes the same callers' ids in another order: no node does, but a session by hand can.
#[tokio::test]
async fn events_with_ids_of_their_callers_are_stored_by_another_try() {
    let pair = Pair::new().await;
    let account = uuid::Uuid::from_u128(pair.account.as_u128());
    let claim = |id| format!("INSERT INTO postrider.event_ids (account, own_id, event) VALUES ('{account}', '{id}', gen_random_uuid())");
    let ids = ["a", "b"].map(|id| EventId::own(id).unwrap());
    store_in_a_deadlock(&pair, ids, (&claim("b"), &claim("a"))).await;
}

/// Rows with new ids are nobody else's: only whole tables can be in the way, as when somebody works on them.
#[tokio::test]
async fn events_with_ids_of_ours_are_stored_by_another_try() {
    let pair = Pair::new().await;
    let lock = |table| format!("LOCK TABLE postrider.{table} IN EXCLUSIVE MODE");
    let ids = [(); 2].map(|()| EventId::new(START, bits()));
    store_in_a_deadlock(&pair, ids, (&lock("queue"), &lock("events"))).await;
}
