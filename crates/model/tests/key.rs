//! Tokens of keys and what they may do.

use postrider_model::id::AccountId;
use postrider_model::key::{Key, KeyOwner, Scope, Scopes, Token, TokenHash};
use postrider_model::time::Timestamp;
use proptest::prelude::*;

const ACCOUNT: KeyOwner = KeyOwner::Account(AccountId::from_u128(1));

/// Bytes that count up from `start`, over and over.
fn counting(start: u8) -> impl FnMut(&mut [u8]) {
    let mut next = start;
    move |bytes| {
        for slot in bytes {
            *slot = next;
            next = next.wrapping_add(1);
        }
    }
}

#[test]
fn a_token_has_a_prefix_40_letters_and_6_of_checksum() {
    let account = Token::generate(ACCOUNT, counting(0));
    assert_eq!(account.reveal().len(), 4 + 40 + 6);
    assert!(account.reveal().starts_with("ptr_"));
    assert!(Token::is_well_formed(account.reveal()));
    let operator = Token::generate(KeyOwner::Operator, counting(9));
    assert_eq!(operator.reveal().len(), 6 + 40 + 6);
    assert!(operator.reveal().starts_with("ptrop_"));
    assert!(Token::is_well_formed(operator.reveal()));
}

#[test]
fn bytes_that_would_favour_some_letters_are_thrown_away() {
    // 248 to 255 would make the first eight letters likelier. A source that gives nothing else for a while is asked again.
    let mut calls = 0;
    let token = Token::generate(ACCOUNT, |bytes| {
        calls += 1;
        bytes.fill(if calls < 3 { 250 } else { 61 });
    });
    assert_eq!(calls, 3);
    assert_eq!(&token.reveal()[4..44], "z".repeat(40));
}

#[test]
fn the_hint_is_the_tokens_last_four_letters() {
    let token = Token::generate(ACCOUNT, counting(77));
    assert_eq!(token.hint().len(), 4);
    assert!(token.reveal().ends_with(&token.hint()));
}

#[test]
fn every_slip_of_the_finger_is_noticed() {
    let token = Token::generate(ACCOUNT, counting(3));
    let text = token.reveal();
    for place in 0..text.len() {
        let mut bytes = text.as_bytes().to_vec();
        bytes[place] = if bytes[place] == b'x' { b'y' } else { b'x' };
        let slip = String::from_utf8(bytes).unwrap();
        assert!(!Token::is_well_formed(&slip), "letter {place}: {slip}");
    }
}

#[test]
fn what_is_no_token_is_told_so() {
    let token = Token::generate(ACCOUNT, counting(3));
    let text = token.reveal();
    for bad in [
        String::new(),
        "ptr_".to_owned(),
        "ptrop_".to_owned(),
        text[..49].to_owned(),
        format!("{text}0"),
        format!(" {text}"),
        text.to_uppercase(),
        text.replacen("ptr_", "ptrop_", 1),
        text.replacen("ptr_", "sk_", 1),
        format!("ptr_{}", "é".repeat(23)),
    ] {
        assert!(!Token::is_well_formed(&bad), "{bad:?}");
    }
}

#[test]
fn a_hash_is_sha256_of_the_tokens_text() {
    // FIPS 180-4's example: SHA-256 of "abc".
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let hash = TokenHash::of("abc");
    let hex: String = hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, expected);
    assert_eq!(TokenHash::from_bytes(*hash.as_bytes()), hash);
    assert_ne!(TokenHash::of("abd"), hash);
}

#[test]
fn scopes_are_the_words_of_the_contract() {
    let words: Vec<_> = Scope::ALL.into_iter().map(Scope::as_str).collect();
    assert_eq!(
        words,
        [
            "webhooks:read",
            "webhooks:write",
            "events:read",
            "events:write",
            "deliveries:read",
            "deliveries:write",
            "accounts:admin"
        ]
    );
    for scope in Scope::ALL {
        assert_eq!(Scope::parse(scope.as_str()), Some(scope));
    }
    for bad in ["", "webhooks", "webhooks:Read", "webhooks:read ", "admin"] {
        assert_eq!(Scope::parse(bad), None, "{bad:?}");
    }
}

#[test]
fn only_the_operators_keys_administer_accounts() {
    assert!(Scopes::of_operator().contains(Scope::AccountsAdmin));
    assert!(!Scopes::of_account().contains(Scope::AccountsAdmin));
    assert_eq!(Scopes::of_operator().iter().count(), 7);
    assert_eq!(Scopes::of_account().iter().count(), 6);
    assert_eq!(Scopes::default().iter().count(), 0);
}

#[test]
fn a_key_ends_at_the_moment_it_names() {
    let mut key = Key {
        id: postrider_model::id::KeyId::from_u128(1),
        owner: ACCOUNT,
        name: "ci".to_owned(),
        hint: "abcd".to_owned(),
        scopes: Scopes::of_account(),
        created_at: Timestamp::from_millis(0),
        expires_at: None,
        last_used_at: None,
    };
    assert!(!key.is_expired(Timestamp::from_millis(i64::MAX)));
    key.expires_at = Some(Timestamp::from_millis(1_000));
    assert!(!key.is_expired(Timestamp::from_millis(999)));
    assert!(key.is_expired(Timestamp::from_millis(1_000)));
}

proptest! {
    #[test]
    fn any_bytes_make_a_well_formed_token(start: u8, step in 1u8..=255) {
        let mut next = start;
        let token = Token::generate(ACCOUNT, |bytes| for slot in bytes {
            *slot = next;
            next = next.wrapping_mul(5).wrapping_add(step | 1);
        });
        prop_assert!(Token::is_well_formed(token.reveal()));
    }

    #[test]
    fn a_set_holds_what_was_put_in(chosen in proptest::sample::subsequence(Scope::ALL.to_vec(), 0..=7)) {
        let set: Scopes = chosen.iter().copied().collect();
        prop_assert_eq!(set.iter().collect::<Vec<_>>(), chosen);
        prop_assert_eq!(Scopes::from_bits(set.bits()), set);
    }

    #[test]
    fn no_text_makes_the_check_panic(text in "(ptr_|ptrop_)?\\PC{0,60}") {
        prop_assert!(!Token::is_well_formed(&text) || text.starts_with("ptr"));
    }
}
