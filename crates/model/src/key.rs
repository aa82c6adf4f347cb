//! Bearer keys: their tokens, hashes and scopes.

use std::fmt;

use aws_lc_rs::{constant_time, digest};
use zeroize::Zeroizing;

use crate::id::{AccountId, KeyId};
use crate::time::Timestamp;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Scope {
    /// Read webhooks.
    WebhooksRead,
    /// Make, change, delete, test and rotate webhooks.
    WebhooksWrite,
    /// Read events.
    EventsRead,
    /// Post events.
    EventsWrite,
    /// Read deliveries and jobs.
    DeliveriesRead,
    /// Retry and recover deliveries, cancel jobs.
    DeliveriesWrite,
    /// Make and change accounts and keys: of the operator's keys only.
    AccountsAdmin,
}

impl Scope {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::WebhooksRead,
        Self::WebhooksWrite,
        Self::EventsRead,
        Self::EventsWrite,
        Self::DeliveriesRead,
        Self::DeliveriesWrite,
        Self::AccountsAdmin,
    ];

    /// As it is written in JSON and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebhooksRead => "webhooks:read",
            Self::WebhooksWrite => "webhooks:write",
            Self::EventsRead => "events:read",
            Self::EventsWrite => "events:write",
            Self::DeliveriesRead => "deliveries:read",
            Self::DeliveriesWrite => "deliveries:write",
            Self::AccountsAdmin => "accounts:admin",
        }
    }

    /// The scope of that name, where there is one.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// All that a key of an account can have.
    pub fn of_account() -> Self {
        Scope::ALL.into_iter().filter(|scope| *scope != Scope::AccountsAdmin).collect()
    }

    /// All that a key of the operator can have.
    pub fn of_operator() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// The set that a store kept as bits.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The set as bits, for a store.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether the set has it.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// Its members, in the order in which they are shown.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | (1 << scope as u8)))
    }
}

/// Whose a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyOwner {
    /// The platform's operator: may act for any account.
    Operator,
    /// One account.
    Account(AccountId),
}

/// A bearer key, without its token: that is shown once and kept only as a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its id; the client id of OAuth2.
    pub id: KeyId,
    /// Whose it is.
    pub owner: KeyOwner,
    /// What people call it.
    pub name: String,
    /// The last four characters of its token.
    pub hint: String,
    /// What it may do.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, if ever.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
}

impl Key {
    /// Whether it has ended at this time.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// What of a key is to change; `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyChange {
    /// A new name.
    pub name: Option<String>,
    /// New scopes.
    pub scopes: Option<Scopes>,
    /// A new end; `Some(None)` takes it away.
    pub expires_at: Option<Option<Timestamp>>,
}

/// SHA-256 of a token. Tokens carry 238 bits of chance, so a plain hash cannot be searched.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token's text.
    pub fn of(token: &str) -> Self {
        let mut bytes = [0u8; 32];
        let hash = digest::digest(&digest::SHA256, token.as_bytes());
        bytes.iter_mut().zip(hash.as_ref()).for_each(|(slot, byte)| *slot = *byte);
        Self(bytes)
    }

    /// The hash that a store kept.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Whether both are of the same token. How long it takes says nothing of how much they have in common.
    pub fn is_same(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }

    /// For a store to keep.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("TokenHash(***)")
    }
}

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const TOKEN_RANDOM_CHARS: usize = 40;
const TOKEN_CHECKSUM_CHARS: usize = 6;
const ACCOUNT_TOKEN_PREFIX: &str = "ptr_";
const OPERATOR_TOKEN_PREFIX: &str = "ptrop_";

/// A key's token: `ptr_` (the operator's `ptrop_`), 40 random base62 characters and 6 of checksum.
/// The checksum lets secret scanners and us tell a token from a slip of the finger without a look-up.
pub struct Token(Zeroizing<String>);

impl Token {
    /// A new token for a key of this owner; `fill` gives random bytes.
    pub fn generate(owner: KeyOwner, mut fill: impl FnMut(&mut [u8])) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(64));
        text.push_str(match owner {
            KeyOwner::Operator => OPERATOR_TOKEN_PREFIX,
            KeyOwner::Account(_) => ACCOUNT_TOKEN_PREFIX,
        });
        let end = text.len() + TOKEN_RANDOM_CHARS;
        let mut bytes = Zeroizing::new([0u8; 64]);
        while text.len() < end {
            fill(bytes.as_mut_slice());
            // 248 = 4 × 62: bytes above it would favour the first letters.
            let fair = bytes
                .iter()
                .filter(|byte| **byte < 248)
                .filter_map(|byte| BASE62.get(usize::from(byte % 62)));
            let room = end - text.len();
            text.extend(fair.take(room).map(|letter| char::from(*letter)));
        }
        let checksum = checksum(&text);
        text.push_str(&checksum);
        Self(text)
    }

    /// The token itself, to show it once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Its last four characters, for people to tell keys apart.
    pub fn hint(&self) -> String {
        let tail = self.0.len().saturating_sub(4);
        self.0.get(tail..).unwrap_or_default().to_owned()
    }

    /// Whether the text has the form of a token that we made, its checksum included.
    pub fn is_well_formed(text: &str) -> bool {
        let Some(random) = text
            .strip_prefix(OPERATOR_TOKEN_PREFIX)
            .or_else(|| text.strip_prefix(ACCOUNT_TOKEN_PREFIX))
        else {
            return false;
        };
        let Some(split) = text.len().checked_sub(TOKEN_CHECKSUM_CHARS) else {
            return false;
        };
        random.len() == TOKEN_RANDOM_CHARS + TOKEN_CHECKSUM_CHARS
            && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && text
                .get(..split)
                .is_some_and(|head| text.get(split..) == Some(checksum(head).as_str()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token(***)")
    }
}

/// Six base62 digits of the first 32 bits of SHA-256.
fn checksum(head: &str) -> String {
    let hash = TokenHash::of(head);
    let mut value = hash
        .as_bytes()
        .iter()
        .take(4)
        .fold(0u32, |value, byte| (value << 8) | u32::from(*byte));
    let mut digits = [0u8; TOKEN_CHECKSUM_CHARS];
    for slot in digits.iter_mut().rev() {
        *slot = BASE62.get((value % 62) as usize).copied().unwrap_or(b'0');
        value /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}
