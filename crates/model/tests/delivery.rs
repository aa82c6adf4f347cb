//! All pairs of status and change, held against the table that people read in docs/concepts.md.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use postrider_model::delivery::{Change, Delivery, FailedReason, Progress, Status, Superseded};
use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::time::Timestamp;

const BEGAN: Timestamp = Timestamp::from_millis(1_000);
const WAS_DUE: Timestamp = Timestamp::from_millis(2_000);
const ENDED: Timestamp = Timestamp::from_millis(3_000);
const NEXT_DUE: Timestamp = Timestamp::from_millis(9_000);
const NOW: Timestamp = Timestamp::from_millis(5_000);

/// One line of the table, cell by cell.
#[derive(Debug)]
struct Row {
    from: String,
    change: String,
    number: String,
    becomes: String,
    attempts: String,
    schedule: String,
}

/// The lines of the table of changes in docs/concepts.md.
fn table() -> Vec<Row> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/concepts.md");
    let page = std::fs::read_to_string(path).expect("docs/concepts.md is there");
    let rows: Vec<Row> = page
        .lines()
        .skip_while(|line| !line.starts_with("| from | what happens |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<String> = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
            let [from, change, number, becomes, attempts, schedule] = cells.try_into().expect("six cells");
            Row {
                from,
                change,
                number,
                becomes,
                attempts,
                schedule,
            }
        })
        .collect();
    assert!(!rows.is_empty(), "the table of changes is missing in docs/concepts.md");
    rows
}

fn statuses() -> Vec<(&'static str, Status)> {
    let failed = |reason| ("failed", Status::Failed { at: ENDED, reason });
    let mut all = vec![
        ("pending", Status::Pending { due: WAS_DUE }),
        ("succeeded", Status::Succeeded { at: ENDED }),
    ];
    all.extend(FailedReason::ALL.map(failed));
    all
}

/// Every change, with the words of the table, where so many attempts were recorded.
fn changes(attempts: u32) -> Vec<(&'static str, &'static str, Change)> {
    let mut numbers = vec![("the next", attempts + 1), ("a later one", attempts + 2), ("a later one", u32::MAX)];
    numbers.extend((0..=attempts).map(|number| ("an earlier one", number)));
    let mut all = vec![
        ("expired", "–", Change::Expired),
        ("webhook deleted", "–", Change::WebhookDeleted),
        ("retried by hand", "–", Change::Retried),
    ];
    for (relation, number) in numbers {
        let failed = |next| Change::AttemptFailed { number, next };
        all.push(("attempt succeeded", relation, Change::Succeeded { number }));
        all.push(("attempt failed, another follows", relation, failed(Some(NEXT_DUE))));
        all.push(("attempt failed, none follows", relation, failed(None)));
    }
    all
}

fn delivery(status: Status, attempts: u32) -> Delivery {
    Delivery {
        id: DeliveryId::from_u128(1),
        account: AccountId::from_u128(2),
        webhook: WebhookId::from_u128(3),
        event: None,
        status,
        progress: Progress {
            attempts,
            schedule_base: attempts.min(1),
            schedule_began_at: BEGAN,
        },
        created_at: BEGAN,
        modified_at: ENDED,
    }
}

fn number_of(change: Change) -> u32 {
    match change {
        Change::Succeeded { number } | Change::AttemptFailed { number, .. } => number,
        Change::Expired | Change::WebhookDeleted | Change::Retried => 0,
    }
}

/// What the line says becomes of the delivery.
fn promised(row: &Row, before: &Delivery, change: Change) -> Result<Delivery, Superseded> {
    let failed = |reason| Status::Failed { at: NOW, reason };
    let mut after = before.clone();
    after.modified_at = NOW;
    after.status = match row.becomes.as_str() {
        "refused" => return Err(Superseded),
        "pending, due when the schedule says" => Status::Pending { due: NEXT_DUE },
        "pending, due now" => Status::Pending { due: NOW },
        "succeeded" => Status::Succeeded { at: NOW },
        "failed: `exhausted`" => failed(FailedReason::Exhausted),
        "failed: `expired`" => failed(FailedReason::Expired),
        "failed: `webhook_deleted`" => failed(FailedReason::WebhookDeleted),
        other => panic!("unknown word in the table: {other}"),
    };
    after.progress.attempts = match row.attempts.as_str() {
        "the number" => number_of(change),
        "the higher of both" => number_of(change).max(before.progress.attempts),
        "as before" => before.progress.attempts,
        other => panic!("unknown word in the table: {other}"),
    };
    match row.schedule.as_str() {
        "as before" => {}
        "begins anew" => {
            after.progress.schedule_base = before.progress.attempts;
            after.progress.schedule_began_at = NOW;
        }
        other => panic!("unknown word in the table: {other}"),
    }
    Ok(after)
}

#[test]
fn every_pair_of_status_and_change_does_what_the_table_says() {
    let rows = table();
    let mut uses = vec![0; rows.len()];
    for attempts in [0, 1, 3] {
        for (from, status) in statuses() {
            for (what, relation, change) in changes(attempts) {
                let before = delivery(status, attempts);
                let fits = |row: &Row| row.from == from && row.change == what && (row.number == relation || row.number == "any");
                let found: Vec<usize> = (0..rows.len()).filter(|index| fits(&rows[*index])).collect();
                assert_eq!(found.len(), 1, "lines for {from}, {what}, {relation}: {found:?}");
                uses[found[0]] += 1;
                let row = &rows[found[0]];
                assert_eq!(
                    before.clone().apply(change, NOW),
                    promised(row, &before, change),
                    "{row:?} {change:?}"
                );
            }
        }
    }
    for (row, uses) in rows.iter().zip(uses) {
        assert!(uses > 0, "no pair is meant by {row:?}");
    }
}

#[test]
fn attempts_go_on_counting_through_a_retry_by_hand() {
    let failed = Status::Failed {
        at: ENDED,
        reason: FailedReason::Exhausted,
    };
    let retried = delivery(failed, 13).apply(Change::Retried, NOW).unwrap();
    assert_eq!(retried.progress.in_schedule(), 0);
    let number = 14;
    let after = retried
        .apply(
            Change::AttemptFailed {
                number,
                next: Some(NEXT_DUE),
            },
            NOW,
        )
        .unwrap();
    assert_eq!((after.progress.attempts, after.progress.in_schedule()), (14, 1));
}

#[test]
fn the_last_number_there_is_does_not_overflow() {
    let pending = delivery(Status::Pending { due: WAS_DUE }, u32::MAX);
    let number = u32::MAX;
    let after = pending.apply(Change::AttemptFailed { number, next: None }, NOW).unwrap();
    assert_eq!(after.progress.attempts, u32::MAX);
}

#[test]
fn only_what_waits_is_not_over() {
    let over: Vec<_> = statuses()
        .into_iter()
        .filter(|(_, status)| status.is_final())
        .map(|(word, _)| word)
        .collect();
    assert_eq!(over, ["succeeded", "failed", "failed", "failed"]);
}

/// The answer of its record was lost, so it is recorded again; meanwhile its owner has asked for a retry.
#[test]
fn an_expiry_that_was_judged_before_a_retry_does_not_end_the_new_schedule() {
    let reason = FailedReason::Expired;
    let expired = delivery(Status::Failed { at: ENDED, reason }, 2);
    let retried = expired.apply(Change::Retried, NOW).unwrap();
    assert_eq!(retried.clone().apply(Change::Expired, ENDED), Err(Superseded));
    assert_eq!(retried.clone().apply(Change::Expired, NOW), Err(Superseded));
    assert!(retried.apply(Change::Expired, NEXT_DUE).unwrap().status.is_final());
}
