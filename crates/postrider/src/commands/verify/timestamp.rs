//! How a `Webhook-Timestamp` can be read.

use postrider_model::time::Timestamp;

use super::finding::Finding;

/// Unix seconds beyond this are milliseconds: the year 5138.
const SECONDS_MAX: i64 = 100_000_000_000;
/// And those beyond this are finer still.
const MILLIS_MAX: i64 = 100_000_000_000_000;

/// A moment that a person writes: RFC 3339, or unix seconds.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse().ok().and_then(of_seconds))
}

fn of_seconds(seconds: i64) -> Option<Timestamp> {
    (0..SECONDS_MAX).contains(&seconds).then(|| Timestamp::from_millis(seconds * 1_000))
}

/// The moment that the header means, and how its writing departs from unix seconds.
pub(super) fn read(header: &str) -> (Option<Timestamp>, Option<Finding>) {
    const SECONDS: &str = "Webhook-Timestamp is unix seconds, such as 1768473000: take it from the header as it came";
    let wrong = |code, detail: String| Some(Finding::wrong(code, detail, SECONDS));
    let text = header.trim();
    if let Ok(number) = text.parse::<i64>() {
        if let Some(moment) = of_seconds(number) {
            return (Some(moment), None);
        }
        let (divisor, unit) = if number < MILLIS_MAX {
            (1, "milliseconds")
        } else {
            (1_000, "microseconds")
        };
        return match number {
            SECONDS_MAX.. => (
                Some(Timestamp::from_millis(number / divisor)),
                wrong("timestamp_unit", format!("the timestamp is in {unit}, not in seconds")),
            ),
            _ => (None, wrong("timestamp_unreadable", "the timestamp is before 1970".to_owned())),
        };
    }
    if let Some(seconds) = text.split_once('.').and_then(|(whole, _)| whole.parse().ok()) {
        return (
            of_seconds(seconds),
            wrong("timestamp_fraction", "the timestamp has a fraction".to_owned()),
        );
    }
    match moment(text) {
        Some(moment) => (
            Some(moment),
            wrong("timestamp_as_text", "the timestamp is a date in words, not unix seconds".to_owned()),
        ),
        None => (None, wrong("timestamp_unreadable", "the timestamp is no number".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_told_by_their_size() {
        let read = |text| {
            let (moment, finding) = read(text);
            (moment.map(Timestamp::as_seconds), finding.map(|finding| finding.code))
        };
        assert_eq!(read("1768473000"), (Some(1_768_473_000), None));
        assert_eq!(read(" 1768473000\n"), (Some(1_768_473_000), None));
        assert_eq!(read("1768473000123"), (Some(1_768_473_000), Some("timestamp_unit")));
        assert_eq!(read("1768473000123456"), (Some(1_768_473_000), Some("timestamp_unit")));
        assert_eq!(read("1768473000.5"), (Some(1_768_473_000), Some("timestamp_fraction")));
        assert_eq!(read("2026-01-15T10:30:00Z"), (Some(1_768_473_000), Some("timestamp_as_text")));
        assert_eq!(read("-5"), (None, Some("timestamp_unreadable")));
        assert_eq!(read("soon"), (None, Some("timestamp_unreadable")));
    }
}
