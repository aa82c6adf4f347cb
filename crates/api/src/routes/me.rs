//! Who the caller is.

use http::StatusCode;
use postrider_model::key::{KeyOwner, Scope};
use schemars::JsonSchema;
use serde::Serialize;

use crate::answer::{self, Answer};
use crate::call::Call;
use crate::code::Code;
use crate::description::schema::field;
use crate::json::account::AccountJson;
use crate::json::key::KeyJson;

/// Who the caller is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Me")]
pub(crate) struct MeJson<'a> {
    /// Whether the key is the operator's.
    operator: bool,
    /// Null for a key that the server's configuration gives: no store has it.
    key: Option<KeyJson<'a>>,
    /// The account that it acts for; null for an operator's key that names none.
    account: Option<AccountJson<'a>>,
    /// What the key may do.
    #[schemars(schema_with = "field::scopes")]
    scopes: Vec<&'static str>,
}

/// `GET /me`
pub(crate) async fn show(call: Call) -> Answer {
    let caller = call.caller.as_ref().ok_or(Code::Unauthenticated)?;
    let key = &caller.credential.key.key;
    let me = MeJson {
        operator: key.owner == KeyOwner::Operator,
        key: caller.credential.key.is_stored().then(|| KeyJson::from(key)),
        account: caller.account.as_ref().map(|entry| AccountJson::from(&entry.snapshot.account)),
        scopes: caller.credential.scopes.iter().map(Scope::as_str).collect(),
    };
    answer::json(StatusCode::OK, &me)
}
