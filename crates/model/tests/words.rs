//! The words of the contract that stores keep as numbers, and the small promises of attempts and accounts.

use std::sync::Arc;
use std::time::Duration;

use postrider_model::account::AccountRef;
use postrider_model::attempt::{Attempt, AttemptError, ErrorKind, Outcome};
use postrider_model::delivery::{FailedReason, Progress};
use postrider_model::id::{AccountId, AttemptId};
use postrider_model::queue::Position;
use postrider_model::time::Timestamp;

#[test]
fn error_types_are_the_contracts_and_come_back_from_their_numbers() {
    let words: Vec<_> = ErrorKind::ALL.into_iter().map(ErrorKind::as_str).collect();
    assert_eq!(words, ["http", "timeout", "dns", "blocked", "connect", "tls", "protocol"]);
    for kind in ErrorKind::ALL {
        assert_eq!(ErrorKind::from_code(kind as u8), Some(kind));
    }
    assert_eq!(ErrorKind::from_code(0), None);
    assert_eq!(ErrorKind::from_code(8), None);
}

#[test]
fn stored_numbers_never_change_their_meaning() {
    // Databases hold these.
    let kinds: Vec<_> = ErrorKind::ALL.into_iter().map(|kind| kind as u8).collect();
    assert_eq!(kinds, [1, 2, 3, 4, 5, 6, 7]);
    let reasons: Vec<_> = FailedReason::ALL.into_iter().map(|reason| reason as u8).collect();
    assert_eq!(reasons, [1, 2, 3]);
}

#[test]
fn an_answer_however_unwelcome_is_no_illness() {
    let ill: Vec<_> = ErrorKind::ALL.into_iter().filter(|kind| kind.is_illness()).collect();
    assert_eq!(
        ill,
        ErrorKind::ALL
            .into_iter()
            .filter(|kind| *kind != ErrorKind::Http)
            .collect::<Vec<_>>()
    );
    assert_eq!(ill.len(), 6);
}

#[test]
fn reasons_of_failure_are_the_contracts_and_come_back_from_their_numbers() {
    let words: Vec<_> = FailedReason::ALL.into_iter().map(FailedReason::as_str).collect();
    assert_eq!(words, ["exhausted", "expired", "webhook_deleted"]);
    for reason in FailedReason::ALL {
        assert_eq!(FailedReason::from_code(reason as u8), Some(reason));
    }
    assert_eq!(FailedReason::from_code(0), None);
    assert_eq!(FailedReason::from_code(4), None);
}

#[test]
fn an_outcome_without_an_error_is_a_success() {
    let mut outcome = Outcome {
        started_at: Timestamp::from_millis(0),
        duration: Duration::from_millis(5),
        response: None,
        error: None,
        retry_after: None,
    };
    assert!(outcome.is_success());
    outcome.error = Some(AttemptError {
        kind: ErrorKind::Connect,
        message: "connection refused".to_owned(),
    });
    assert!(!outcome.is_success());
}

#[test]
fn an_attempt_ends_when_its_time_is_over() {
    let attempt = Attempt {
        id: AttemptId::from_u128(1),
        number: 1,
        url: Arc::from("https://example.com/"),
        created_at: Timestamp::from_millis(1_000),
        duration: Duration::from_millis(250),
        response: None,
        error: None,
    };
    assert_eq!(attempt.ended_at(), Timestamp::from_millis(1_250));
}

#[test]
fn a_schedule_counts_from_where_it_began() {
    let mut progress = Progress::new(Timestamp::from_millis(5));
    assert_eq!(progress.in_schedule(), 0);
    (progress.attempts, progress.schedule_base) = (13, 10);
    assert_eq!(progress.in_schedule(), 3);
    progress.schedule_base = 14;
    assert_eq!(progress.in_schedule(), 0);
}

#[test]
fn an_account_is_named_by_our_id_or_by_the_platforms() {
    let id = AccountId::from_u128(77);
    assert_eq!(AccountRef::parse(&id.to_string()), AccountRef::Id(id));
    assert_eq!(
        AccountRef::parse("acc_but_not_ours"),
        AccountRef::External("acc_but_not_ours".to_owned())
    );
    assert_eq!(AccountRef::parse("shop-17"), AccountRef::External("shop-17".to_owned()));
}

#[test]
fn positions_follow_the_order_of_commits() {
    assert!(Position::counted(1) < Position::counted(2));
    let (first, second) = (Position { major: 7, minor: 0 }, Position { major: 7, minor: 1 });
    assert!(first < second && second < Position::counted(8));
    assert_eq!(Position::counted(7), first);
}
