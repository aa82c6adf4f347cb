//! Access tokens: JWTs (RFC 7519) by which a key acts for a quarter of an hour without showing its own token.

use std::fmt;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use postrider_model::id::KeyId;
use postrider_model::key::{Scope, Scopes};
use postrider_model::time::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::code::Code;
use crate::error::ApiError;

/// How long an access token lives.
pub(crate) const ACCESS_TOKEN_TIME: Duration = Duration::from_secs(15 * 60);
/// Bytes of the key that signs access tokens.
pub const TOKEN_KEY_BYTES: usize = 32;
/// Longest text that is looked at as one: ours have some 400 bytes.
const TOKEN_BYTES_MAX: usize = 2_048;

/// The key that signs access tokens. Whoever has it can make them for any key.
#[derive(Clone)]
pub struct TokenKey(Zeroizing<[u8; TOKEN_KEY_BYTES]>);

impl TokenKey {
    /// What it is derived for, where it comes from another key.
    pub const PURPOSE: &'static str = "access tokens";

    /// The key of these bytes.
    pub const fn new(bytes: Zeroizing<[u8; TOKEN_KEY_BYTES]>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("TokenKey(***)")
    }
}

/// What an access token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// For which key it acts.
    pub(crate) key: KeyId,
    /// What it may do, as far as the key still may.
    pub(crate) scopes: Scopes,
    /// When it ends.
    pub(crate) ends_at: Timestamp,
}

/// The claims of a token, by their names in RFC 7519 and RFC 8693.
#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    scope: String,
    iat: i64,
    exp: i64,
}

/// Makes access tokens and reads them.
pub(crate) struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    rules: Validation,
}

impl Tokens {
    pub(crate) fn new(key: &TokenKey) -> Self {
        // RFC 8725 §3.1: the algorithm is ours to say, whatever the token's header does.
        let mut rules = Validation::new(Algorithm::HS256);
        // Judged by our own clock, where the token is read.
        rules.validate_exp = false;
        rules.set_required_spec_claims(&["sub", "exp"]);
        Self {
            encoding: EncodingKey::from_secret(key.0.as_slice()),
            decoding: DecodingKey::from_secret(key.0.as_slice()),
            rules,
        }
    }

    /// The text of a token; `ends_at` is kept to the second.
    pub(crate) fn make(&self, grant: &Grant, now: Timestamp) -> Result<String, ApiError> {
        let claims = Claims {
            sub: grant.key.to_string(),
            scope: scope_list(grant.scopes),
            iat: now.as_seconds(),
            exp: grant.ends_at.as_seconds(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding).map_err(|error| {
            tracing::error!(%error, "an access token could not be made");
            Code::InternalError.into()
        })
    }

    /// What a token of ours says, ended or not; `None` where the text is no such token.
    pub(crate) fn read(&self, text: &str) -> Option<Grant> {
        if text.len() > TOKEN_BYTES_MAX || text.bytes().filter(|byte| *byte == b'.').count() != 2 {
            return None;
        }
        let claims = jsonwebtoken::decode::<Claims>(text, &self.decoding, &self.rules).ok()?.claims;
        Some(Grant {
            key: claims.sub.parse().ok()?,
            scopes: claims.scope.split(' ').filter_map(Scope::parse).collect(),
            ends_at: Timestamp::from_millis(claims.exp.checked_mul(1_000)?),
        })
    }
}

/// Scopes as OAuth2 writes them (RFC 6749 §3.3).
pub(crate) fn scope_list(scopes: Scopes) -> String {
    let names: Vec<&str> = scopes.iter().map(Scope::as_str).collect();
    names.join(" ")
}
