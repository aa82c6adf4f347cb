//! Signing secrets of webhooks: `whsec_` and base64, never printed.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::time::Timestamp;

/// What a secret begins with (Standard Webhooks 1.0).
pub const SECRET_PREFIX: &str = "whsec_";
/// Shortest key, in bytes (Standard Webhooks 1.0).
pub const SECRET_BYTES_MIN: usize = 24;
/// Longest key, in bytes.
pub const SECRET_BYTES_MAX: usize = 75;
/// Bytes of a key that we make.
pub const SECRET_BYTES_MADE: usize = 32;

/// A text that is no signing secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be whsec_ and the base64 of 24 to 75 bytes")]
pub struct SecretError;

/// A key that signs deliveries.
#[derive(Clone)]
pub struct SigningSecret {
    bytes: Zeroizing<Vec<u8>>,
}

impl SigningSecret {
    /// The secret of these bytes.
    ///
    /// # Errors
    /// `SecretError` where they are fewer than 24 or more than 75.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SecretError> {
        if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len()) {
            return Err(SecretError);
        }
        Ok(Self {
            bytes: Zeroizing::new(bytes.to_vec()),
        })
    }

    /// Reads `whsec_…`.
    ///
    /// # Errors
    /// `SecretError` where the prefix is missing, the rest is no base64, or its length is wrong.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix(SECRET_PREFIX).ok_or(SecretError)?;
        let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| SecretError)?);
        Self::from_bytes(&bytes)
    }

    /// The text to show once.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(&*self.bytes)))
    }

    /// The bytes, to be sealed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The key made ready for signing. It is made for each signature: kept, it would cost every cached webhook some 700 bytes.
    pub(crate) fn hmac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.bytes)
    }
}

impl PartialEq for SigningSecret {
    fn eq(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq as _;
        self.bytes.ct_eq(&other.bytes).into()
    }
}

impl Eq for SigningSecret {}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SigningSecret(***)")
    }
}

/// A secret of a webhook, and until when it signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSecret {
    /// The key.
    pub secret: SigningSecret,
    /// When it stops to sign, where a newer one has taken its place.
    pub expires_at: Option<Timestamp>,
}

impl WebhookSecret {
    /// Whether it signs at this time.
    pub fn signs_at(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}
