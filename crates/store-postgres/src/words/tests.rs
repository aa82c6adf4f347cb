use super::*;

const ONE: NodeToken = NodeToken(1);
const OTHER: NodeToken = NodeToken(u128::MAX);

fn work_of(number: u128) -> Wake {
    Wake::Work {
        account: AccountId::from_u128(u128::MAX),
        webhook: WebhookId::from_u128(number),
        through: Position {
            major: u64::MAX,
            minor: u32::MAX,
        },
    }
}

fn committed(event: &str, number: u128, body: &str) -> Wake {
    let at = Timestamp::from_millis(1_700_000_000_123);
    let queued = Queued {
        delivery: DeliveryId::from_u128(number),
        account: AccountId::from_u128(3),
        webhook: WebhookId::from_u128(u128::MAX - number),
        event: Some(event.parse().unwrap()),
        progress: Progress::new(at),
        due: at,
        is_urgent: false,
        position: Position {
            major: u64::MAX,
            minor: u32::MAX,
        },
        body: Bytes::copy_from_slice(body.as_bytes()),
    };
    Wake::Committed(Box::new(Committed {
        queued,
        version: AccountVersion(7),
    }))
}

fn change(wake: Wake, change: impl Fn(&mut Queued)) -> Wake {
    let Wake::Committed(mut committed) = wake else {
        panic!("no delivery")
    };
    change(&mut committed.queued);
    Wake::Committed(committed)
}

fn heard(said: &[Wake], hands_over: bool) -> Vec<Wake> {
    let mut heard = Vec::new();
    for payload in payloads(ONE, said, hands_over) {
        assert!(payload.len() <= PAYLOAD_BYTES_MAX);
        read(OTHER, true, &payload, &mut heard);
    }
    heard
}

/// What a delivery is told as where it is not handed over.
fn named(wake: &Wake) -> Wake {
    let Wake::Committed(committed) = wake else { panic!("no delivery") };
    let Queued {
        account,
        webhook,
        position,
        ..
    } = committed.queued;
    Wake::Work {
        account,
        webhook,
        through: position,
    }
}

#[test]
fn what_is_said_is_understood() {
    let said = [Wake::AnyWork, work_of(7), Wake::Changes, Wake::Slots, Wake::Missed, work_of(0)];
    assert_eq!(heard(&said, true), said);
}

#[test]
fn no_payload_is_too_long() {
    let said: Vec<Wake> = (0..1_000).map(work_of).collect();
    assert_eq!(heard(&said, true), said);
}

#[test]
fn deliveries_come_along_with_whatever_their_events_carry() {
    let own = "own_id.of:a-caller";
    let made = EventId::new(Timestamp::from_millis(5), 9).to_string();
    let mut said = vec![committed(own, 1, r#"{"data": "with spaces = , ünï 💥 \u0000 \n"}"#)];
    // Of one event, beyond the end of a text.
    said.extend((2..300).map(|number| committed(&made, number, r#"{"a":1}"#)));
    said.push(committed(own, 300, ""));
    said.push(committed(&made, 301, &"x".repeat(7_000)));
    assert_eq!(heard(&said, true), said);
    let payloads = payloads(ONE, &said, true);
    let bodies: usize = payloads.iter().map(|payload| payload.matches(r#"{"a":1}"#).count()).sum();
    assert!(bodies <= payloads.len(), "{bodies} times the same body");
}

#[test]
fn what_does_not_fit_is_told_as_work_to_be_read() {
    let too_much = committed("a", 1, &"ü".repeat(4_000));
    let plain = || committed("b", 2, "{}");
    let other = || committed("c", 3, "{}");
    let no_text = change(other(), |queued| queued.body = Bytes::from_static(b"\xff"));
    let no_json = change(other(), |queued| queued.body = Bytes::from_static(b"a\0b"));
    let tried = change(other(), |queued| queued.progress.attempts = 1);
    let urgent = change(other(), |queued| queued.is_urgent = true);
    let test = change(other(), |queued| queued.event = None);
    for odd in [too_much, no_text, no_json, tried, urgent, test] {
        let said = [plain(), odd.clone(), plain()];
        assert_eq!(heard(&said, true), [plain(), plain(), named(&odd)], "{odd:?}");
    }
    assert_eq!(heard(&[plain()], false), [named(&plain())], "where there is no room for notices");
}

#[test]
fn nobody_hears_itself_and_what_is_no_word_is_passed_over() {
    let mut heard = Vec::new();
    for payload in payloads(ONE, &[Wake::Changes, committed("a", 1, "{}")], true) {
        read(ONE, true, &payload, &mut heard);
    }
    let from = "0".repeat(32);
    for payload in [
        String::new(),
        "p".to_owned(),
        "x a".to_owned(),
        "fé a".to_owned(),
        format!("x{from} a"),
        format!("f{from} w w12 wé z"),
        format!("f{from} w{}.1", "w".repeat(64)),
    ] {
        read(ONE, true, &payload, &mut heard);
    }
    assert_eq!(heard, []);
}

#[test]
fn deliveries_that_anybody_may_have_told_all_of_are_not_taken() {
    let mut heard = Vec::new();
    for payload in payloads(ONE, &[committed("a", 1, "{}"), Wake::Changes], true) {
        read(OTHER, false, &payload, &mut heard);
    }
    assert_eq!(heard, [Wake::Changes]);
}

#[test]
fn a_delivery_that_cannot_be_read_has_been_missed() {
    let whole = payloads(ONE, &[committed("a", 1, "{}")], true).remove(0);
    for length in 34..whole.len() {
        let mut heard = Vec::new();
        read(OTHER, true, &whole[..length], &mut heard);
        assert_eq!(heard, [Wake::Missed], "{length}");
    }
}
