//! Keys: those of an account, and the operator's own. Of the operator alone.

use std::ops::RangeInclusive;

use http::StatusCode;
use postrider_model::id::KeyId;
use postrider_model::key::{Key, KeyChange, KeyOwner, Scopes, Token, TokenHash};
use postrider_model::time::Timestamp;
use postrider_ports::once::{Write, Written};

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

/// Whether the path speaks of the keys of an account, `/accounts/{id}/keys`, or of the operator's own, `/keys`.
fn is_of_account(call: &Call) -> bool {
    call.uri().path().starts_with("/accounts/")
}

/// Whose keys the path speaks of.
async fn owner(call: &Call) -> Result<KeyOwner, ApiError> {
    if !is_of_account(call) {
        return Ok(KeyOwner::Operator);
    }
    accounts::named(call).await.map(|account| KeyOwner::Account(account.id))
}

/// The key that the path names, in its last argument.
fn key_id(call: &Call) -> Result<KeyId, ApiError> {
    call.id(call.args.len().saturating_sub(1), Code::KeyNotFound)
}

/// All that such a key can have.
fn scopes_of_kind(is_of_account: bool) -> Scopes {
    if is_of_account {
        Scopes::of_account()
    } else {
        Scopes::of_operator()
    }
}

pub(crate) struct Draft {
    name: String,
    scopes: Scopes,
    expires_at: Option<Timestamp>,
}

pub(crate) fn read_draft(fields: &mut Fields<'_, '_, '_>, all: Scopes, now: Timestamp) -> Option<Draft> {
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
    let (all, now) = (scopes_of_kind(is_of_account(&call)), call.now());
    let mut faults = call.take_faults();
    let draft = read_body(&call.body(), &mut faults, |fields| read_draft(fields, all, now))?;
    let Draft { name, scopes, expires_at } = faults.settle(draft)?;
    let owner = owner(&call).await?;
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
    let write = Write::CreateKey(key.clone(), TokenHash::of(token.reveal()));
    call.write(write, move |written| match written {
        Written::Key(true) => answer::secret_json(StatusCode::CREATED, &KeyWithTokenJson::new(&key, &token)),
        Written::Key(false) => Err(Code::AccountNotFound.into()),
        _ => Err(Code::InternalError.into()),
    })
    .await
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
    let ask = page::ask_alone(&mut call, &list)?;
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

pub(crate) fn read_change(fields: &mut Fields<'_, '_, '_>, all: Scopes, now: Timestamp) -> Option<KeyChange> {
    let scopes = fields.optional("scopes", texts(SCOPES, ScopeOf(all)), "What it may do.");
    Some(KeyChange {
        scopes: scopes.map(|scopes| scopes.into_iter().collect()),
        name: fields.optional("name", text(rules::Label), "What people call it."),
        expires_at: fields.nullable("expires_at", text(rules::FutureMoment(now)), EXPIRES_AT),
    })
}

/// `PUT /accounts/{id}/keys/{key}`, `PUT /keys/{key}`: what is left out stays.
pub(crate) async fn change(mut call: Call) -> Answer {
    let (all, now) = (scopes_of_kind(is_of_account(&call)), call.now());
    let mut faults = call.take_faults();
    let change = read_body(&call.body(), &mut faults, |fields| read_change(fields, all, now))?;
    let change = faults.settle(change)?;
    let (owner, id) = (owner(&call).await?, key_id(&call)?);
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
