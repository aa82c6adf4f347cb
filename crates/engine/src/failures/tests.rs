use std::sync::Arc;

use postrider_model::attempt::Response;
use postrider_model::id::{AccountId, AttemptId, DeliveryId};

use super::*;

const AT: Timestamp = Timestamp::from_millis(1_768_473_000_000);

fn outcome(change: Change, error: Option<(ErrorKind, &str)>, status: Option<u16>) -> OutcomeRecord {
    let attempt = error.map(|(kind, message)| Attempt {
        id: AttemptId::from_u128(1),
        number: 3,
        url: Arc::from("https://api.shop.example.com:8443/hook/SECRET-IN-PATH?key=SECRET-IN-QUERY"),
        created_at: AT,
        duration: Duration::from_millis(150),
        response: status.map(|status| Response {
            status,
            duration: Duration::from_millis(120),
            headers: Some(vec![("x-token".to_owned(), "SECRET-IN-HEADER".to_owned())]),
            body: Some("SECRET-IN-BODY".into()),
            truncated: false,
        }),
        error: Some(AttemptError {
            kind,
            message: message.to_owned(),
        }),
    });
    OutcomeRecord {
        account: AccountId::from_u128(1),
        delivery: DeliveryId::from_u128(2),
        change,
        attempt,
        at: AT,
    }
}

fn said(outcome: &OutcomeRecord, recorded: Recorded) -> Option<String> {
    Line::of(WebhookId::from_u128(3), outcome, recorded).map(|line| line.to_string())
}

const fn retried_in(seconds: u64) -> Change {
    Change::AttemptFailed {
        number: 3,
        next: Some(Timestamp::from_millis(AT.as_millis() + seconds as i64 * 1_000)),
    }
}

#[test]
fn a_line_says_what_the_receiver_did_and_what_comes_next() {
    let http = Some((ErrorKind::Http, "the receiver answered 503 Service Unavailable"));
    let tls = Some((ErrorKind::Tls, "the receiver's certificate has expired"));
    let timeout = Some((ErrorKind::Timeout, "time limit (response): no answer within 15 s of the request"));
    let last = Change::AttemptFailed { number: 3, next: None };
    let cases = [
        (
            outcome(retried_in(30), http, Some(503)),
            "the receiver answered 503 Service Unavailable after 120 ms; next attempt in 30 s",
        ),
        (
            outcome(last, http, Some(503)),
            "the receiver answered 503 Service Unavailable after 120 ms; that was the last attempt: the delivery has failed",
        ),
        (
            outcome(retried_in(43_200), tls, None),
            "the receiver's certificate has expired (150 ms); next attempt in 12 h",
        ),
        (
            outcome(retried_in(600), timeout, None),
            "time limit (response): no answer within 15 s of the request; next attempt in 10 min",
        ),
        (
            outcome(Change::Expired, None, None),
            "its turn came too late: the delivery has expired",
        ),
    ];
    for (outcome, expected) in cases {
        assert_eq!(said(&outcome, Recorded::Applied).as_deref(), Some(expected));
    }
}

#[test]
fn nothing_is_said_of_what_did_not_fail_or_was_not_attempted() {
    let failed = Some((ErrorKind::Connect, "the receiver refused the connection"));
    assert_eq!(said(&outcome(Change::Succeeded { number: 3 }, None, None), Recorded::Applied), None);
    assert_eq!(said(&outcome(Change::Expired, None, None), Recorded::Superseded), None);
    let superseded = said(&outcome(retried_in(30), failed, None), Recorded::Superseded);
    assert_eq!(
        superseded.as_deref(),
        Some("the receiver refused the connection (150 ms); the delivery has gone another way meanwhile")
    );
}

#[test]
fn a_host_is_all_that_is_shown_of_a_url() {
    assert_eq!(host("https://a.example.com/hook?key=1"), "a.example.com");
    assert_eq!(host("http://a.example.com:8080?key=1"), "a.example.com:8080");
    assert_eq!(host("https://a.example.com#x"), "a.example.com");
}

#[test]
fn a_second_has_room_for_so_many_lines_and_the_next_for_as_many_again() {
    let mut budget = Budget::default();
    let second = |number: u64| Monotonic::from_nanos(number * 1_000_000_000 + 5);
    budget.turn(second(1));
    assert_eq!((0..5_000).filter(|_| budget.take()).count(), LINES_MAX as usize);
    assert_eq!(budget.left_out, 5_000 - u64::from(LINES_MAX));
    budget.turn(second(1));
    assert!(!budget.take(), "still the same second");
    budget.turn(second(2));
    assert!(budget.take() && budget.left_out == 0);
}
