//! A key as it is shown.

use postrider_model::id::KeyId;
use postrider_model::key::{Key, Scope, Token};
use postrider_model::time::Timestamp;
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct KeyJson<'a> {
    id: KeyId,
    name: &'a str,
    hint: &'a str,
    scopes: Vec<&'static str>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    /// Shown once, when the key is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
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
            token: None,
        }
    }
}

impl<'a> KeyJson<'a> {
    pub(crate) fn with_token(mut self, token: &'a Token) -> Self {
        self.token = Some(token.reveal());
        self
    }
}
