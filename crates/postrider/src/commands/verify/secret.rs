//! How a secret can be read as a key: the right way first, then the ways in which code gets it wrong.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use postrider_model::secret::{SECRET_BYTES_MAX, SECRET_BYTES_MIN, SECRET_PREFIX};
use zeroize::Zeroizing;

use super::finding::Finding;

/// One reading of the secret as bytes of a key.
#[derive(Clone)]
pub(super) struct KeyReading {
    /// The bytes.
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// How this departs from the right way; `None` for the right one.
    pub(super) departure: Option<Finding>,
}

/// A secret that was given.
pub(super) struct Secret {
    /// The right reading, then the wrong ones.
    pub(super) readings: Vec<KeyReading>,
    /// What is odd about its text.
    pub(super) notes: Vec<Finding>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(***)")
    }
}

impl Secret {
    /// Reads it.
    ///
    /// # Errors
    /// Why it is none, in words that go on behind "the secret".
    pub(super) fn parse(given: &str) -> Result<Self, String> {
        let text = given.trim();
        refuse_other_kinds(text)?;
        let mut notes = Vec::new();
        let encoded = text.strip_prefix(SECRET_PREFIX).unwrap_or_else(|| {
            notes.push(Finding::note(
                "secret_without_prefix",
                "the secret was given without whsec_ before it",
                "nothing: it was read as if it stood there",
            ));
            text
        });
        let bytes = decode(encoded, &mut notes)?;
        if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len()) {
            return Err(format!(
                "has {} bytes behind its base64, and must have {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}: is all of it there?",
                bytes.len()
            ));
        }
        let right = KeyReading {
            bytes: Zeroizing::new(bytes),
            departure: None,
        };
        let mut readings = vec![right];
        readings.extend(wrong_readings(encoded));
        Ok(Self { readings, notes })
    }
}

fn refuse_other_kinds(text: &str) -> Result<(), String> {
    let problem = match text {
        "" => "is empty",
        _ if text.starts_with("ptr_") || text.starts_with("ptrop_") => {
            "is the token of a key of the API; a webhook's signing secret begins with whsec_"
        }
        _ if text.starts_with("whsk_") || text.starts_with("whpk_") => {
            "is of an asymmetric key (v1a); a webhook's signing secret begins with whsec_"
        }
        _ if text.contains('…') || text.contains("...") => "is cut short: give all of it",
        _ if text.contains("***") => "is masked: give the one that was shown when the webhook was made",
        _ => return Ok(()),
    };
    Err(problem.to_owned())
}

fn decode(encoded: &str, notes: &mut Vec<Finding>) -> Result<Vec<u8>, String> {
    if let Ok(bytes) = STANDARD.decode(encoded) {
        return Ok(bytes);
    }
    let other = [
        (&STANDARD_NO_PAD, "has no = at its end, where base64 is padded"),
        (&URL_SAFE, "is written in the url-safe alphabet of base64 (- and _ for + and /)"),
        (
            &URL_SAFE_NO_PAD,
            "is written in the url-safe alphabet of base64 (- and _ for + and /), without padding",
        ),
    ];
    for (engine, what) in other {
        if let Ok(bytes) = engine.decode(encoded) {
            notes.push(Finding::note(
                "secret_encoding",
                format!("the secret {what}"),
                "give it to libraries as it was shown: many refuse this",
            ));
            return Ok(bytes);
        }
    }
    let is_base64 = |letter: char| letter.is_ascii_alphanumeric() || "+/=-_".contains(letter);
    Err(match encoded.chars().position(|letter| !is_base64(letter)) {
        Some(place) => format!("is no base64 behind whsec_: character {} cannot stand in it", place + 1),
        None => "is no base64 behind whsec_: is all of it there?".to_owned(),
    })
}

/// The keys that code uses by mistake.
fn wrong_readings(encoded: &str) -> Vec<KeyReading> {
    const DECODE: &str = "the key of the HMAC is what base64-decoding the secret gives, behind whsec_; libraries of Standard Webhooks take the text and do it themselves";
    let whole = format!("{SECRET_PREFIX}{encoded}");
    let reading = |bytes: Vec<u8>, code, detail: &str, advice: &str| KeyReading {
        bytes: Zeroizing::new(bytes),
        departure: Some(Finding::wrong(code, detail, advice)),
    };
    let mut readings = vec![
        reading(
            whole.clone().into_bytes(),
            "secret_used_as_text",
            "the signature was made with the text whsec_… itself as the key, not with the bytes that it stands for",
            DECODE,
        ),
        reading(
            encoded.as_bytes().to_vec(),
            "secret_used_as_text",
            "the signature was made with the text behind whsec_ as the key: whsec_ was taken off, but the rest not decoded from base64",
            DECODE,
        ),
        reading(
            Vec::new(),
            "secret_empty",
            "the signature was made with an empty key",
            "look whether the variable or setting that should hold the secret is set where the code runs",
        ),
    ];
    for end in ["\n", "\r\n"] {
        for text in [&whole, encoded] {
            readings.push(reading(
                format!("{text}{end}").into_bytes(),
                "secret_used_as_text",
                "the signature was made with the secret's text and the line break behind it as the key",
                "take white space off what is read from a file; and decode it from base64, behind whsec_",
            ));
        }
    }
    if let Some(bytes) = decode_leniently(&whole) {
        readings.push(reading(
            bytes,
            "secret_prefix_decoded",
            "the signature was made with whsec_ decoded from base64 along with the rest",
            "take whsec_ off before decoding",
        ));
    }
    readings
}

/// As decoders do that take both alphabets, no padding, and bits left over at the end.
fn decode_leniently(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let plain = text.trim_end_matches('=').replace('_', "/").replace('-', "+");
    let whole_chars = if plain.len() % 4 == 1 { plain.len() - 1 } else { plain.len() };
    GeneralPurpose::new(&alphabet::STANDARD, config)
        .decode(plain.get(..whole_chars)?)
        .ok()
}
