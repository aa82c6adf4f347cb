//! Signatures, judged by the public library of Standard Webhooks.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use http::HeaderMap;
use postrider_model::id::DeliveryId;
use postrider_model::secret::SigningSecret;
use postrider_model::signature::sign;
use postrider_model::time::Timestamp;
use proptest::prelude::*;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};

fn secret(byte: u8) -> SigningSecret {
    SigningSecret::from_bytes(&[byte; 32]).unwrap()
}

fn judge(secret: &SigningSecret) -> Webhook {
    Webhook::new(&secret.reveal()).unwrap()
}

/// The library refuses a delivery that is more than five minutes old, by a clock of its own.
#[expect(clippy::disallowed_methods, reason = "the public library asks the real clock")]
fn real_now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(0) + since
}

fn headers(id: DeliveryId, at: Timestamp, signature: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(HEADER_WEBHOOK_ID, id.to_string().parse().unwrap());
    headers.insert(HEADER_WEBHOOK_TIMESTAMP, at.as_seconds().to_string().parse().unwrap());
    headers.insert(HEADER_WEBHOOK_SIGNATURE, signature.parse().unwrap());
    headers
}

#[test]
fn the_public_library_accepts_a_delivery_as_it_is() {
    let (id, at, body) = (DeliveryId::from_u128(42), real_now(), br#"{"id":"evt_1"}"#);
    let signature = sign([&secret(1)].into_iter(), id, at, body);
    let headers = headers(id, at, &signature);
    assert!(judge(&secret(1)).verify(body, &headers).is_ok());
    assert!(judge(&secret(2)).verify(body, &headers).is_err());
    assert!(judge(&secret(1)).verify(br#"{"id":"evt_2"}"#, &headers).is_err());
}

#[test]
fn another_delivery_or_another_time_is_not_what_was_signed() {
    let (id, at, body) = (DeliveryId::from_u128(42), real_now(), b"{}");
    let signature = sign([&secret(1)].into_iter(), id, at, body);
    let other_id = headers(DeliveryId::from_u128(43), at, &signature);
    assert!(judge(&secret(1)).verify(body, &other_id).is_err());
    let other_time = headers(id, at + std::time::Duration::from_secs(1), &signature);
    assert!(judge(&secret(1)).verify(body, &other_time).is_err());
}

#[test]
fn while_secrets_rotate_each_of_them_verifies() {
    let (id, at, body) = (DeliveryId::from_u128(42), real_now(), b"{}");
    let secrets = [secret(1), secret(2), secret(3), secret(4), secret(5)];
    let signature = sign(secrets.iter(), id, at, body);
    assert_eq!(signature.split(' ').count(), 5);
    assert!(
        signature.split(' ').all(|part| part.starts_with("v1,") && part.len() == 47),
        "{signature}"
    );
    let headers = headers(id, at, &signature);
    for known in &secrets {
        assert!(judge(known).verify(body, &headers).is_ok());
    }
    assert!(judge(&secret(6)).verify(body, &headers).is_err());
}

#[test]
fn the_newest_secret_signs_first() {
    let (id, at) = (DeliveryId::from_u128(42), Timestamp::from_millis(1_000));
    let both = sign([secret(1), secret(2)].iter(), id, at, b"{}");
    let first = sign([&secret(1)].into_iter(), id, at, b"{}");
    assert!(both.starts_with(&first));
}

#[test]
fn without_a_secret_there_is_no_signature() {
    assert_eq!(sign([].into_iter(), DeliveryId::from_u128(1), Timestamp::from_millis(0), b"{}"), "");
}

#[test]
fn milliseconds_are_not_part_of_what_is_signed() {
    let id = DeliveryId::from_u128(42);
    let early = sign([&secret(1)].into_iter(), id, Timestamp::from_millis(1_000), b"{}");
    let late = sign([&secret(1)].into_iter(), id, Timestamp::from_millis(1_999), b"{}");
    assert_eq!(early, late);
}

proptest! {
    #[test]
    fn the_public_library_signs_the_same(
        bytes in proptest::collection::vec(any::<u8>(), 24..=75),
        id: u128,
        millis in 0i64..4_000_000_000_000,
        body in "\\PC{0,200}",
    ) {
        let secret = SigningSecret::from_bytes(&bytes).unwrap();
        let (id, at) = (DeliveryId::from_u128(id), Timestamp::from_millis(millis));
        let theirs = judge(&secret).sign(&id.to_string(), at.as_seconds(), body.as_bytes()).unwrap();
        prop_assert_eq!(sign([&secret].into_iter(), id, at, body.as_bytes()), theirs);
    }
}
