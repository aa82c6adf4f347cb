//! One request, checked and read, as a handler gets it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Uri};
use postrider_engine::{AccountEntry, Engine, KnownKey};
use postrider_model::id::AccountId;
use postrider_model::key::{KeyOwner, Scopes};
use postrider_model::time::Timestamp;
use postrider_ports::once::{Once, Write, Written};

use crate::answer::Answer;
use crate::api::{ApiOptions, Shared};
use crate::auth;
use crate::body::Collected;
use crate::code::Code;
use crate::error::ApiError;
use crate::fault::Faults;
use crate::idempotency::{Keyed, Render};
use crate::query::Query;
use crate::route::{Access, Args};
use crate::tokens::Grant;

/// By what a caller is known.
#[derive(Clone)]
pub(crate) struct Credential {
    pub(crate) key: Arc<KnownKey>,
    /// What it may do: all that its key may, or the part of it that an access token was given.
    pub(crate) scopes: Scopes,
    /// When it ends, if ever.
    pub(crate) ends_at: Option<Timestamp>,
}

impl Credential {
    /// The key's own token.
    pub(crate) fn of_key(key: Arc<KnownKey>) -> Self {
        Self {
            scopes: key.key.scopes,
            ends_at: key.key.expires_at,
            key,
        }
    }

    /// An access token of the key.
    pub(crate) fn of_grant(key: Arc<KnownKey>, grant: &Grant) -> Self {
        let of_key = Self::of_key(key);
        Self {
            scopes: of_key.scopes.iter().filter(|scope| grant.scopes.contains(*scope)).collect(),
            ends_at: Some(of_key.ends_at.map_or(grant.ends_at, |end| end.min(grant.ends_at))),
            key: of_key.key,
        }
    }
}

/// Who asks.
pub(crate) struct Caller {
    pub(crate) credential: Credential,
    /// The account that it acts for.
    pub(crate) account: Option<Arc<AccountEntry>>,
}

impl Caller {
    /// Whose work it does: that of the account that it acts for, else the operator's own.
    pub(crate) fn acts_for(&self) -> KeyOwner {
        let account = self.account.as_ref();
        account.map_or(KeyOwner::Operator, |entry| KeyOwner::Account(entry.snapshot.account.id))
    }
}

/// A request on its way through a handler.
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    pub(crate) access: Access,
    pub(crate) headers: HeaderMap,
    pub(crate) uri: Uri,
    pub(crate) args: Args,
    pub(crate) caller: Option<Caller>,
    pub(crate) body: Collected,
    /// What was found wrong before the handler: it adds its own.
    pub(crate) faults: Faults,
    pub(crate) query: Query,
    /// Where the request has an idempotency key.
    pub(crate) keyed: Option<Arc<Keyed>>,
}

impl Call {
    pub(crate) fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    pub(crate) fn options(&self) -> &ApiOptions {
        &self.shared.options
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.engine().clock().wall()
    }

    /// 128 random bits, for an id.
    pub(crate) fn bits(&self) -> u128 {
        self.engine().random().bits()
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The body, shared with the call.
    pub(crate) fn body(&self) -> Bytes {
        self.body.bytes.clone()
    }

    /// Judges the caller once more: something of the account was changed since.
    pub(crate) async fn admit_again(&mut self) -> Result<(), ApiError> {
        self.caller = auth::admit(&self.shared, self.access, &self.headers).await?;
        Ok(())
    }

    /// What was found wrong so far, for the handler to add to.
    pub(crate) fn take_faults(&mut self) -> Faults {
        std::mem::take(&mut self.faults)
    }

    /// An argument of the path.
    pub(crate) fn arg(&self, index: usize) -> &str {
        self.args.get(index).map_or("", String::as_str)
    }

    /// An id in the path. One that is no id of its kind is answered like one that is unknown.
    pub(crate) fn id<T: std::str::FromStr>(&self, index: usize, unknown: Code) -> Result<T, ApiError> {
        self.arg(index).parse().map_err(|_| unknown.into())
    }

    /// The account that the caller acts for; every route of an account has one.
    pub(crate) fn account(&self) -> Result<&Arc<AccountEntry>, ApiError> {
        let account = self.caller.as_ref().and_then(|caller| caller.account.as_ref());
        account.ok_or_else(ApiError::account_required)
    }

    pub(crate) fn account_id(&self) -> Result<AccountId, ApiError> {
        self.account().map(|account| account.snapshot.account.id)
    }

    /// Does a write, and answers what `render` makes of it. Under an idempotency key both are done once, in one transaction: so an answer
    /// is made of what was written alone.
    pub(crate) async fn write(&self, write: Write, render: impl Fn(&Written) -> Answer + Send + Sync + 'static) -> Answer {
        let Some(keyed) = &self.keyed else {
            return match self.engine().write(write, None).await? {
                Once::Done(written) => render(&written),
                Once::Kept(_) => Err(Code::InternalError.into()),
            };
        };
        let render: Render = Arc::new(render);
        match self.engine().write(write, Some(keyed.keep(Arc::clone(&render)))).await? {
            Once::Done(written) => {
                keyed.settled();
                render(&written)
            }
            Once::Kept(kept) => keyed.replay(kept),
        }
    }
}
