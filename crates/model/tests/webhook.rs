//! Webhooks: what they want, how they are changed, and how their secrets rotate.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::time::Duration;

use postrider_model::health::Health;
use postrider_model::id::{AccountId, WebhookId};
use postrider_model::limits::SECRETS_MAX;
use postrider_model::name::{EventName, EventNamePattern};
use postrider_model::secret::{SigningSecret, WebhookSecret};
use postrider_model::time::Timestamp;
use postrider_model::url::{UrlPolicy, WebhookUrl};
use postrider_model::webhook::{Rotation, TooManySecrets, Webhook, WebhookChange};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn url(text: &str) -> WebhookUrl {
    WebhookUrl::parse(text, &UrlPolicy::default()).unwrap()
}

fn secret(byte: u8) -> SigningSecret {
    SigningSecret::from_bytes(&[byte; 32]).unwrap()
}

fn webhook() -> Webhook {
    Webhook {
        id: WebhookId::from_u128(1),
        account: AccountId::from_u128(2),
        url: url("https://hooks.example.com/in"),
        description: Some("till".to_owned()),
        is_active: true,
        event_names: Vec::new(),
        secrets: vec![WebhookSecret {
            secret: secret(0),
            expires_at: None,
        }],
        health: Health::Well,
        created_at: at(0),
        modified_at: at(0),
    }
}

fn rotate(webhook: Webhook, byte: u8, grace: Duration, now: Timestamp) -> Result<Webhook, TooManySecrets> {
    let secret = secret(byte);
    Rotation { secret, grace }.apply(webhook, now)
}

/// The first byte of each secret that signs, newest first.
fn signing(webhook: &Webhook, now: Timestamp) -> Vec<u8> {
    webhook.signing_secrets(now).map(|secret| secret.as_bytes()[0]).collect()
}

#[test]
fn without_names_it_wants_all_that_happens() {
    let mut webhook = webhook();
    let filled = EventName::parse("order.filled").unwrap();
    assert!(webhook.wants(&filled));
    webhook.event_names = vec![
        EventNamePattern::parse("invoice").unwrap(),
        EventNamePattern::parse("order.*").unwrap(),
    ];
    assert!(webhook.wants(&filled));
    assert!(!webhook.wants(&EventName::parse("order").unwrap()));
    assert!(!webhook.wants(&EventName::parse("invoice.paid").unwrap()));
}

#[test]
fn while_it_is_not_active_it_wants_nothing() {
    let mut webhook = webhook();
    webhook.is_active = false;
    assert!(!webhook.wants(&EventName::parse("order.filled").unwrap()));
}

#[test]
fn what_a_change_leaves_out_stays() {
    let before = webhook();
    let after = WebhookChange::default().apply(before.clone(), at(9));
    assert_eq!(after.url.as_str(), before.url.as_str());
    assert_eq!(after.description, before.description);
    assert_eq!(after.is_active, before.is_active);
    assert_eq!(after.event_names, before.event_names);
    assert_eq!(after.secrets, before.secrets);
    assert_eq!(after.health, before.health);
    assert_eq!((after.created_at, after.modified_at), (at(0), at(9)));
}

#[test]
fn a_change_can_set_every_field_and_empty_the_description() {
    let pattern = EventNamePattern::parse("order.*").unwrap();
    let change = WebhookChange {
        url: Some(url("https://other.example.com/in")),
        description: Some(None),
        is_active: Some(false),
        event_names: Some(vec![pattern.clone()]),
    };
    let after = change.apply(webhook(), at(9));
    assert_eq!(after.url.as_str(), "https://other.example.com/in");
    assert_eq!(after.description, None);
    assert!(!after.is_active);
    assert_eq!(after.event_names, [pattern]);
}

#[test]
fn another_url_is_another_receiver_of_which_nothing_is_known() {
    let change = |text| WebhookChange {
        url: Some(url(text)),
        ..WebhookChange::default()
    };
    let moved = change("https://other.example.com/in").apply(webhook(), at(9));
    assert_eq!(moved.health, Health::Unproven);
    let same = change("https://hooks.example.com/in").apply(webhook(), at(9));
    assert_eq!(same.health, Health::Well);
}

#[test]
fn while_secrets_rotate_both_sign_until_the_grace_ends() {
    let rotated = rotate(webhook(), 1, DAY, at(10)).unwrap();
    assert_eq!(rotated.modified_at, at(10));
    assert_eq!(signing(&rotated, at(10)), [1, 0]);
    let end = at(10) + DAY;
    assert_eq!(signing(&rotated, end - Duration::from_millis(1)), [1, 0]);
    assert_eq!(signing(&rotated, end), [1]);
}

#[test]
fn without_a_grace_the_older_ones_end_at_once() {
    let rotated = rotate(webhook(), 1, DAY, at(10)).unwrap();
    let rotated = rotate(rotated, 2, Duration::ZERO, at(11)).unwrap();
    assert_eq!(signing(&rotated, at(11)), [2]);
    assert_eq!(rotated.secrets.len(), 1, "what no longer signs is not kept");
}

#[test]
fn five_secrets_sign_and_a_sixth_is_refused() {
    let mut webhook = webhook();
    for byte in 1..5 {
        webhook = rotate(webhook, byte, DAY, at(i64::from(byte))).unwrap();
    }
    assert_eq!(signing(&webhook, at(5)), [4, 3, 2, 1, 0]);
    assert_eq!(webhook.secrets.len(), SECRETS_MAX);
    let error = rotate(webhook.clone(), 5, DAY, at(6)).unwrap_err();
    assert_eq!(error.to_string(), "the webhook has 5 secrets that still sign");
    let rotated = rotate(webhook, 5, Duration::ZERO, at(6)).unwrap();
    assert_eq!(signing(&rotated, at(6)), [5]);
}

#[test]
fn secrets_that_have_ended_are_dropped_and_make_room() {
    let mut webhook = webhook();
    for byte in 1..5 {
        webhook = rotate(webhook, byte, Duration::from_secs(10), at(i64::from(byte))).unwrap();
    }
    // At 11 s the first has ended: it was to go ten seconds after the rotation at 1 s.
    let rotated = rotate(webhook, 5, DAY, at(11)).unwrap();
    assert_eq!(signing(&rotated, at(11)), [5, 4, 3, 2, 1]);
    assert_eq!(rotated.secrets.len(), SECRETS_MAX);
}

#[test]
fn a_later_rotation_never_lets_an_older_secret_sign_longer() {
    let rotated = rotate(webhook(), 1, Duration::from_secs(10), at(0)).unwrap();
    let rotated = rotate(rotated, 2, DAY, at(5)).unwrap();
    assert_eq!(signing(&rotated, at(9)), [2, 1, 0]);
    assert_eq!(signing(&rotated, at(10)), [2, 1]);
    let sooner = rotate(rotated, 3, Duration::from_secs(1), at(6)).unwrap();
    assert_eq!(signing(&sooner, at(7)), [3]);
}
