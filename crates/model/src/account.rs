//! Accounts: who owns keys, webhooks, events and deliveries.

use crate::id::AccountId;
use crate::time::Timestamp;

/// One customer of the platform. It sees nothing of another account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Our id.
    pub id: AccountId,
    /// The platform's own id for it, unique where it is given.
    pub external_id: Option<String>,
    /// What people call it.
    pub name: String,
    /// Where false, its keys are refused and its deliveries wait.
    pub is_active: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
}

/// How a caller names an account: by our id or by the platform's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AccountRef {
    /// Our id.
    Id(AccountId),
    /// The platform's `external_id`.
    External(String),
}

impl AccountRef {
    /// What the text means: our id where it is one, an `external_id` otherwise.
    pub fn parse(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::External(text.to_owned()), Self::Id)
    }
}

/// What of an account is to change; `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// A new name.
    pub name: Option<String>,
    /// A new `external_id`; `Some(None)` empties it.
    pub external_id: Option<Option<String>>,
    /// Suspend or resume it.
    pub is_active: Option<bool>,
}
