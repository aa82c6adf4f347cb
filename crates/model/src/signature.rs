//! Signatures of deliveries (Standard Webhooks 1.0, symmetric: `v1`).

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::id::DeliveryId;
use crate::secret::SigningSecret;
use crate::time::Timestamp;

/// Base64 of 32 bytes, behind `v1,`.
const SIGNATURE_CHARS: usize = 3 + 44;

/// The value of `Webhook-Signature`: one `v1,BASE64` for each secret, parted by spaces. Each is
/// HMAC-SHA256 over `{Webhook-Id}.{Webhook-Timestamp}.{body}`.
pub fn sign<'a>(secrets: impl Iterator<Item = &'a SigningSecret>, id: DeliveryId, timestamp: Timestamp, body: &[u8]) -> String {
    let mut head = String::with_capacity(64);
    id.push_to(&mut head);
    // Writing to a String cannot fail.
    let _ = write!(head, ".{}.", timestamp.as_seconds());
    let mut value = String::with_capacity(SIGNATURE_CHARS + 1);
    for secret in secrets {
        if !value.is_empty() {
            value.push(' ');
        }
        let mut context = hmac::Context::with_key(&secret.hmac());
        context.update(head.as_bytes());
        context.update(body);
        value.push_str("v1,");
        STANDARD.encode_string(context.sign(), &mut value);
    }
    value
}
