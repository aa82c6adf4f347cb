//! Events: the bytes that go over the wire, and which two events say the same.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use postrider_model::event::{Event, EventDraft, Resource};
use postrider_model::id::{AccountId, EventId};
use postrider_model::json::same_value;
use postrider_model::name::EventName;
use postrider_model::time::Timestamp;
use proptest::prelude::*;

const NOON: Timestamp = Timestamp::from_millis(1_768_473_000_000);

fn event_about(id: &str, resource_id: &str, resource_type: &str, data: &str) -> Event {
    let draft = EventDraft {
        name: EventName::parse("order.filled").unwrap(),
        resource: Resource {
            id: resource_id.to_owned(),
            resource_type: resource_type.to_owned(),
        },
        data,
    };
    Event::new(AccountId::from_u128(1), EventId::own(id).unwrap(), draft, NOON)
}

fn event(data: &str) -> Event {
    event_about("mine", "o-1", "order", data)
}

fn body(event: &Event) -> &str {
    std::str::from_utf8(&event.body).unwrap()
}

#[test]
fn the_body_has_five_fields_in_their_order_and_nothing_else() {
    assert_eq!(
        body(&event(r#"{"quantity": 10}"#)),
        r#"{"id":"mine","name":"order.filled","resource":{"id":"o-1","resource_type":"order"},"data":{"quantity": 10},"created_at":"2026-01-15T10:30:00.000Z"}"#
    );
}

#[test]
fn text_is_escaped_where_json_asks_for_it() {
    let event = event_about("mine", "a\"b\\c\n\u{1}\u{7f}", "käse 🧀", "{}");
    let text = body(&event);
    assert!(text.contains(r#""id":"a\"b\\c\n\u0001"#), "{text}");
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(value["resource"]["id"], "a\"b\\c\n\u{1}\u{7f}");
    assert_eq!(value["resource"]["resource_type"], "käse 🧀");
    assert_eq!(value.as_object().unwrap().len(), 5);
}

#[test]
fn data_stays_as_it_was_written() {
    let digits = "1234567890123456789012345678901234567890";
    for data in [
        format!(r#"{{"n":{digits},"f":0.{digits}}}"#),
        r#"{"z":1,"a":2,"m":3}"#.to_owned(),
        r#"{ "a" : [ 1.0 , 1e5, -0 ] }"#.to_owned(),
        "{\n\t\"a\": 1\r\n}".to_owned(),
        r#"{"a":1,"a":2}"#.to_owned(),
        r#"{"a":"\u0041\/"}"#.to_owned(),
        r#"{"data":{"data":1},"id":"x","created_at":null}"#.to_owned(),
        "{}".to_owned(),
    ] {
        let event = event(&data);
        assert!(body(&event).contains(&format!("\"data\":{data},\"created_at\"")), "{data}");
        assert_eq!(event.data(), data);
    }
}

#[test]
fn the_same_content_is_the_same_however_it_is_laid_out() {
    let first = event(r#"{"a":1,"b":{"c":[1,2],"d":"x"}}"#);
    for same in [
        r#"{"a":1,"b":{"c":[1,2],"d":"x"}}"#,
        r#"{"b":{"d":"x","c":[1,2]},"a":1}"#,
        "{ \"a\" : 1 ,\n\t\"b\" : { \"c\" : [ 1 , 2 ] , \"d\" : \"x\" } }",
        r#"{"a":1,"b":{"c":[1,2],"d":"\u0078"}}"#,
        r#"{"\u0061":1,"b":{"c":[1,2],"d":"x"}}"#,
    ] {
        assert!(first.has_same_content(&event(same)), "{same}");
        assert!(event(same).has_same_content(&first), "{same}");
    }
}

#[test]
fn other_content_is_told_apart() {
    let first = event(r#"{"a":1,"b":{"c":[1,2],"d":"x"}}"#);
    for other in [
        "{}",
        r#"{"a":1}"#,
        r#"{"a":1.0,"b":{"c":[1,2],"d":"x"}}"#,
        r#"{"a":"1","b":{"c":[1,2],"d":"x"}}"#,
        r#"{"a":1,"b":{"c":[2,1],"d":"x"}}"#,
        r#"{"a":1,"b":{"c":[1,2,3],"d":"x"}}"#,
        r#"{"a":1,"b":{"c":[1,2],"d":"X"}}"#,
        r#"{"a":1,"b":{"c":[1,2],"d":null}}"#,
        r#"{"a":1,"b":{"c":[1,2],"e":"x"}}"#,
        r#"{"a":1,"b":{"c":[1,2],"d":"x"},"e":0}"#,
    ] {
        assert!(!first.has_same_content(&event(other)), "{other}");
        assert!(!event(other).has_same_content(&first), "{other}");
    }
}

#[test]
fn another_name_or_resource_is_other_content() {
    let first = event("{}");
    assert!(!first.has_same_content(&event_about("mine", "o-2", "order", "{}")));
    assert!(!first.has_same_content(&event_about("mine", "o-1", "invoice", "{}")));
    let mut renamed = event("{}");
    renamed.name = EventName::parse("order.cancelled").unwrap();
    assert!(!first.has_same_content(&renamed));
}

#[test]
fn when_and_under_which_id_it_came_is_no_content() {
    let mut later = event_about("other", "o-1", "order", "{}");
    later.created_at = NOON + std::time::Duration::from_secs(60);
    assert!(event("{}").has_same_content(&later));
}

#[test]
fn a_number_is_the_same_only_as_it_was_written() {
    for (left, right) in [("1", "1.0"), ("1e2", "100"), ("1e2", "1E2"), ("0", "-0"), ("0.10", "0.1")] {
        assert!(same_value(left, left));
        assert!(!same_value(left, right), "{left} {right}");
    }
    let digits = "9".repeat(40);
    assert!(same_value(&format!("[ {digits}]"), &format!("[{digits}]")));
    assert!(!same_value(&format!("[{digits}8]"), &format!("[{digits}9]")));
}

#[test]
fn of_a_key_twice_the_last_counts() {
    assert!(same_value(r#"{"a":1,"a":2}"#, r#"{"a":2}"#));
    assert!(!same_value(r#"{"a":1,"a":2}"#, r#"{"a":1}"#));
}

#[test]
fn kinds_of_value_are_never_mixed_up() {
    let kinds = ["null", "true", "false", "0", "\"\"", "[]", "{}", "\"null\"", "[null]"];
    for (place, left) in kinds.iter().enumerate() {
        for (other, right) in kinds.iter().enumerate() {
            assert_eq!(same_value(left, right), place == other, "{left} {right}");
        }
    }
}

#[test]
fn deep_nesting_costs_no_stack() {
    let levels = 100_000;
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let deep = |inner: &str| format!("{{\"a\":{}{inner}{}}}", open.repeat(levels), close.repeat(levels));
        let (one, same, other) = (event(&deep("1")), event(&deep("1")), event(&deep("2")));
        assert!(one.has_same_content(&same));
        assert!(!one.has_same_content(&other));
        // White space outside the deep part does not hide that the rest is the same as it was written.
        assert!(one.has_same_content(&event(&format!(" {}", deep("1")))));
    }
}

#[test]
fn what_is_no_json_is_the_same_only_letter_by_letter() {
    assert!(same_value("{oops", "{oops"));
    assert!(!same_value("{oops", "{oops!"));
    assert!(!same_value("", "{}"));
}

/// Any JSON value, as text.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        "\\PC{0,8}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::btree_map("\\PC{0,4}", inner, 0..4).prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_value_is_the_same_written_tight_or_wide(left in any_json(), right in any_json()) {
        let wide = serde_json::to_string_pretty(&left).unwrap();
        prop_assert!(same_value(&left.to_string(), &wide));
        prop_assert_eq!(same_value(&right.to_string(), &wide), left == right);
    }

    #[test]
    fn the_body_is_always_json_that_says_what_was_given(id in "\\PC{1,40}", kind in ".{1,40}", data in any_json()) {
        let data = serde_json::json!({ "data": data });
        let event = event_about("mine", &id, &kind, &data.to_string());
        let value: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
        prop_assert_eq!(&value["resource"]["id"], &serde_json::Value::from(id));
        prop_assert_eq!(&value["resource"]["resource_type"], &serde_json::Value::from(kind));
        prop_assert_eq!(&value["data"], &data);
    }
}
