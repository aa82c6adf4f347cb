//! What to suspect where no try matches, and how old is too old.

use std::time::Duration;

use postrider_model::time::Timestamp;
use serde_json::value::RawValue;

use super::finding::Finding;
use super::judge::Captured;
use super::rewrite::{self, EVENT_KEYS, Escapes, Numbers, Order, Space, Style, Tree};

const NOT_FOR_CERTAIN: &str = "A signature does not say which part it was made without, so this is what is likely, not what is certain.";

/// The id in the body, where there is one.
pub(super) fn event_id(body: &[u8]) -> Option<String> {
    let event: std::collections::BTreeMap<&str, &RawValue> = serde_json::from_slice(body).ok()?;
    serde_json::from_str(event.get("id")?.get()).ok()
}

/// The likeliest cause where nothing matches.
pub(super) fn of(captured: &Captured<'_>) -> Finding {
    if captured.id.trim().starts_with("evt_") {
        return Finding::wrong(
            "id_of_an_event",
            "no signature matches, and the id is that of an event, where Webhook-Id begins with whd_",
            "give the header Webhook-Id, not Event-Id and not the id in the body",
        );
    }
    if let Some((what, advice)) = change_of(captured.body) {
        return Finding::wrong(
            "body_changed",
            format!(
                "no signature matches, with none of the usual changes undone, and the body is not as it is sent: {what}. {NOT_FOR_CERTAIN}"
            ),
            advice,
        );
    }
    Finding::wrong(
        "secret_wrong",
        format!(
            "no signature matches, and the body looks as it is sent: so the secret is probably that of another webhook, or was rotated; or \
             a value inside the body, the id or the timestamp was changed. {NOT_FOR_CERTAIN}"
        ),
        "compare with the secret of the webhook that has this url; where it was lost, rotate it: POST /webhooks/{id}/secret/rotate shows the new one",
    )
}

/// What shows that a body is not as it was sent.
fn change_of(body: &[u8]) -> Option<(String, &'static str)> {
    const COMPLETE: &str = "give all of it, byte for byte as it came: do not copy it from a log or a screen";
    const RAW: &str = "take the raw bytes, before anything reads them as JSON";
    if body.is_empty() {
        return Some((
            "it is empty".to_owned(),
            "where the framework has read the body before, keep its bytes then",
        ));
    }
    let Ok(text) = std::str::from_utf8(body) else {
        return Some(("it is no UTF-8".to_owned(), COMPLETE));
    };
    if text.contains('\u{fffd}') {
        return Some(("it holds U+FFFD, which stands for letters that could not be read".to_owned(), RAW));
    }
    let Some(tree) = rewrite::parse(text) else {
        let what = match text.trim_start().get(..2) {
            Some("{'") => "it is no JSON but how Python prints a dict",
            _ if text.trim_start().starts_with('{') => "it is no whole JSON: is it cut off?",
            _ => "it is no JSON",
        };
        return Some((what.to_owned(), COMPLETE));
    };
    let Tree::Object(entries) = &tree else {
        return Some(("it is no JSON object".to_owned(), COMPLETE));
    };
    let keys: Vec<&str> = entries.iter().map(|(key, _)| *key).collect();
    if keys != EVENT_KEYS {
        let mut sorted = [keys.clone(), EVENT_KEYS.to_vec()];
        sorted.iter_mut().for_each(|keys| keys.sort_unstable());
        let [is, should] = sorted;
        let what = if is == should {
            "its keys stand in another order than"
        } else {
            "its keys are not"
        };
        return Some((format!("{what} {}", EVENT_KEYS.join(", ")), RAW));
    }
    // White space inside `data` is the producer's, and says nothing.
    let outside = |(key, value): &(&str, Tree<'_>)| {
        if *key == "data" {
            String::new()
        } else {
            format!("\"{key}\":{},", AS_SENT.write(value))
        }
    };
    let whole: String = entries.iter().map(outside).collect();
    let parts = whole
        .split_once("\"created_at\"")
        .map_or((whole.as_str(), ""), |(head, _)| (head, "\"created_at\""));
    let is_tight = text.starts_with(&format!("{{{}\"data\":", parts.0))
        && text.ends_with(&format!(",{}}}", whole.get(parts.0.len()..)?.trim_end_matches(',')));
    (!is_tight).then(|| ("white space, or how texts are escaped, is not as it is sent".to_owned(), RAW))
}

/// How everything outside of `data` is written.
const AS_SENT: Style = Style {
    space: Space::None,
    escapes: Escapes::AsWritten,
    order: Order::AsWritten,
    numbers: Numbers::AsWritten,
};

/// What is wrong with the time, if anything.
pub(super) fn age(dispatched: Timestamp, now: Timestamp, tolerance: Duration) -> Option<Finding> {
    let (apart, side) = super::distance(dispatched, now);
    if apart <= tolerance {
        return None;
    }
    let (apart, tolerance) = (words(apart), words(tolerance));
    Some(if side == "before" {
        Finding::wrong(
            "stale",
            format!("it was dispatched {apart} before the time that it is judged by; {tolerance} are tolerated"),
            "a fresh attempt has a timestamp of its own (POST /deliveries/{id}/retry makes one); to judge a capture by the time when it came, give --at; \
             where it came just now, the clock of one of the two machines is wrong",
        )
    } else {
        Finding::wrong(
            "from_the_future",
            format!("it was dispatched {apart} after the time that it is judged by; {tolerance} are tolerated"),
            "the clock of one of the two machines is wrong, or --at is",
        )
    })
}

/// A duration in words: its two largest units.
pub(super) fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let first = units.iter().position(|(_, size)| seconds >= *size).unwrap_or(units.len() - 1);
    let mut left = seconds;
    let mut said = Vec::new();
    for (name, size) in units.iter().skip(first).take(2) {
        let count = left / size;
        left %= size;
        if count > 0 || said.is_empty() {
            said.push(format!("{count} {name}"));
        }
    }
    said.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_said_by_its_two_largest_units() {
        for (seconds, said) in [
            (0, "0 s"),
            (59, "59 s"),
            (300, "5 min"),
            (3_725, "1 h 2 min"),
            (86_400, "1 d"),
            (90_061, "1 d 1 h"),
        ] {
            assert_eq!(words(Duration::from_secs(seconds)), said);
        }
    }

    #[test]
    fn a_body_as_it_is_sent_raises_no_suspicion() {
        let body = |data: &str| {
            format!(
                r#"{{"id":"evt_1","name":"order.filled","resource":{{"id":"1","resource_type":"order"}},"data":{data},"created_at":"2026-01-15T10:30:00.000Z"}}"#
            )
        };
        assert_eq!(change_of(body("{}").as_bytes()), None);
        assert_eq!(change_of(body("{ \"b\" : 1.50,\n \"a\": \"\\u00e9\" }").as_bytes()), None);
        for changed in [
            body("{}").replace("\":\"", "\": \""),
            body("{}") + "\n",
            body("{}").replace("\"id\":\"evt_1\",", ""),
            body("{}").replace('"', "'"),
            String::new(),
            "[]".to_owned(),
            body("{\"a\":\"\u{fffd}\"}"),
        ] {
            assert!(change_of(changed.as_bytes()).is_some(), "{changed}");
        }
    }
}
