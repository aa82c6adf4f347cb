//! An account as it is shown.

use postrider_model::account::Account;
use postrider_model::id::AccountId;
use postrider_model::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::description::schema::field;

/// One customer of the platform: it owns keys, webhooks, events and deliveries, and sees nothing of another account.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Account")]
pub(crate) struct AccountJson<'a> {
    /// Its id.
    #[schemars(schema_with = "field::account_id")]
    id: AccountId,
    /// The platform's own id of it; it stands for `id` wherever an account is named.
    #[schemars(extend("examples" = ["shop-17"]))]
    external_id: Option<&'a str>,
    /// What people call it.
    #[schemars(extend("examples" = ["Shop 17"]))]
    name: &'a str,
    /// Whether its keys may be used and its deliveries go out.
    is_active: bool,
    /// When it was made.
    #[schemars(schema_with = "field::moment")]
    created_at: Timestamp,
    /// When it last changed.
    #[schemars(schema_with = "field::moment")]
    modified_at: Timestamp,
}

impl<'a> From<&'a Account> for AccountJson<'a> {
    fn from(account: &'a Account) -> Self {
        Self {
            id: account.id,
            external_id: account.external_id.as_deref(),
            name: &account.name,
            is_active: account.is_active,
            created_at: account.created_at,
            modified_at: account.modified_at,
        }
    }
}
