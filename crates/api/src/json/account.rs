//! An account as it is shown.

use postrider_model::account::Account;
use postrider_model::id::AccountId;
use postrider_model::time::Timestamp;
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct AccountJson<'a> {
    id: AccountId,
    external_id: Option<&'a str>,
    name: &'a str,
    is_active: bool,
    created_at: Timestamp,
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
