//! Signing secrets: their text form, and when they sign.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use postrider_model::secret::{SigningSecret, WebhookSecret};
use postrider_model::time::Timestamp;

fn text_of(bytes: &[u8]) -> String {
    format!("whsec_{}", STANDARD.encode(bytes))
}

#[test]
fn a_secret_has_24_to_75_bytes() {
    for length in 0..100 {
        let bytes = vec![0xa5; length];
        let fits = (24..=75).contains(&length);
        assert_eq!(SigningSecret::from_bytes(&bytes).is_ok(), fits, "{length} bytes");
        assert_eq!(SigningSecret::parse(&text_of(&bytes)).is_ok(), fits, "{length} bytes as text");
    }
}

#[test]
fn the_text_that_is_shown_leads_back_to_it() {
    let bytes: Vec<u8> = (0..32).collect();
    let secret = SigningSecret::from_bytes(&bytes).unwrap();
    assert_eq!(secret.as_bytes(), bytes);
    assert_eq!(secret.reveal().as_str(), "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    assert_eq!(SigningSecret::parse(&secret.reveal()), Ok(secret));
}

#[test]
fn what_is_no_base64_of_the_standard_alphabet_is_refused() {
    let bytes = [0xfb; 32];
    let good = text_of(&bytes);
    assert!(SigningSecret::parse(&good).is_ok());
    for bad in [
        String::new(),
        "whsec_".to_owned(),
        STANDARD.encode(bytes),
        format!("WHSEC_{}", STANDARD.encode(bytes)),
        format!("whsec_{}", STANDARD_NO_PAD.encode(bytes)),
        format!("whsec_{}", URL_SAFE.encode(bytes)),
        format!("{good} "),
        format!("{good}="),
        good.replacen('+', "%", 1),
        format!("whpk_{}", STANDARD.encode(bytes)),
    ] {
        assert!(SigningSecret::parse(&bad).is_err(), "{bad:?}");
    }
}

#[test]
fn what_is_wrong_with_a_secret_is_said_without_saying_it() {
    let text = "whsec_thisisnotasecretbutcouldbe!";
    let error = SigningSecret::parse(text).unwrap_err();
    assert_eq!(error.to_string(), "must be whsec_ and the base64 of 24 to 75 bytes");
}

#[test]
fn equal_bytes_are_equal_secrets() {
    let one = SigningSecret::from_bytes(&[1; 32]).unwrap();
    assert_eq!(one, one.clone());
    assert_ne!(one, SigningSecret::from_bytes(&[2; 32]).unwrap());
    assert_ne!(one, SigningSecret::from_bytes(&[1; 33]).unwrap());
}

#[test]
fn a_rotated_secret_signs_until_its_grace_ends() {
    let mut kept = WebhookSecret {
        secret: SigningSecret::from_bytes(&[1; 32]).unwrap(),
        expires_at: None,
    };
    assert!(kept.signs_at(Timestamp::from_millis(i64::MAX)));
    kept.expires_at = Some(Timestamp::from_millis(1_000));
    assert!(kept.signs_at(Timestamp::from_millis(999)));
    assert!(!kept.signs_at(Timestamp::from_millis(1_000)));
}
