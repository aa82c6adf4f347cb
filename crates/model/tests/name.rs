//! Names of events, and the patterns that choose them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use postrider_model::name::{EventName, EventNamePattern};

fn chooses(pattern: &str, name: &str) -> bool {
    EventNamePattern::parse(pattern).unwrap().matches(&EventName::parse(name).unwrap())
}

#[test]
fn a_name_has_segments_of_letters_digits_underscores_and_hyphens() {
    let longest = "n".repeat(256);
    for good in [
        "order",
        "order.filled",
        "a.b.c.d",
        "Order_1.line-2",
        "0",
        "-",
        "_",
        longest.as_str(),
    ] {
        assert_eq!(
            EventName::parse(good).map(|name| name.as_str().to_owned()),
            Ok(good.to_owned()),
            "{good:?}"
        );
    }
}

#[test]
fn what_breaks_the_rule_is_no_name() {
    let too_long = "n".repeat(257);
    for bad in [
        "",
        ".",
        "order.",
        ".order",
        "order..filled",
        "order filled",
        "order/filled",
        "order:filled",
        "order.*",
        "*",
        "ordér",
        "order\n",
        "order\0",
        too_long.as_str(),
    ] {
        assert!(EventName::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_star_chooses_all_below_but_not_the_name_itself() {
    assert!(chooses("order.*", "order.filled"));
    assert!(chooses("order.*", "order.item.added"));
    assert!(!chooses("order.*", "order"));
    assert!(!chooses("order.*", "orders.filled"));
    assert!(!chooses("order.*", "ordering"));
    assert!(!chooses("order.*", "Order.filled"));
    assert!(chooses("order.item.*", "order.item.added"));
    assert!(!chooses("order.item.*", "order.filled"));
}

#[test]
fn a_name_chooses_itself_alone() {
    assert!(chooses("order", "order"));
    assert!(!chooses("order", "order.filled"));
    assert!(!chooses("order.filled", "order"));
}

#[test]
fn a_star_stands_only_for_whole_segments_at_the_end() {
    for bad in [
        "*",
        ".*",
        "*.order",
        "order*",
        "order.*.added",
        "order.**",
        "order.*.*",
        "order..*",
        "",
    ] {
        assert!(EventNamePattern::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_pattern_is_no_longer_than_a_name() {
    let stem = "n".repeat(254);
    assert!(EventNamePattern::parse(&format!("{stem}.*")).is_ok());
    assert!(EventNamePattern::parse(&format!("{stem}n.*")).is_err());
    let name = "n".repeat(256);
    assert!(chooses(&name, &name));
    assert!(EventNamePattern::parse(&"n".repeat(257)).is_err());
}

#[test]
fn both_show_as_the_text_that_they_are() {
    assert_eq!(format!("{:?}", EventName::parse("order.filled").unwrap()), "\"order.filled\"");
    let pattern = EventNamePattern::parse("order.*").unwrap();
    assert_eq!(pattern.as_str(), "order.*");
    assert_eq!(format!("{pattern:?}"), "\"order.*\"");
}
