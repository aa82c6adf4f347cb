//! The parameters of a request beside its body: what the path names, what the query says, what headers are read.

use postrider_model::id::{AccountId, DeliveryId, ID_CHARS_MAX, JobId, KeyId, MadeEventId, WebhookId};
use postrider_model::key::Scope;
use postrider_model::limits::IDEMPOTENCY_KEY_CHARS_MAX;
use schemars::{Schema, json_schema};

use super::{Parameter, schema};
use crate::api::API_VERSION;
use crate::query::Query;
use crate::route::{Access, Route};

/// What a `{…}` in a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathArg {
    /// An account, by its id or its external_id.
    Account,
    /// A key.
    Key,
    /// A webhook.
    Webhook,
    /// An event.
    Event,
    /// A delivery.
    Delivery,
    /// A job.
    Job,
}

impl PathArg {
    /// The kind of what stands behind this segment of a path.
    fn behind(segment: &str) -> Option<Self> {
        Some(match segment {
            "accounts" => Self::Account,
            "keys" => Self::Key,
            "webhooks" => Self::Webhook,
            "events" => Self::Event,
            "deliveries" => Self::Delivery,
            "jobs" => Self::Job,
            _ => return None,
        })
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Account => AccountId::PREFIX,
            Self::Key => KeyId::PREFIX,
            Self::Webhook => WebhookId::PREFIX,
            Self::Event => MadeEventId::PREFIX,
            Self::Delivery => DeliveryId::PREFIX,
            Self::Job => JobId::PREFIX,
        }
    }

    const fn what(self) -> &'static str {
        match self {
            Self::Account => "The account's id or its external_id.",
            Self::Key => "The key's id.",
            Self::Webhook => "The webhook's id.",
            Self::Event => "The event's id.",
            Self::Delivery => "The delivery's id.",
            Self::Job => "The job's id.",
        }
    }
}

/// The `{…}` of a path in their order, each with its name. One of no known kind is not among them: a test sees that.
pub(crate) fn path_args(path: &'static str) -> impl Iterator<Item = (&'static str, PathArg)> {
    let segments = path.split('/');
    segments.clone().zip(segments.skip(1)).filter_map(|(before, segment)| {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        Some((name, PathArg::behind(before)?))
    })
}

/// All parameters of a route: those of its path, of its query and of its headers.
pub(crate) fn parameters(route: &Route) -> Vec<Parameter> {
    let mut parameters: Vec<Parameter> = path_args(route.path).map(|(name, arg)| of_path(name, arg)).collect();
    parameters.extend(route.about.query.map(Query::describe).unwrap_or_default());
    if acts_for_an_account(route) {
        parameters.push(of_header("Account-Id", account_id(), ACCOUNT_ID));
    }
    if route.is_replayed() {
        let schema = schema::chars(1, IDEMPOTENCY_KEY_CHARS_MAX);
        parameters.push(of_header("Idempotency-Key", schema, IDEMPOTENCY_KEY));
    }
    parameters.push(of_header("Api-Version", schema::one_of([API_VERSION]), API_VERSION_WHAT));
    parameters.push(of_header(
        "Client-Request-Id",
        json_schema!({ "type": "string" }),
        CLIENT_REQUEST_ID,
    ));
    parameters
}

const ACCOUNT_ID: &str = "The account that an operator's key acts for: its id or its external_id. An account's own key needs none.";
const IDEMPOTENCY_KEY: &str = "A name of the caller's own for this request. For 24 hours the same request under it is answered as the \
                               first was, and done once.";
const API_VERSION_WHAT: &str = "The version of the API that the client was made for; the oldest that is served if left out.";
const CLIENT_REQUEST_ID: &str = "Comes back on the answer as it is.";

/// Whether the route works on what an account has.
fn acts_for_an_account(route: &Route) -> bool {
    match route.access {
        Access::Open | Access::Client => false,
        Access::AnyKey => true,
        Access::Scope(scope) => scope != Scope::AccountsAdmin,
    }
}

/// What `Account-Id` may be.
fn account_id() -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": ID_CHARS_MAX, "examples": ["shop-17"] })
}

fn of_path(name: &str, arg: PathArg) -> Parameter {
    Parameter {
        name: name.to_owned(),
        place: "path",
        is_required: true,
        schema: schema::id(arg.prefix()),
        what: arg.what(),
    }
}

fn of_header(name: &str, schema: Schema, what: &'static str) -> Parameter {
    Parameter {
        name: name.to_owned(),
        place: "header",
        is_required: false,
        schema,
        what,
    }
}
