//! Who the caller is.

use http::StatusCode;
use postrider_model::key::{KeyOwner, Scope};
use serde::Serialize;

use crate::answer::{self, Answer};
use crate::call::Call;
use crate::code::Code;
use crate::json::account::AccountJson;
use crate::json::key::KeyJson;

#[derive(Serialize)]
struct MeJson<'a> {
    operator: bool,
    /// Null for a key that the server's configuration gives: no store has it.
    key: Option<KeyJson<'a>>,
    account: Option<AccountJson<'a>>,
    scopes: Vec<&'static str>,
}

/// `GET /me`
pub(crate) async fn show(call: Call) -> Answer {
    let caller = call.caller.as_ref().ok_or(Code::Unauthenticated)?;
    let key = &caller.key.key;
    let is_stored = key.id.as_u128() != 0;
    let me = MeJson {
        operator: key.owner == KeyOwner::Operator,
        key: is_stored.then(|| KeyJson::from(key)),
        account: caller.account.as_ref().map(|entry| AccountJson::from(&entry.snapshot.account)),
        scopes: key.scopes.iter().map(Scope::as_str).collect(),
    };
    answer::json(StatusCode::OK, &me)
}
