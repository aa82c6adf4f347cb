//! Deliveries as they are found in the field.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
const OTHER: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDxY0k0fn2pRc=";
const ID: &str = "whd_01m850n9e2fhnagn0fwpvf1bjg";
const SECONDS: &str = "1768473000";
const BODY: &str = r#"{"id":"evt_01m850n9e2ecerehb080rr5a5s","name":"order.filled","resource":{"id":"o/1","resource_type":"order"},"data":{"name":"Zoë","link":"https://a/b?c&d"},"created_at":"2026-01-15T10:30:00.000Z"}"#;

fn key_of(secret: &str) -> Vec<u8> {
    STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap()
}

fn hmac_of(key: &[u8], content: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, content.as_bytes()).as_ref().to_vec()
}

fn sign(key: &[u8], content: &str) -> String {
    format!("v1,{}", STANDARD.encode(hmac_of(key, content)))
}

/// As Postrider signs this body.
fn signed(body: &str) -> String {
    sign(&key_of(SECRET), &format!("{ID}.{SECONDS}.{body}"))
}

struct Case {
    timestamp: String,
    signature: String,
    body: Vec<u8>,
    now_seconds: i64,
}

impl Case {
    fn new(signature: String, body: impl Into<Vec<u8>>) -> Self {
        Self {
            timestamp: SECONDS.to_owned(),
            signature,
            body: body.into(),
            now_seconds: 1_768_473_012,
        }
    }

    /// Whether it is genuine, and the codes of all findings.
    fn verdict(&self) -> (bool, Vec<&'static str>) {
        let secret = Secret::parse(SECRET).unwrap();
        let captured = Captured {
            secret: &secret,
            id: ID,
            timestamp: &self.timestamp,
            signature: &self.signature,
            body: &self.body,
        };
        let now = Timestamp::from_millis(self.now_seconds * 1_000);
        let verdict = judge::judge(&captured, now, Duration::from_secs(300));
        (verdict.is_genuine(), verdict.findings.iter().map(|finding| finding.code).collect())
    }

    fn only_finding(&self) -> &'static str {
        let (is_genuine, codes) = self.verdict();
        assert!(!is_genuine, "taken as genuine: {:?}", String::from_utf8_lossy(&self.body));
        assert_eq!(codes.len(), 1, "{codes:?}");
        codes[0]
    }
}

#[test]
fn a_genuine_delivery_is_genuine_with_any_of_its_signatures() {
    assert_eq!(Case::new(signed(BODY), BODY).verdict(), (true, vec![]));
    let rotating = format!("{} {}", sign(&key_of(OTHER), "other"), signed(BODY));
    assert_eq!(
        Case::new(rotating, BODY).verdict(),
        (true, vec!["signature_of_another_secret_beside"])
    );
}

#[test]
fn what_is_too_old_or_from_the_future_is_told_apart_from_what_is_forged() {
    let at = |now_seconds| Case {
        now_seconds,
        ..Case::new(signed(BODY), BODY)
    };
    let dispatched = 1_768_473_000;
    assert_eq!(at(dispatched + 300).verdict(), (true, vec![]));
    assert_eq!(at(dispatched + 301).only_finding(), "stale");
    assert_eq!(at(dispatched - 300).verdict(), (true, vec![]));
    assert_eq!(at(dispatched - 301).only_finding(), "from_the_future");
}

#[test]
fn each_wrong_use_of_the_secret_is_named() {
    let content = format!("{ID}.{SECONDS}.{BODY}");
    let encoded = SECRET.trim_start_matches("whsec_");
    for (key, code) in [
        (SECRET.as_bytes().to_vec(), "secret_used_as_text"),
        (encoded.as_bytes().to_vec(), "secret_used_as_text"),
        (format!("{SECRET}\n").into_bytes(), "secret_used_as_text"),
        (Vec::new(), "secret_empty"),
        (key_of(OTHER), "secret_wrong"),
    ] {
        assert_eq!(Case::new(sign(&key, &content), BODY).only_finding(), code);
    }
    // What a lenient decoder makes of the whole text: both alphabets, and a last letter that stands alone is left out.
    let lenient = STANDARD.decode("whsec/MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKY");
    assert_eq!(
        Case::new(sign(&lenient.unwrap(), &content), BODY).only_finding(),
        "secret_prefix_decoded"
    );
}

#[test]
fn each_wrong_content_is_named() {
    for (content, code) in [
        (format!("{ID}.{BODY}"), "timestamp_not_signed"),
        (format!("{SECONDS}.{BODY}"), "id_not_signed"),
        (BODY.to_owned(), "body_alone_signed"),
        (format!("{SECONDS}.{ID}.{BODY}"), "signed_in_another_order"),
        (format!("{ID}{SECONDS}{BODY}"), "signed_without_dots"),
        (format!("evt_01m850n9e2ecerehb080rr5a5s.{SECONDS}.{BODY}"), "event_id_signed"),
        (format!("{ID}.{SECONDS}000.{BODY}"), "timestamp_signed_differently"),
        (format!("{ID}.1768473017.{BODY}"), "timestamp_of_another_attempt"),
        (format!("{ID}.{SECONDS}."), "body_empty"),
        (format!("{ID}.{SECONDS}.[object Object]"), "body_not_raw"),
        (format!("{ID}.{SECONDS}.undefined"), "body_not_raw"),
        (format!("{ID}.{SECONDS}.b'{}'", BODY.replace('ë', "\\xc3\\xab")), "body_not_raw"),
    ] {
        assert_eq!(Case::new(sign(&key_of(SECRET), &content), BODY).only_finding(), code, "{content}");
    }
}

#[test]
fn each_change_of_the_body_is_named() {
    let pretty = rewrite::Style {
        space: rewrite::Space::Indent("  "),
        escapes: rewrite::Escapes::AsWritten,
        order: rewrite::Order::AsWritten,
        numbers: rewrite::Numbers::AsWritten,
    }
    .write(&rewrite::parse(BODY).unwrap());
    // The keys of `data` in another order than they came: that cannot be undone.
    let shuffled = pretty
        .replace("\"name\": \"Zoë\",", "")
        .replace("?c&d\"", "?c&d\", \"name\": \"Zoë\"");
    let changed: [(Vec<u8>, &str); 14] = [
        (format!("{BODY}\n").into(), "body_line_break_added"),
        (format!("{BODY}\r\n").into(), "body_line_break_added"),
        (format!(" {BODY}  ").into(), "body_white_space"),
        (format!("\u{feff}{BODY}").into(), "body_byte_order_mark"),
        (STANDARD.encode(BODY).into(), "body_base64"),
        (serde_json::to_string(BODY).unwrap().into(), "body_in_a_text"),
        (BODY.bytes().map(char::from).collect::<String>().into(), "body_charset"),
        (BODY.chars().map(|letter| letter as u32 as u8).collect(), "body_charset"),
        (
            BODY.replace('{', "%7B").replace('"', "%22").replace('&', "%26").into(),
            "body_percent_encoded",
        ),
        (shuffled.into(), "body_changed"),
        // As serde_json, Python, PHP and Go write it again.
        (pretty.into(), "body_rewritten"),
        (
            BODY.replace("\":", "\": ").replace(",\"", ", \"").replace('ë', "\\u00eb").into(),
            "body_rewritten",
        ),
        (BODY.replace('/', "\\/").replace('ë', "\\u00eb").into(), "body_rewritten"),
        (BODY.replace('&', "\\u0026").into(), "body_rewritten"),
    ];
    for (body, code) in changed {
        let text = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(Case::new(signed(BODY), body).only_finding(), code, "{text}");
    }
}

#[test]
fn what_code_signs_that_parses_first_is_named() {
    let pretty = BODY.replace("\":", "\": ").replace(",\"", ", \"");
    assert_eq!(Case::new(signed(&pretty), BODY).only_finding(), "body_rewritten");
    assert_eq!(
        Case::new(signed(&format!("{BODY}\n")), BODY).only_finding(),
        "body_line_break_removed"
    );
    let numbers = BODY.replace("\"Zoë\"", "12.50");
    assert_eq!(
        Case::new(signed(&numbers.replace("12.50", "12.5")), numbers).only_finding(),
        "body_rewritten"
    );
}

#[test]
fn two_departures_are_both_named() {
    let content = format!("{ID}.{SECONDS}.{BODY}");
    let hex: String = hmac_of(&key_of(SECRET), &content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(Case::new(hex, BODY).only_finding(), "signature_encoding");
    let text_key = sign(SECRET.as_bytes(), &content);
    assert_eq!(
        Case::new(text_key, format!("{BODY}\n")).verdict(),
        (false, vec!["secret_used_as_text", "body_line_break_added"])
    );
    let stale = Case {
        now_seconds: 1_768_573_000,
        ..Case::new(signed(BODY), format!("{BODY}\n"))
    };
    assert_eq!(stale.verdict(), (false, vec!["body_line_break_added", "stale"]));
}

#[test]
fn milliseconds_are_named_whether_signed_or_not() {
    let millis = format!("{SECONDS}123");
    let case = |signature| Case {
        timestamp: millis.clone(),
        ..Case::new(signature, BODY)
    };
    assert_eq!(
        case(sign(&key_of(SECRET), &format!("{ID}.{millis}.{BODY}"))).verdict(),
        (false, vec!["timestamp_unit"])
    );
    assert_eq!(
        case(signed(BODY)).verdict(),
        (false, vec!["timestamp_signed_differently", "timestamp_unit"])
    );
}

#[test]
fn a_body_with_another_value_cannot_be_told_from_another_secret_and_says_so() {
    let forged = BODY.replace("Zoë", "Eve");
    assert_eq!(Case::new(signed(BODY), forged).only_finding(), "secret_wrong");
    assert_eq!(
        Case::new(signed(BODY), BODY.replace(':', ": ").replace("Zoë", "Eve")).only_finding(),
        "body_changed"
    );
    assert_eq!(Case::new(signed(BODY), &BODY[..40]).only_finding(), "body_changed");
}

#[test]
fn a_text_that_is_no_secret_says_what_it_is() {
    for (text, words) in [
        ("", "empty"),
        ("ptr_abc", "token of a key"),
        ("whsec_abc…", "cut short"),
        ("whsec_***", "masked"),
        ("whsec_hush hush", "character 5"),
        ("whsec_AAAA", "3 bytes"),
    ] {
        let problem = Secret::parse(text).unwrap_err();
        assert!(problem.contains(words), "{text}: {problem}");
        assert!(!problem.contains("hush"), "{problem}");
    }
    let url_safe = SECRET.replace('+', "-").replace('/', "_");
    assert!(Secret::parse(&url_safe).is_ok());
    assert!(Secret::parse(&format!("  {SECRET}\n")).unwrap().notes.is_empty());
}

#[test]
fn large_and_hostile_bodies_are_judged_all_the_same() {
    let deep = "[".repeat(200_000);
    assert_eq!(Case::new(signed(BODY), deep).only_finding(), "body_changed");
    let large = format!("{BODY}{}", " ".repeat(300_000));
    assert_eq!(Case::new(signed(BODY), large).only_finding(), "body_white_space");
}
