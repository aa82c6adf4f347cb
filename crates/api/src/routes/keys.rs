//! Keys: those of an account, and the operator's own. Of the operator alone.

use std::ops::RangeInclusive;

use http::StatusCode;
use postrider_model::id::KeyId;
use postrider_model::key::{Key, KeyChange, KeyOwner, Scopes, Token, TokenHash};
use postrider_model::time::Timestamp;

use super::accounts;
use crate::answer::{self, Answer};
use crate::call::Call;
use crate::code::Code;
use crate::error::ApiError;
use crate::json::key::{KeyJson, KeyWithTokenJson};
use crate::page::{self, List};
use crate::params::{Fields, read_body};
use crate::readers::{text, texts};
use crate::rules::{self, ScopeOf};

/// How many scopes a list may have: all there are, each some times over.
const SCOPES: RangeInclusive<usize> = 1..=64;
const EXPIRES_AT: &str = "When it ends; it must lie in the future. Null: never.";

/// Whose keys the path speaks of: `/accounts/{id}/keys` those of an account, `/keys` the operator's own.
async fn owner(call: &Call) -> Result<KeyOwner, ApiError> {
    if !call.uri().path().starts_with("/accounts/") {
        return Ok(KeyOwner::Operator);
    }
    accounts::named(call).await.map(|account| KeyOwner::Account(account.id))
}

/// The key that the path names, in its last argument.
fn key_id(call: &Call) -> Result<KeyId, ApiError> {
    call.id(call.args.len().saturating_sub(1), Code::KeyNotFound)
}

fn scopes_of_kind(owner: KeyOwner) -> Scopes {
    match owner {
        KeyOwner::Operator => Scopes::of_operator(),
        KeyOwner::Account(_) => Scopes::of_account(),
    }
}

pub(crate) struct Draft {
    name: String,
    scopes: Scopes,
    expires_at: Option<Timestamp>,
}

pub(crate) fn read_draft(fields: &mut Fields<'_, '_, '_>, owner: KeyOwner, now: Timestamp) -> Option<Draft> {
    let all = scopes_of_kind(owner);
    let name = fields.required("name", text(rules::Label), "What people call it.");
    let scopes = fields.optional(
        "scopes",
        texts(SCOPES, ScopeOf(all)),
        "What it may do; all of its kind if left out.",
    );
    let expires_at = fields.nullable("expires_at", text(rules::FutureMoment(now)), EXPIRES_AT);
    Some(Draft {
        name: name?,
        scopes: scopes.map_or(all, |scopes| scopes.into_iter().collect()),
        expires_at: expires_at.flatten(),
    })
}

/// `POST /accounts/{id}/keys`, `POST /keys`: the token is shown this once.
pub(crate) async fn create(mut call: Call) -> Answer {
    let owner = owner(&call).await?;
    let now = call.now();
    let mut faults = call.take_faults();
    let draft = read_body(&call.body(), &mut faults, |fields| read_draft(fields, owner, now))?;
    let Draft { name, scopes, expires_at } = faults.settle(draft)?;
    let token = Token::generate(owner, |bytes| call.engine().random().fill(bytes));
    let key = Key {
        id: KeyId::new(now, call.bits()),
        owner,
        name,
        hint: token.hint(),
        scopes,
        created_at: now,
        expires_at,
        last_used_at: None,
    };
    if !call.engine().create_key(key.clone(), TokenHash::of(token.reveal())).await? {
        return Err(Code::AccountNotFound.into());
    }
    answer::secret_json(StatusCode::CREATED, &KeyWithTokenJson::new(&key, &token))
}

/// `GET /accounts/{id}/keys`, `GET /keys`
pub(crate) async fn list(mut call: Call) -> Answer {
    let owner = owner(&call).await?;
    let account = match owner {
        KeyOwner::Operator => String::new(),
        KeyOwner::Account(id) => id.to_string(),
    };
    let list = List {
        path: "/keys",
        owner: &account,
    };
    let (mut faults, mut query) = (call.take_faults(), std::mem::take(&mut call.query));
    let ask = page::ask(&list, &mut query, &mut faults);
    query.finish(&mut faults);
    faults.settle(Some(()))?;
    let found = call.engine().store().list_keys(owner, ask).await?;
    let rows: Vec<_> = found.rows.iter().map(KeyJson::from).collect();
    page::answer(&call, &list, &rows, found.next)
}

/// `GET /accounts/{id}/keys/{key}`, `GET /keys/{key}`
pub(crate) async fn show(call: Call) -> Answer {
    let owner = owner(&call).await?;
    let key = call.engine().store().key(owner, key_id(&call)?).await?;
    let key = key.ok_or(Code::KeyNotFound)?;
    answer::json(StatusCode::OK, &KeyJson::from(&key))
}

pub(crate) fn read_change(fields: &mut Fields<'_, '_, '_>, owner: KeyOwner, now: Timestamp) -> Option<KeyChange> {
    let scopes = fields.optional("scopes", texts(SCOPES, ScopeOf(scopes_of_kind(owner))), "What it may do.");
    Some(KeyChange {
        scopes: scopes.map(|scopes| scopes.into_iter().collect()),
        name: fields.optional("name", text(rules::Label), "What people call it."),
        expires_at: fields.nullable("expires_at", text(rules::FutureMoment(now)), EXPIRES_AT),
    })
}

/// `PUT /accounts/{id}/keys/{key}`, `PUT /keys/{key}`: what is left out stays.
pub(crate) async fn change(mut call: Call) -> Answer {
    let owner = owner(&call).await?;
    let id = key_id(&call)?;
    let now = call.now();
    let mut faults = call.take_faults();
    let change = read_body(&call.body(), &mut faults, |fields| read_change(fields, owner, now))?;
    let change = faults.settle(change)?;
    let key = call.engine().change_key(owner, id, change).await?;
    let key = key.ok_or(Code::KeyNotFound)?;
    answer::json(StatusCode::OK, &KeyJson::from(&key))
}

/// `DELETE /accounts/{id}/keys/{key}`, `DELETE /keys/{key}`
pub(crate) async fn delete(call: Call) -> Answer {
    let owner = owner(&call).await?;
    if call.engine().delete_key(owner, key_id(&call)?).await? {
        return Ok(answer::deleted());
    }
    Err(Code::KeyNotFound.into())
}
