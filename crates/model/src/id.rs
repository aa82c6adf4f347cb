//! Ids: a prefix that names the kind, and 128 bits written in 26 characters of base 32.
//!
//! The first 48 bits are the time in milliseconds, so that rows made together lie together in a
//! B-tree. Nothing relies on their order.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::digest;
use serde::{Serialize, Serializer};

use crate::time::Timestamp;

/// Crockford's alphabet in lower case: sorts like the number, has no i, l, o, u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 128 bits in groups of five.
const TEXT_LEN: usize = 26;
/// Longest id in text, of ours or of a caller's.
pub const ID_CHARS_MAX: usize = 255;

/// A text that is no id of the kind that was asked for. Callers answer it like an id that is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id that begins with {prefix:?}")]
pub struct IdError {
    /// The prefix that was expected.
    pub prefix: &'static str,
}

fn digit(byte: u8) -> Option<u128> {
    ALPHABET.iter().position(|letter| *letter == byte).map(|value| value as u128)
}

fn encode(value: u128, out: &mut [u8; TEXT_LEN]) {
    for (place, slot) in out.iter_mut().enumerate() {
        let shift = (TEXT_LEN - 1 - place) * 5;
        let index = ((value >> shift) & 31) as usize;
        *slot = ALPHABET.get(index).copied().unwrap_or(b'0');
    }
}

fn decode(text: &str) -> Option<u128> {
    let bytes = text.as_bytes();
    // 26 × 5 = 130 bits: the first letter may carry only three.
    if bytes.len() != TEXT_LEN || bytes.first().is_none_or(|first| *first > b'7') {
        return None;
    }
    bytes.iter().try_fold(0u128, |value, byte| Some((value << 5) | digit(*byte)?))
}

/// The 128 bits of a new id: RFC 9562's UUID version 7 of this time and these random bits.
fn time_ordered(now: Timestamp, random: u128) -> u128 {
    let bytes = random.to_be_bytes();
    let mut tail = [0u8; 10];
    tail.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = byte);
    uuid::Builder::from_unix_timestamp_millis(now.as_millis().max(0).unsigned_abs(), &tail)
        .into_uuid()
        .as_u128()
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id of this moment; `random` gives its last 74 bits.
            pub fn new(now: Timestamp, random: u128) -> Self {
                Self(time_ordered(now, random))
            }

            /// The moment that it was made at, where it was made by `new`.
            pub const fn made_at(self) -> Timestamp {
                Timestamp::from_millis((self.0 >> 80) as i64)
            }

            /// The id that these 128 bits stand for (what a store kept).
            pub const fn from_u128(value: u128) -> Self {
                Self(value)
            }

            /// The 128 bits, for a store to keep.
            pub const fn as_u128(self) -> u128 {
                self.0
            }

            /// Writes the text form behind what `out` holds.
            pub fn push_to(self, out: &mut String) {
                let mut text = [0u8; TEXT_LEN];
                encode(self.0, &mut text);
                out.push_str(Self::PREFIX);
                out.extend(text.iter().map(|byte| char::from(*byte)));
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = String::with_capacity(Self::PREFIX.len() + TEXT_LEN);
                self.push_to(&mut text);
                out.write_str(&text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, out)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(Self::PREFIX).and_then(decode).map(Self).ok_or(IdError { prefix: Self::PREFIX })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

id_type!(/// Names an account: one customer of the platform.
    AccountId, "acc_");
id_type!(/// Names a webhook: a registered url of an account.
    WebhookId, "wh_");
id_type!(/// Names a delivery; it goes over the wire as `Webhook-Id`, the same on every attempt.
    DeliveryId, "whd_");
id_type!(/// Names one attempt of a delivery.
    AttemptId, "wha_");
id_type!(/// Names a key, of the operator or of an account.
    KeyId, "key_");
id_type!(/// Names a background job.
    JobId, "job_");
id_type!(/// Names a node: one run of a server among those that share a store.
    NodeId, "node_");

impl NodeId {
    /// The id of the node that holds its slots by this token: of a hash of it, for the token itself is for nobody else to see.
    pub fn of_token(token: u128) -> Self {
        let hash = digest::digest(&digest::SHA256, &token.to_be_bytes());
        let bits = hash
            .as_ref()
            .iter()
            .take(16)
            .fold(0u128, |bits, byte| (bits << 8) | u128::from(*byte));
        Self(bits)
    }
}
id_type!(/// The id that we make for an event whose caller gave none.
    MadeEventId, "evt_");
id_type!(/// The id of the event in the body of a test delivery, which no read of events knows.
    TestEventId, "evt_test_");

/// Names an event within its account: ours, a caller's own, or that of a test delivery's body.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventId {
    /// Made by us, unique over all time.
    Made(MadeEventId),
    /// The caller's own, unique within its account while the event is kept.
    Own(Arc<str>),
    /// In the body of a test delivery.
    Test(TestEventId),
}

impl EventId {
    /// A new id of ours.
    pub fn new(now: Timestamp, random: u128) -> Self {
        Self::Made(MadeEventId::new(now, random))
    }

    /// A caller's own id: 1 to 255 of `[A-Za-z0-9_.:-]`, first a letter or digit, not starting with `evt_`.
    ///
    /// # Errors
    /// `None` where the text breaks that rule.
    pub fn own(text: &str) -> Option<Self> {
        let first_ok = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let rest_ok = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte));
        (first_ok && rest_ok && text.len() <= ID_CHARS_MAX && !text.starts_with("evt_")).then(|| Self::Own(Arc::from(text)))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made(id) => fmt::Display::fmt(id, out),
            Self::Own(id) => out.write_str(id),
            Self::Test(id) => fmt::Display::fmt(id, out),
        }
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for EventId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.starts_with(TestEventId::PREFIX) {
            return text.parse().map(Self::Test);
        }
        if text.starts_with(MadeEventId::PREFIX) {
            return text.parse().map(Self::Made);
        }
        Self::own(text).ok_or(IdError {
            prefix: MadeEventId::PREFIX,
        })
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
