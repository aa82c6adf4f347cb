//! Promises about outcomes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider_model::attempt::{Attempt, AttemptError, ErrorKind, Response};
use postrider_model::delivery::{Change, FailedReason, Status};
use postrider_model::id::DeliveryId;
use postrider_ports::Store;
use postrider_ports::store::{OutcomeRecord, Recorded, WaitingAsk};

use super::fixture::{START, account, acknowledged, at, bits, deliver, due_ids, fail, record, refused, sender, shown, succeed};

pub async fn an_outcome_is_compare_and_set_on_its_attempt(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let of = (account, deliver(store, account, webhook, START).await.1);
    assert_eq!(
        fail(store, of, 2, at(1), Some(at(9))).await,
        Recorded::Superseded,
        "it is not the next attempt"
    );
    assert_eq!(fail(store, of, 1, at(1), Some(at(10))).await, Recorded::Applied);
    assert_eq!(
        fail(store, of, 1, at(2), Some(at(20))).await,
        Recorded::Superseded,
        "it was recorded already"
    );
    let record = shown(store, account, of.1).await;
    assert_eq!(record.delivery.status, Status::Pending { due: at(10) });
    assert_eq!(record.delivery.progress.attempts, 1);
    assert_eq!(record.delivery.modified_at, at(1));
    assert_eq!(record.attempts.len(), 1);
}

pub async fn a_success_wins_over_a_stale_failure(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let of = (account, deliver(store, account, webhook, START).await.1);
    fail(store, of, 1, at(1), Some(at(10))).await;
    fail(store, of, 2, at(11), Some(at(100))).await;
    assert_eq!(succeed(store, of, 2, at(12)).await, Recorded::Applied);
    let shown = shown(store, account, of.1).await;
    assert_eq!(shown.delivery.status, Status::Succeeded { at: at(12) });
    let numbers: Vec<u32> = shown.attempts.iter().map(|attempt| attempt.number).collect();
    assert!(numbers.is_sorted(), "oldest first: {numbers:?}");
    assert!(due_ids(store, account, webhook, at(1_000)).await.is_empty());
}

pub async fn a_success_ends_a_delivery_for_good(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let of = (account, deliver(store, account, webhook, START).await.1);
    assert_eq!(succeed(store, of, 1, at(1)).await, Recorded::Applied);
    assert_eq!(succeed(store, of, 2, at(2)).await, Recorded::Superseded);
    assert_eq!(fail(store, of, 2, at(2), Some(at(9))).await, Recorded::Superseded);
    for change in [Change::Expired, Change::WebhookDeleted] {
        assert_eq!(record(store, of, change, None, at(3)).await, Recorded::Superseded);
    }
    let shown = shown(store, account, of.1).await;
    assert_eq!(shown.delivery.status, Status::Succeeded { at: at(1) });
    assert_eq!(shown.attempts.len(), 1, "what is superseded leaves no attempt");
    assert!(due_ids(store, account, webhook, at(100)).await.is_empty());
    assert_eq!(store.waiting(WaitingAsk::first(10)).await, Ok(Vec::new()));
}

pub async fn a_failure_makes_it_due_again_later(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let of = (account, deliver(store, account, webhook, START).await.1);
    fail(store, of, 1, at(1), Some(at(10))).await;
    assert!(due_ids(store, account, webhook, at(9)).await.is_empty());
    assert_eq!(due_ids(store, account, webhook, at(10)).await, [of.1]);
    let row = super::fixture::due(store, account, webhook, at(10)).await.rows.remove(0);
    assert_eq!((row.due, row.progress.attempts), (at(10), 1));
    assert!(!row.is_urgent);
}

pub async fn a_failure_without_a_next_attempt_exhausts_it(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let of = (account, deliver(store, account, webhook, START).await.1);
    assert_eq!(fail(store, of, 1, at(1), None).await, Recorded::Applied);
    let expected = Status::Failed {
        at: at(1),
        reason: FailedReason::Exhausted,
    };
    assert_eq!(shown(store, account, of.1).await.delivery.status, expected);
    assert_eq!(store.waiting(WaitingAsk::first(10)).await, Ok(Vec::new()));
}

pub async fn an_expired_delivery_ends_without_an_attempt(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let of = (account, deliver(store, account, webhook, START).await.1);
    assert_eq!(record(store, of, Change::Expired, None, at(5)).await, Recorded::Applied);
    let shown = shown(store, account, of.1).await;
    let expected = Status::Failed {
        at: at(5),
        reason: FailedReason::Expired,
    };
    assert_eq!(shown.delivery.status, expected);
    assert!(shown.attempts.is_empty());
}

pub async fn an_outcome_of_an_unknown_delivery_is_superseded(store: &dyn Store) {
    let (one, webhook) = sender(store).await;
    let other = account(store).await;
    let (_, delivery) = deliver(store, one, webhook, START).await;
    let unknown = DeliveryId::new(START, bits());
    assert_eq!(succeed(store, (one, unknown), 1, at(1)).await, Recorded::Superseded);
    assert_eq!(succeed(store, (other, delivery), 1, at(1)).await, Recorded::Superseded);
    assert_eq!(due_ids(store, one, webhook, at(2)).await, [delivery]);
}

fn attempts_of_every_kind() -> Vec<Attempt> {
    let mut attempts: Vec<Attempt> = (1u32..)
        .zip(ErrorKind::ALL)
        .map(|(number, kind)| Attempt {
            url: Arc::from(format!("https://hooks.example.com/{number}")),
            response: None,
            error: Some(AttemptError {
                kind,
                message: format!("after {number} tries: žluťoučký"),
            }),
            ..refused(number)
        })
        .collect();
    attempts.push(refused(8));
    let mut talkative = acknowledged(9);
    talkative.duration = Duration::from_millis(24_999);
    talkative.response = Some(Response {
        status: 200,
        duration: Duration::from_millis(14_000),
        headers: Some(Vec::new()),
        body: Some(Bytes::new()),
        truncated: false,
    });
    attempts.push(talkative);
    attempts
}

pub async fn an_attempt_comes_back_as_it_was_recorded(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let simple = (account, deliver(store, account, webhook, START).await.1);
    let attempt = acknowledged(1);
    record(store, simple, Change::Succeeded { number: 1 }, Some(attempt.clone()), at(1)).await;
    assert_eq!(shown(store, account, simple.1).await.attempts, [attempt]);

    let of = (account, deliver(store, account, webhook, START).await.1);
    let attempts = attempts_of_every_kind();
    for attempt in &attempts {
        let number = attempt.number;
        let change = match &attempt.error {
            Some(_) => Change::AttemptFailed {
                number,
                next: Some(at(10)),
            },
            None => Change::Succeeded { number },
        };
        let recorded = record(store, of, change, Some(attempt.clone()), at(2)).await;
        assert_eq!(recorded, Recorded::Applied, "attempt {number}");
    }
    assert_eq!(shown(store, account, of.1).await.attempts, attempts);
}

pub async fn outcomes_of_one_group_are_judged_in_order(store: &dyn Store) {
    let (account, webhook) = sender(store).await;
    let (_, first) = deliver(store, account, webhook, START).await;
    let (_, second) = deliver(store, account, webhook, START).await;
    let outcome = |delivery, change, attempt| OutcomeRecord {
        account,
        delivery,
        change,
        attempt,
        at: at(1),
    };
    let failed = Change::AttemptFailed {
        number: 1,
        next: Some(at(9)),
    };
    let group = vec![
        outcome(first, failed, Some(refused(1))),
        outcome(second, Change::Succeeded { number: 1 }, Some(acknowledged(1))),
        outcome(first, failed, Some(refused(1))),
        outcome(second, Change::Expired, None),
        outcome(first, Change::Succeeded { number: 2 }, Some(acknowledged(2))),
    ];
    let answers = store.record_outcomes(group).await.unwrap();
    let (applied, superseded) = (Recorded::Applied, Recorded::Superseded);
    assert_eq!(answers, [applied, applied, superseded, superseded, applied]);
    assert_eq!(shown(store, account, first).await.attempts.len(), 2);
    assert_eq!(store.record_outcomes(Vec::new()).await, Ok(Vec::new()));
}
