//! Sealing at rest: what was changed, moved or sealed under another key does not open.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use postrider_model::seal::{SealError, SealKey};
use proptest::prelude::*;

const NONCE: [u8; 12] = [7; 12];

fn key(byte: u8) -> SealKey {
    SealKey::from_bytes(&[byte; 32]).unwrap()
}

#[test]
fn what_was_sealed_opens_in_its_place() {
    let sealed = key(1).seal(b"whsec bytes", b"wh_1:secret", NONCE);
    assert_eq!(sealed.len(), 4 + 12 + 11 + 16);
    assert!(!sealed.windows(5).any(|window| window == b"whsec"));
    assert_eq!(key(1).unseal(&sealed, b"wh_1:secret").unwrap().as_slice(), b"whsec bytes");
}

#[test]
fn another_key_is_named_and_does_not_open_it() {
    let (mine, other) = (key(1), key(2));
    let sealed = mine.seal(b"plain", b"place", NONCE);
    let error = other.unseal(&sealed, b"place").unwrap_err();
    assert_eq!(
        error,
        SealError::OtherKey {
            sealed_under: mine.id(),
            given: other.id()
        }
    );
    let told = error.to_string();
    assert!(
        told.contains(&format!("{:08x}", mine.id())) && told.contains(&format!("{:08x}", other.id())),
        "{told}"
    );
}

#[test]
fn a_value_moved_to_another_row_does_not_open() {
    let sealed = key(1).seal(b"plain", b"wh_1", NONCE);
    for elsewhere in [b"wh_2".as_slice(), b"", b"wh_1 ", b"wh_"] {
        assert_eq!(key(1).unseal(&sealed, elsewhere), Err(SealError::Damaged));
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let sealed = key(1).seal(b"plain text", b"place", NONCE);
    for place in 0..sealed.len() {
        for bit in 0..8 {
            let mut damaged = sealed.clone();
            damaged[place] ^= 1 << bit;
            assert!(key(1).unseal(&damaged, b"place").is_err(), "byte {place}, bit {bit}");
        }
    }
}

#[test]
fn every_cut_is_noticed() {
    let sealed = key(1).seal(b"plain text", b"place", NONCE);
    for length in 0..sealed.len() {
        assert!(key(1).unseal(&sealed[..length], b"place").is_err(), "cut to {length}");
    }
    let longer = [sealed.as_slice(), &[0]].concat();
    assert_eq!(key(1).unseal(&longer, b"place"), Err(SealError::Damaged));
}

#[test]
fn a_key_is_32_bytes_in_base64() {
    // 32 zero bytes.
    let text = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let parsed = SealKey::parse(&format!("  {text}\n")).unwrap();
    assert_eq!(parsed.id(), key(0).id());
    for bad in [
        "",
        "AAAA",
        "not base64!",
        &text[..43],
        &format!("{text}AAAA"),
        &text.replace('A', "-"),
    ] {
        assert_eq!(SealKey::parse(bad).map(|key| key.id()), Err(SealError::BadKey), "{bad:?}");
    }
    assert_eq!(SealKey::from_bytes(&[0; 31]).map(|key| key.id()), Err(SealError::BadKey));
    assert_eq!(SealKey::from_bytes(&[0; 33]).map(|key| key.id()), Err(SealError::BadKey));
}

proptest! {
    #[test]
    fn any_value_comes_back(plain: Vec<u8>, context: Vec<u8>, nonce: [u8; 12], bytes: [u8; 32]) {
        let key = SealKey::from_bytes(&bytes).unwrap();
        let sealed = key.seal(&plain, &context, nonce);
        let opened = key.unseal(&sealed, &context).unwrap();
        prop_assert_eq!(opened.as_slice(), plain.as_slice());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        prop_assert!(key(1).unseal(&bytes, b"place").is_err());
    }
}

#[test]
fn derived_keys_are_the_same_each_time_and_differ_by_purpose_and_key() {
    let derive = |byte: u8, purpose: &str| *key(byte).derive(purpose).unwrap();
    assert_eq!(derive(1, "tokens"), derive(1, "tokens"));
    assert_ne!(derive(1, "tokens"), derive(1, "other"));
    assert_ne!(derive(1, "tokens"), derive(2, "tokens"));
    assert_ne!(derive(1, "tokens"), [1; 32], "it is not the key itself");
}
