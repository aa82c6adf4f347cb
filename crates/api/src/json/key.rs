//! A key as it is shown.

use postrider_model::id::KeyId;
use postrider_model::key::{Key, Scope, Token};
use postrider_model::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::description::schema::field;

/// A bearer credential, of an account or of the operator.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Key")]
pub(crate) struct KeyJson<'a> {
    /// Its id; the client id of OAuth2.
    #[schemars(schema_with = "field::key_id")]
    id: KeyId,
    /// What people call it.
    #[schemars(extend("examples" = ["Warehouse"]))]
    name: &'a str,
    /// The last four characters of its token, to tell keys apart.
    #[schemars(extend("examples" = ["x7Qd"]))]
    hint: &'a str,
    /// What it may do.
    #[schemars(schema_with = "field::scopes")]
    scopes: Vec<&'static str>,
    /// When it was made.
    #[schemars(schema_with = "field::moment")]
    created_at: Timestamp,
    /// When it ends; null where it does not.
    #[schemars(schema_with = "field::moment_or_null")]
    expires_at: Option<Timestamp>,
    /// When it was last used, to the minute; null where it never was.
    #[schemars(schema_with = "field::moment_or_null")]
    last_used_at: Option<Timestamp>,
}

impl<'a> From<&'a Key> for KeyJson<'a> {
    fn from(key: &'a Key) -> Self {
        Self {
            id: key.id,
            name: &key.name,
            hint: &key.hint,
            scopes: key.scopes.iter().map(Scope::as_str).collect(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
        }
    }
}

/// A key that was just made, with its token.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeyWithToken")]
pub(crate) struct KeyWithTokenJson<'a> {
    #[serde(flatten)]
    key: KeyJson<'a>,
    /// What goes behind `Bearer` in the header `Authorization`. Shown this once and kept only as a hash.
    #[schemars(extend("examples" = ["ptr_…"]))]
    token: &'a str,
}

impl<'a> KeyWithTokenJson<'a> {
    pub(crate) fn new(key: &'a Key, token: &'a Token) -> Self {
        Self {
            key: KeyJson::from(key),
            token: token.reveal(),
        }
    }
}
