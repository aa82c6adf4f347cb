//! What a recovery does about one event.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use postrider_model::delivery::{FailedReason, Status};
use postrider_model::id::DeliveryId;
use postrider_model::job::{RecoverWhat, Resend};
use postrider_model::time::Timestamp;

const AT: Timestamp = Timestamp::from_millis(1_760_000_000_000);
const PENDING: Status = Status::Pending { due: AT };
const SUCCEEDED: Status = Status::Succeeded { at: AT };
const FAILED: Status = Status::Failed {
    at: AT,
    reason: FailedReason::Exhausted,
};

const FIRST: DeliveryId = DeliveryId::from_u128(1);
const SECOND: DeliveryId = DeliveryId::from_u128(2);

#[test]
fn each_case_is_judged_as_written() {
    use RecoverWhat::{All, Failed, Missing};
    use Resend::{Again, New, Nothing};
    let cases: &[(&[Status], [Resend; 3])] = &[
        (&[], [Nothing, New, New]),
        (&[PENDING], [Nothing, Nothing, Nothing]),
        (&[SUCCEEDED], [Nothing, Nothing, New]),
        (&[FAILED], [Again(FIRST), Nothing, Again(FIRST)]),
        (&[FAILED, FAILED], [Again(SECOND), Nothing, Again(SECOND)]),
        (&[FAILED, PENDING], [Nothing, Nothing, Nothing]),
        (&[SUCCEEDED, PENDING], [Nothing, Nothing, Nothing]),
        (&[SUCCEEDED, FAILED], [Nothing, Nothing, New]),
        (&[FAILED, SUCCEEDED], [Nothing, Nothing, New]),
    ];
    for (statuses, expected) in cases {
        let deliveries: Vec<(DeliveryId, Status)> = [FIRST, SECOND].into_iter().zip(statuses.iter().copied()).collect();
        for (what, expected) in [Failed, Missing, All].into_iter().zip(expected) {
            assert_eq!(what.judge(&deliveries, true), *expected, "{what:?} of {statuses:?}");
        }
    }
}

#[test]
fn only_what_was_never_made_asks_the_filters() {
    for what in RecoverWhat::ALL {
        assert_eq!(what.judge(&[], false), Resend::Nothing, "{what:?}");
        for status in [PENDING, SUCCEEDED, FAILED] {
            let deliveries = [(FIRST, status)];
            assert_eq!(
                what.judge(&deliveries, false),
                what.judge(&deliveries, true),
                "{what:?} of {status:?}"
            );
        }
    }
}
