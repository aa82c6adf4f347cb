//! Timestamps as people see them, and the monotonic clock's moments.

use std::time::Duration;

use postrider_model::time::{Monotonic, Timestamp};
use proptest::prelude::*;

fn parsed(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millis)
}

#[test]
fn a_timestamp_is_written_with_milliseconds_in_utc() {
    assert_eq!(Timestamp::from_millis(1_768_473_000_000).to_string(), "2026-01-15T10:30:00.000Z");
    assert_eq!(Timestamp::from_millis(1_768_473_000_007).to_string(), "2026-01-15T10:30:00.007Z");
    assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
    assert_eq!(Timestamp::from_millis(-1).to_string(), "1969-12-31T23:59:59.999Z");
    assert_eq!(format!("{:?}", Timestamp::from_millis(1)), "1970-01-01T00:00:00.001Z");
}

#[test]
fn it_is_written_so_in_json_too() {
    let json = serde_json::to_string(&Timestamp::from_millis(1_768_473_000_120)).unwrap();
    assert_eq!(json, "\"2026-01-15T10:30:00.120Z\"");
}

#[test]
fn what_rfc_3339_allows_is_read() {
    let moment = Some(1_768_473_000_000);
    for text in [
        "2026-01-15T10:30:00Z",
        "2026-01-15T10:30:00.000Z",
        "2026-01-15T10:30:00.0Z",
        "2026-01-15T10:30:00.000000000Z",
        "2026-01-15t10:30:00z",
        "2026-01-15 10:30:00Z",
        "2026-01-15T10:30:00+00:00",
        // RFC 3339 §4.3: the offset is not known, the time in UTC is.
        "2026-01-15T10:30:00-00:00",
        "2026-01-15T12:00:00+01:30",
        "2026-01-14T22:30:00-12:00",
    ] {
        assert_eq!(parsed(text), moment, "{text:?}");
    }
    assert_eq!(parsed("2026-01-15T10:30:00.1234Z"), Some(1_768_473_000_123));
    // RFC 3339 §5.6: a leap second is a time; the clock that we count by has none.
    assert_eq!(parsed("2016-12-31T23:59:60Z"), parsed("2016-12-31T23:59:59Z"));
    assert!(parsed("2016-12-31T23:59:60Z").is_some());
}

#[test]
fn what_rfc_3339_does_not_allow_is_refused() {
    for text in [
        "",
        "now",
        "1768473000",
        "2026-01-15",
        "2026-01-15T10:30:00",
        "2026-01-15T10:30Z",
        "2026-01-15T10Z",
        "20260115T103000Z",
        "2026-01-15T10:30:00+0000",
        "2026-01-15T10:30:00+00",
        "2026-01-15T10:30:00,5Z",
        "2026-01-15T10:30:00.Z",
        "2026-01-15T10:30:00Z ",
        " 2026-01-15T10:30:00Z",
        "2026-01-15T10:30:00Z[UTC]",
        "2026-01-15T10:30:00+01:00[Europe/Paris]",
        "2026-01-15_10:30:00Z",
        "2026-13-15T10:30:00Z",
        "2026-02-29T10:30:00Z",
        "2026-01-15T24:30:00Z",
        "2026-01-15T10:60:00Z",
        "+002026-01-15T10:30:00Z",
        "-000001-01-15T10:30:00Z",
        "２026-01-15T10:30:00Z",
    ] {
        assert_eq!(parsed(text), None, "{text:?}");
    }
}

#[test]
fn far_dates_stay_far() {
    assert_eq!(Timestamp::from_millis(253_370_764_800_000).to_string(), "9999-01-01T00:00:00.000Z");
    // What a calendar of four digits cannot say is shown as its end, not as 1970.
    assert!(Timestamp::from_millis(i64::MAX).to_string().starts_with("9999-12-"));
    assert_eq!(Timestamp::from_millis(i64::MIN).to_string(), "0000-01-01T00:00:00.000Z");
}

#[test]
fn seconds_are_whole_and_round_down() {
    assert_eq!(Timestamp::from_millis(1_999).as_seconds(), 1);
    assert_eq!(Timestamp::from_millis(-1).as_seconds(), -1);
}

#[test]
fn sums_stop_at_the_end_and_never_wrap() {
    let last = Timestamp::from_millis(i64::MAX);
    assert_eq!(last + Duration::from_secs(1), last);
    assert_eq!(Timestamp::from_millis(0) + Duration::MAX, last);
    let first = Timestamp::from_millis(i64::MIN);
    assert_eq!(first - Duration::from_secs(1), first);
    assert_eq!(first.since(last), Duration::ZERO);
    assert!(last.since(first) > Duration::from_secs(1 << 50));
    assert_eq!(Monotonic::from_nanos(u64::MAX) + Duration::MAX, Monotonic::from_nanos(u64::MAX));
}

#[test]
fn a_duration_never_runs_backwards() {
    let (early, late) = (Timestamp::from_millis(1_000), Timestamp::from_millis(3_500));
    assert_eq!(late.since(early), Duration::from_millis(2_500));
    assert_eq!(early.since(late), Duration::ZERO);
    let (early, late) = (Monotonic::from_nanos(10), Monotonic::from_nanos(25));
    assert_eq!(late.since(early), Duration::from_nanos(15));
    assert_eq!(early.since(late), Duration::ZERO);
    assert_eq!((early + Duration::from_nanos(15)).as_nanos(), 25);
}

proptest! {
    #[test]
    fn the_text_leads_back_to_the_moment(millis in -62_135_596_800_000i64..253_370_764_800_000) {
        let moment = Timestamp::from_millis(millis);
        let text = moment.to_string();
        prop_assert_eq!(text.len(), "2026-01-15T10:30:00.000Z".len());
        prop_assert_eq!(text.parse::<Timestamp>(), Ok(moment));
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,40}") {
        let moment = text.parse::<Timestamp>();
        prop_assert!(moment.is_err() || text.len() >= "2026-01-15T10:30:00Z".len());
    }
}
