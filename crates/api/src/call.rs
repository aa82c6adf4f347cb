//! One request, checked and read, as a handler gets it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Uri};
use postrider_engine::{AccountEntry, Engine, KnownKey};
use postrider_model::id::AccountId;
use postrider_model::time::Timestamp;

use crate::api::{ApiOptions, Shared};
use crate::auth;
use crate::body::Collected;
use crate::code::Code;
use crate::error::ApiError;
use crate::fault::Faults;
use crate::query::Query;
use crate::route::{Access, Args};

/// Who asks.
pub(crate) struct Caller {
    pub(crate) key: Arc<KnownKey>,
    /// The account that it acts for.
    pub(crate) account: Option<Arc<AccountEntry>>,
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
        self.caller = auth::admit(self.engine(), self.access, &self.headers).await?;
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
}
