//! Ids: their text form, and what is no id.

use postrider_model::id::{AccountId, AttemptId, DeliveryId, EventId, JobId, KeyId, MadeEventId, TestEventId, WebhookId};
use postrider_model::time::Timestamp;
use proptest::prelude::*;

const NOON: Timestamp = Timestamp::from_millis(1_768_473_000_000);

#[test]
fn every_kind_has_the_prefix_of_the_contract() {
    let bits = 7;
    let texts = [
        AccountId::new(NOON, bits).to_string(),
        EventId::new(NOON, bits).to_string(),
        WebhookId::new(NOON, bits).to_string(),
        DeliveryId::new(NOON, bits).to_string(),
        AttemptId::new(NOON, bits).to_string(),
        KeyId::new(NOON, bits).to_string(),
        JobId::new(NOON, bits).to_string(),
        EventId::Test(TestEventId::new(NOON, bits)).to_string(),
    ];
    let prefixes = ["acc_", "evt_", "wh_", "whd_", "wha_", "key_", "job_", "evt_test_"];
    for (text, prefix) in texts.iter().zip(prefixes) {
        let tail = text.strip_prefix(prefix).unwrap_or_default();
        assert_eq!(tail.len(), 26, "{text}");
        assert!(
            tail.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase()),
            "{text}"
        );
    }
}

#[test]
fn all_letters_of_the_alphabet_are_known_in_their_order() {
    // 2^128 - 1 and its neighbours: each digit of base 32 stands where Crockford put it.
    assert_eq!(AccountId::from_u128(0).to_string(), "acc_00000000000000000000000000");
    assert_eq!(AccountId::from_u128(1).to_string(), "acc_00000000000000000000000001");
    assert_eq!(AccountId::from_u128(31).to_string(), "acc_0000000000000000000000000z");
    assert_eq!(AccountId::from_u128(32).to_string(), "acc_00000000000000000000000010");
    assert_eq!(AccountId::from_u128(u128::MAX).to_string(), "acc_7zzzzzzzzzzzzzzzzzzzzzzzzz");
}

#[test]
fn an_id_of_another_kind_is_refused() {
    let delivery = DeliveryId::new(NOON, 1).to_string();
    assert!(delivery.parse::<DeliveryId>().is_ok());
    assert!(delivery.parse::<WebhookId>().is_err());
    assert!(delivery.parse::<AttemptId>().is_err());
    assert!(delivery.to_uppercase().parse::<DeliveryId>().is_err());
    let error = delivery.parse::<AccountId>().unwrap_err();
    assert_eq!(error.to_string(), "not an id that begins with \"acc_\"");
}

#[test]
fn a_wrong_length_is_refused() {
    for tail in [
        "",
        "0",
        "0000000000000000000000000",
        "000000000000000000000000000",
        "00000000000000000000000000 ",
    ] {
        assert!(format!("wh_{tail}").parse::<WebhookId>().is_err(), "{tail:?}");
    }
}

#[test]
fn every_id_has_one_text_only() {
    // The first letter carries three bits: with more of them the same id would have several texts.
    assert!("wh_7zzzzzzzzzzzzzzzzzzzzzzzzz".parse::<WebhookId>().is_ok());
    for first in ['8', '9', 'a', 'z'] {
        assert!(
            format!("wh_{first}0000000000000000000000000").parse::<WebhookId>().is_err(),
            "{first}"
        );
    }
    for strange in ['i', 'l', 'o', 'u', 'A', 'Z', '-', ' ', 'é', '\0'] {
        let text = format!("wh_0{strange}{}", "0".repeat(25 - strange.len_utf8()));
        assert!(text.parse::<WebhookId>().is_err(), "{strange:?}");
    }
}

#[test]
fn the_time_before_1970_makes_an_id_too() {
    let id = AccountId::new(Timestamp::from_millis(-1), 5);
    assert_eq!(id.to_string().parse::<AccountId>(), Ok(id));
}

#[test]
fn an_event_has_our_id_or_the_callers_own() {
    let made = EventId::new(NOON, 3);
    assert_eq!(made.to_string().parse::<EventId>(), Ok(made));
    let test = EventId::Test(TestEventId::new(NOON, 3));
    assert_eq!(test.to_string().parse::<EventId>(), Ok(test));
    let own = EventId::own("order-17:filled_v1.2").unwrap();
    assert_eq!(own.to_string(), "order-17:filled_v1.2");
    assert_eq!("order-17:filled_v1.2".parse::<EventId>(), Ok(own));
}

#[test]
fn a_test_events_id_is_never_that_of_an_event() {
    let test = TestEventId::new(NOON, 3).to_string();
    assert!(test.parse::<MadeEventId>().is_err());
    assert!(matches!(test.parse::<EventId>(), Ok(EventId::Test(_))));
}

#[test]
fn a_callers_own_id_keeps_to_its_rule() {
    let longest = "a".repeat(255);
    for good in ["a", "0", "A.b", "x_y", "7-7", "a:b", "evt", "evtl_1", longest.as_str()] {
        assert!(EventId::own(good).is_some(), "{good:?}");
    }
    let too_long = "a".repeat(256);
    for bad in [
        "",
        "_a",
        ".a",
        ":a",
        "-a",
        "a b",
        "a/b",
        "a\n",
        "ä",
        "evt_",
        "evt_1",
        "evt_test_1",
        too_long.as_str(),
    ] {
        assert!(EventId::own(bad).is_none(), "{bad:?}");
        assert!(bad.parse::<EventId>().is_err(), "{bad:?}");
    }
}

#[test]
fn ids_show_as_text_in_debug() {
    let id = WebhookId::from_u128(9);
    assert_eq!(format!("{id:?}"), id.to_string());
    let event = EventId::own("mine").unwrap();
    assert_eq!(format!("{event:?}"), "mine");
}

proptest! {
    #[test]
    fn the_text_leads_back_to_the_id(bits: u128) {
        let id = DeliveryId::from_u128(bits);
        prop_assert_eq!(id.as_u128(), bits);
        prop_assert_eq!(id.to_string().parse::<DeliveryId>(), Ok(id));
        let mut behind = String::from("x.");
        id.push_to(&mut behind);
        prop_assert_eq!(behind, format!("x.{id}"));
    }

    #[test]
    fn texts_sort_like_their_numbers(left: u128, right: u128) {
        let texts = (JobId::from_u128(left).to_string(), JobId::from_u128(right).to_string());
        prop_assert_eq!(texts.0.cmp(&texts.1), left.cmp(&right));
    }

    #[test]
    fn a_later_millisecond_sorts_behind(early in 0i64..4_000_000_000_000, more in 1i64..1_000_000_000, first: u128, second: u128) {
        let left = AccountId::new(Timestamp::from_millis(early), first);
        let right = AccountId::new(Timestamp::from_millis(early + more), second);
        prop_assert!(left < right);
    }

    #[test]
    fn two_ids_of_one_moment_differ_by_chance(first: u128, second: u128) {
        // UUID version 7 keeps 74 of the bits that it is given; the first 64 of them hold at least 58.
        prop_assume!(first >> 70 != second >> 70);
        prop_assert_ne!(AccountId::new(NOON, first), AccountId::new(NOON, second));
    }

    #[test]
    fn what_is_no_id_never_becomes_one(text in "\\PC{0,40}") {
        if let Ok(id) = text.parse::<WebhookId>() {
            prop_assert_eq!(id.to_string(), text);
        }
    }
}
