//! A node that stands still in the middle of a transaction, and what its locks are to the others.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use postrider_model::delivery::{Change, Status};
use postrider_model::id::{DeliveryId, EventId};
use postrider_ports::registry::{AccountMade, Registry as _};
use postrider_ports::store::{OutcomeRecord, Recorded, Submission, Submitted};
use postrider_ports::{Store as _, StoreError};
use postrider_store_postgres::{PostgresStore, connect};
use postrider_testkit::clock::SimClock;
use postrider_testkit::postgres::Postgres;
use uuid::Uuid;

use crate::connections::{IN_TRANSACTION, LOCK, Other, WAITING};
use crate::pair::{Pair, START, at};
use crate::registering::account;
use crate::support::options;

/// A request with one event that has its caller's own id.
async fn with_own_id(pair: &Pair, own: &str) -> Submission {
    pair.submission(vec![pair.new_event(EventId::own(own).unwrap(), 0)]).await
}

fn success(pair: &Pair, delivery: DeliveryId) -> OutcomeRecord {
    OutcomeRecord {
        account: pair.account,
        delivery,
        change: Change::Succeeded { number: 1 },
        attempt: None,
        at: at(2),
    }
}

/// A node that is thrown out soon. It is opened in transactions too, and may be thrown out of those where this machine is busy.
async fn hasty(url: &str) -> PostgresStore {
    loop {
        let mut options = options(url);
        options.idle_time_max = Duration::from_millis(300);
        match connect(options).await {
            Ok(store) => return store,
            Err(error) => assert!(
                matches!(error, StoreError::Unavailable { .. } | StoreError::Unknown { .. }),
                "{error}"
            ),
        }
    }
}

#[tokio::test]
async fn a_transaction_that_stands_still_is_ended() {
    let server = Postgres::options().without_fsync().start();
    let database = server.create_database("still");
    let store = connect(options(database.url())).await.unwrap();
    let hasty = hasty(&database.url()).await;
    let other = Other::of(&database.url()).await;
    let within = format!("{IN_TRANSACTION} AND state = 'idle in transaction'");
    let mut frozen = pin!(hasty.create_account(account(1)));
    let early = loop {
        if let Poll::Ready(made) = frozen.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            break Some(made);
        }
        if other.count(&within).await > 0 {
            break None;
        }
    };
    other.until(IN_TRANSACTION, 0).await;
    let made = match early {
        // This machine stood still before anybody saw the transaction do so.
        Some(made) => made,
        None => frozen.await,
    };
    let error = made.unwrap_err();
    assert!(
        matches!(error, StoreError::Unavailable { .. } | StoreError::Unknown { .. }),
        "{error}"
    );
    assert_eq!(store.create_account(account(1)).await, Ok(AccountMade::Made), "none of it was kept");
}

#[tokio::test]
async fn an_id_that_a_node_has_taken_and_not_stored_is_refused_and_the_others_are_stored() {
    let pair = Pair::new().await;
    let node = pair.impatient().await;
    let frozen = pair.session().await;
    let claim = "INSERT INTO postrider.event_ids (account, own_id, event) VALUES ($1, $2, $3)";
    frozen.batch_execute("BEGIN").await.unwrap();
    let of = Uuid::from_u128(pair.account.as_u128());
    frozen.execute(claim, &[&of, &"o-5", &Uuid::from_u128(1)]).await.unwrap();
    let mut group = Vec::new();
    for number in 0..12 {
        group.push(with_own_id(&pair, &format!("o-{number}")).await);
    }
    group.push(with_own_id(&pair, "o-5").await);
    let answers = node.commit_events(group.clone()).await.unwrap();
    for (number, answer) in answers.iter().enumerate() {
        let is_refused = matches!(answer, Submitted::Refused(StoreError::Unavailable { reason, .. }) if reason.contains("lock"));
        let is_well = if number == 5 || number == 12 {
            is_refused
        } else {
            matches!(answer, Submitted::Stored(_))
        };
        assert!(is_well, "{number}: {answer:?}");
    }
    frozen.batch_execute("ROLLBACK").await.unwrap();
    let again = node.commit_events(group).await.unwrap();
    assert!(again.iter().all(|answer| matches!(answer, Submitted::Stored(_))), "{again:?}");
}

#[tokio::test]
async fn a_group_of_which_all_is_locked_does_not_wait_for_each() {
    let pair = Pair::new().await;
    let node = pair.impatient().await;
    let frozen = pair.session().await;
    let of = Uuid::from_u128(pair.account.as_u128());
    frozen.batch_execute("BEGIN").await.unwrap();
    let claim = "INSERT INTO postrider.event_ids (account, own_id, event) SELECT $1, 'o-' || n, $1 FROM generate_series(0, 299) AS n";
    frozen.execute(claim, &[&of]).await.unwrap();
    let mut group = vec![with_own_id(&pair, "free").await];
    for number in 0..300 {
        group.push(with_own_id(&pair, &format!("o-{number}")).await);
    }
    let answers = node.commit_events(group).await.unwrap();
    assert!(matches!(answers[0], Submitted::Stored(_)), "{:?}", answers[0]);
    let said = |part: &str| {
        let is_it =
            |answer: &&Submitted| matches!(answer, Submitted::Refused(StoreError::Unavailable { reason, .. }) if reason.contains(part));
        answers.iter().filter(is_it).count()
    };
    let waited = said("a lock was waited for");
    assert!((50..=100).contains(&waited), "{waited}");
    assert_eq!(
        said("too much of what a group wants is locked"),
        300 - waited,
        "the rest is told at once"
    );
}

#[tokio::test]
async fn a_row_that_a_node_holds_keeps_no_other_outcome_back() {
    let pair = Pair::new().await;
    let node = pair.impatient().await;
    let frozen = pair.session().await;
    let held = "SELECT FROM postrider.queue WHERE delivery = $1 FOR UPDATE";
    for place in [3, 6] {
        let made = pair.deliver(9).await;
        let id = made[place];
        frozen.batch_execute("BEGIN").await.unwrap();
        frozen.execute(held, &[&Uuid::from_u128(id.as_u128())]).await.unwrap();
        let retried = Change::AttemptFailed {
            number: 1,
            next: Some(at(50)),
        };
        let mut group: Vec<OutcomeRecord> = made.iter().map(|id| success(&pair, *id)).collect();
        group[6].change = retried;
        group[7].change = retried;
        let told = |at: usize| if at == place { Recorded::Locked } else { Recorded::Applied };
        let recorded = node.record_outcomes(group.clone()).await.unwrap();
        assert_eq!(recorded, (0..9).map(told).collect::<Vec<_>>());
        for other in made.iter().filter(|other| **other != id) {
            let now = pair.one.delivery(pair.account, *other).await.unwrap().unwrap().delivery;
            assert!(now.status.is_final() || now.progress.attempts == 1, "{now:?}");
        }
        frozen.batch_execute("ROLLBACK").await.unwrap();
        let recorded = node.record_outcomes(group).await.unwrap();
        assert_eq!(recorded[place], Recorded::Applied);
        let applied = recorded.iter().filter(|one| **one == Recorded::Applied).count();
        assert_eq!(applied, 1, "the others were recorded once: {recorded:?}");
    }
}

#[tokio::test]
async fn outcomes_of_a_row_that_is_held_are_recorded_in_their_order() {
    let pair = Pair::new().await;
    let node = pair.impatient().await;
    let made = pair.deliver(3).await;
    let frozen = pair.session().await;
    frozen.batch_execute("BEGIN").await.unwrap();
    let held = "SELECT FROM postrider.queue WHERE delivery = $1 FOR UPDATE";
    frozen.execute(held, &[&Uuid::from_u128(made[1].as_u128())]).await.unwrap();
    let failed = OutcomeRecord {
        change: Change::AttemptFailed {
            number: 1,
            next: Some(at(50)),
        },
        ..success(&pair, made[1])
    };
    let second = OutcomeRecord {
        change: Change::Succeeded { number: 2 },
        ..success(&pair, made[1])
    };
    let group = vec![failed, success(&pair, made[0]), second];
    let recorded = node.record_outcomes(group.clone()).await.unwrap();
    assert_eq!(recorded, [Recorded::Locked, Recorded::Applied, Recorded::Locked]);
    let now = pair.one.delivery(pair.account, made[1]).await.unwrap().unwrap().delivery;
    assert_eq!((now.status, now.progress.attempts), (Status::Pending { due: START }, 0));
    frozen.batch_execute("ROLLBACK").await.unwrap();
    let recorded = node.record_outcomes(group).await.unwrap();
    assert_eq!(recorded, [Recorded::Applied, Recorded::Superseded, Recorded::Applied]);
    let now = pair.one.delivery(pair.account, made[1]).await.unwrap().unwrap().delivery;
    assert_eq!((now.status, now.progress.attempts), (Status::Succeeded { at: at(2) }, 2));
}

#[tokio::test]
async fn where_nothing_is_answered_nobody_waits_for_a_transaction_to_be_taken_back() {
    let server = Postgres::options().without_fsync().start();
    let database = server.create_database("silent");
    let clock = Arc::new(SimClock::new());
    let mut options = options(database.url());
    options.clock = Arc::<SimClock>::clone(&clock);
    options.lock_time_max = Duration::from_secs(600);
    options.statement_time_max = Duration::from_secs(30);
    let store = Arc::new(connect(options).await.unwrap());
    let other = Other::of(&database.url()).await;
    other.run(LOCK).await;
    let call = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.create_account(account(1)).await })
    };
    other.until(WAITING, 1).await;
    assert_eq!(clock.sleepers(), 1);
    clock.advance(Duration::from_secs(35));
    for _ in 0..1_000 {
        other.run("SELECT 1").await;
        if call.is_finished() {
            break;
        }
    }
    assert!(call.is_finished(), "it waits for as long again");
    let error = call.await.unwrap().unwrap_err();
    assert!(
        matches!(&error, StoreError::Unavailable { reason, .. } if reason.contains("does not answer")),
        "{error}"
    );
    other.run("COMMIT").await;
    other.until(IN_TRANSACTION, 0).await;
}
