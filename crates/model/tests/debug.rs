//! Nothing that carries a secret says it when it is printed.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use postrider_model::attempt::Outgoing;
use postrider_model::health::Health;
use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::key::{KeyOwner, Token, TokenHash};
use postrider_model::seal::SealKey;
use postrider_model::secret::{SigningSecret, WebhookSecret};
use postrider_model::time::Timestamp;
use postrider_model::url::{UrlPolicy, WebhookUrl};
use postrider_model::webhook::{Rotation, Webhook};

const BYTES: [u8; 32] = *b"a secret that nobody is to see!!";

fn secret() -> SigningSecret {
    SigningSecret::from_bytes(&BYTES).unwrap()
}

fn webhook() -> Webhook {
    Webhook {
        id: WebhookId::from_u128(1),
        account: AccountId::from_u128(2),
        url: WebhookUrl::parse("https://hooks.example.com/in", &UrlPolicy::default()).unwrap(),
        description: None,
        is_active: true,
        event_names: Vec::new(),
        secrets: vec![WebhookSecret {
            secret: secret(),
            expires_at: None,
        }],
        health: Health::Unproven,
        created_at: Timestamp::from_millis(0),
        modified_at: Timestamp::from_millis(0),
    }
}

/// Prints the value in both forms, and looks for the secret in each spelling that a careless `Debug` would give it.
fn assert_hides(value: &dyn Debug, bytes: &[u8], text: &str) {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let decimal: Vec<String> = bytes.iter().map(u8::to_string).collect();
    for shown in [format!("{value:?}"), format!("{value:#?}")] {
        let tight: String = shown.split_whitespace().collect();
        assert!(shown.contains("***"), "{shown}");
        assert!(!shown.contains(text), "{shown}");
        assert!(!tight.contains(&decimal.join(",")), "{shown}");
        assert!(!tight.to_lowercase().contains(&hex), "{shown}");
        assert!(!shown.contains(&STANDARD.encode(bytes)), "{shown}");
        assert!(!shown.contains(&*String::from_utf8_lossy(bytes)), "{shown}");
    }
}

#[test]
fn the_check_itself_finds_a_secret_that_prints() {
    for careless in [
        format!("{BYTES:?}"),
        format!("{BYTES:#?}"),
        format!("{:02x?}", String::from_utf8_lossy(&BYTES)),
    ] {
        let told = std::panic::catch_unwind(|| assert_hides(&format_args!("*** {careless}"), &BYTES, "whsec_"));
        assert!(told.is_err(), "{careless}");
    }
}

#[test]
fn signing_secrets_are_never_printed() {
    let text = secret().reveal();
    assert_hides(&secret(), &BYTES, &text);
    assert_hides(&webhook().secrets, &BYTES, &text);
    assert_hides(&webhook(), &BYTES, &text);
    let rotation = Rotation {
        secret: secret(),
        grace: Duration::ZERO,
    };
    assert_hides(&rotation, &BYTES, &text);
    let outgoing = Outgoing {
        delivery: DeliveryId::from_u128(3),
        event: None,
        number: 1,
        webhook: Arc::new(webhook()),
        body: Bytes::from_static(b"{}"),
    };
    assert_hides(&outgoing, &BYTES, &text);
}

#[test]
fn tokens_and_their_hashes_are_never_printed() {
    let token = Token::generate(KeyOwner::Operator, |bytes| bytes.fill(7));
    assert_hides(&token, token.reveal().as_bytes(), token.reveal());
    assert!(!format!("{token:?}").contains(&token.hint()));
    let hash = TokenHash::of(token.reveal());
    assert_hides(&hash, hash.as_bytes(), token.reveal());
}

#[test]
fn the_sealing_key_is_never_printed() {
    let key = SealKey::from_bytes(&BYTES).unwrap();
    assert_hides(&key, &BYTES, "a secret");
}
