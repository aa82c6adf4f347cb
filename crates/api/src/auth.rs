//! Who asks, and whether they may.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, header};
use postrider_engine::{AccountEntry, Engine};
use postrider_model::account::{Account, AccountRef};
use postrider_model::key::{KeyOwner, Scope};

use crate::api::Shared;
use crate::call::{Caller, Credential};
use crate::code::Code;
use crate::error::ApiError;
use crate::route::Access;

/// Says for which account an operator key acts.
const ACCOUNT_ID: HeaderName = HeaderName::from_static("account-id");

/// The caller of a request to a route with this access; `None` where the route is open to anybody, or is that of clients: those are
/// in the body.
///
/// # Errors
/// The token is missing or not valid, or its key may not do this.
pub(crate) async fn admit(shared: &Shared, access: Access, headers: &HeaderMap) -> Result<Option<Caller>, ApiError> {
    let engine = &shared.engine;
    let scope = match access {
        Access::Open | Access::Client => return Ok(None),
        Access::AnyKey => None,
        Access::Scope(scope) => Some(scope),
    };
    let credential = authenticate(shared, headers).await?;
    let key = &credential.key.key;
    let account = own_account(engine, key.owner).await?;
    if let Some(account) = &account {
        may_use(&account.snapshot.account, headers)?;
    }
    if let Some(scope) = scope.filter(|scope| !may(&credential, *scope)) {
        return Err(ApiError::insufficient_scope(scope));
    }
    let account = match account {
        Some(account) => Some(account),
        None => named_account(engine, scope, headers).await?,
    };
    Ok(Some(Caller { credential, account }))
}

/// The account whose key it is; `None` for the operator's.
pub(crate) async fn own_account(engine: &Engine, owner: KeyOwner) -> Result<Option<Arc<AccountEntry>>, ApiError> {
    match owner {
        KeyOwner::Account(id) => Ok(Some(engine.account(id).await?.ok_or(Code::InvalidToken)?)),
        KeyOwner::Operator => Ok(None),
    }
}

/// By what a caller is known: a key's own token, or an access token of the key.
async fn authenticate(shared: &Shared, headers: &HeaderMap) -> Result<Credential, ApiError> {
    let engine = &shared.engine;
    let token = bearer(headers).ok_or(Code::Unauthenticated)?;
    match engine.authenticate(token).await? {
        Some(key) => current(engine, Credential::of_key(key)),
        None => {
            let grant = shared.tokens.read(token).ok_or(Code::InvalidToken)?;
            // Dead with its key, whatever it says itself.
            let key = Box::pin(engine.key_by_id(grant.key)).await?.ok_or(Code::InvalidToken)?;
            current(engine, Credential::of_grant(key, &grant))
        }
    }
}

fn current(engine: &Engine, credential: Credential) -> Result<Credential, ApiError> {
    // Only few keys end: the clock is asked for those alone.
    if credential.ends_at.is_some_and(|end| end <= engine.clock().wall()) {
        return Err(Code::ExpiredToken.into());
    }
    Ok(credential)
}

/// RFC 9110 §11.1: the scheme's case means nothing, and one space or more follows it.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Administration is the operator's alone, whatever the scopes of a key say.
fn may(credential: &Credential, scope: Scope) -> bool {
    let is_owner = scope != Scope::AccountsAdmin || credential.key.key.owner == KeyOwner::Operator;
    is_owner && credential.scopes.contains(scope)
}

/// Whether an account's own key may be used: the account is active, and `Account-Id` does not name another.
fn may_use(account: &Account, headers: &HeaderMap) -> Result<(), ApiError> {
    if !account.is_active {
        return Err(Code::AccountInactive.into());
    }
    let is_own = match named(headers) {
        None => true,
        Some(Ok(AccountRef::Id(id))) => id == account.id,
        Some(Ok(AccountRef::External(external))) => account.external_id.as_ref() == Some(&external),
        Some(Err(error)) => return Err(error),
    };
    if is_own { Ok(()) } else { Err(Code::AccountMismatch.into()) }
}

/// The account that an operator key acts for: every route of an account needs one.
async fn named_account(engine: &Engine, scope: Option<Scope>, headers: &HeaderMap) -> Result<Option<Arc<AccountEntry>>, ApiError> {
    if scope == Some(Scope::AccountsAdmin) {
        return Ok(None);
    }
    match named(headers) {
        Some(account) => {
            let account = engine.resolve_account(&account?).await?;
            account.map(Some).ok_or_else(|| Code::AccountNotFound.into())
        }
        None if scope.is_none() => Ok(None),
        None => Err(ApiError::account_required()),
    }
}

/// What `Account-Id` says. An external_id may hold any letter, so it is read as UTF-8.
pub(crate) fn named(headers: &HeaderMap) -> Option<Result<AccountRef, ApiError>> {
    let value = headers.get(ACCOUNT_ID)?;
    let text = std::str::from_utf8(value.as_bytes());
    Some(text.map(AccountRef::parse).map_err(|_| Code::AccountNotFound.into()))
}
