//! Every route: who may use it, what it reads, what it answers, and what is to be known of it.

use http::{Method, StatusCode};
use postrider_model::key::Scope;
use postrider_model::key::Scope::{AccountsAdmin, DeliveriesRead, DeliveriesWrite, EventsRead, EventsWrite, WebhooksRead, WebhooksWrite};
use postrider_model::key::Scopes;
use postrider_model::limits::BATCH_BYTES_MAX;

use postrider_model::time::Timestamp;
use serde_json::{Map, Value};

use crate::code::Code;
use crate::description::arguments::{PathArg, path_args};
use crate::description::example;
use crate::filters;
use crate::json::account::AccountJson;
use crate::json::delivery::DeliveryJson;
use crate::json::event::{EventJson, EventsJson};
use crate::json::job::JobJson;
use crate::json::key::{KeyJson, KeyWithTokenJson};
use crate::json::node::NodeJson;
use crate::json::webhook::{WebhookJson, WebhookWithSecretJson};
use crate::page;
use crate::route::{Access, Route, Table, group, route};
use crate::routes::health::HealthJson;
use crate::routes::me::MeJson;
use crate::routes::tokens::{AccessTokenJson, TOKEN_REQUEST_BYTES_MAX};
use crate::routes::{accounts, deliveries, docs, event_list, events, health, jobs, keys, me, metrics, nodes, tokens, webhooks};

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const DELETE: Method = Method::DELETE;

/// The table from which all comes. The busiest routes stand first: a request is matched from the top.
pub(crate) fn table() -> Table {
    let groups = [
        group("Events", of_events()),
        group("Deliveries", of_deliveries()),
        group("Webhooks", of_webhooks()),
        group("Jobs", of_jobs()),
        group("Accounts", of_accounts()),
        group("Keys", of_keys_of_accounts()),
        group("Keys", of_keys_of_the_operator()),
        group("Server", of_the_server()),
    ];
    Table(groups.into_iter().flatten().collect())
}

fn of_events() -> Vec<Route> {
    vec![
        route(POST, "/events", events::create)
            .named("create_event", "Post an event")
            .notes("It is stored when this is answered, and delivered to every webhook of the account that wants it.")
            .scope(EventsWrite)
            .body(events::read_single)
            .codes(&[Code::EventIdTaken, Code::TooManyDeliveries, Code::Overloaded, Code::Stopping])
            .created::<EventJson>("The event, stored and to be delivered.")
            .or::<EventJson>(
                StatusCode::OK,
                "The same event was stored under this `id` before: this is the first.",
            ),
        route(POST, "/events/batch", events::create_batch)
            .named("create_events", "Post events in a batch")
            .notes("All of them are stored, or none. Events whose `id` is known already are answered as they were first.")
            .scope(EventsWrite)
            .body_max(BATCH_BYTES_MAX, events::read_batch)
            .codes(&[Code::EventIdTaken, Code::TooManyDeliveries, Code::Overloaded, Code::Stopping])
            .created::<EventsJson>("The events, in the order in which they were given."),
        route(GET, "/events", event_list::list)
            .named("list_events", "List events, or read them as they happen")
            .notes(
                "With `Accept: text/event-stream` the answer is a stream of Server-Sent Events: each new event as one line of JSON with its \
                 id, from now on, or behind the event that the header `Last-Event-ID` names, without a gap. It takes the same filters, \
                 but no `order`, `limit` or `cursor`; a comment comes every 15 s; it ends when its token does.",
            )
            .scope(EventsRead)
            .query(event_list::describe)
            .codes(&[Code::EventIdExpired, Code::TooManyStreams, Code::Overloaded])
            .list::<EventJson>("Events, newest first."),
        route(GET, "/events/{id}", events::show)
            .named("get_event", "Read an event")
            .scope(EventsRead)
            .codes(&[Code::EventNotFound])
            .ok::<EventJson>("The event."),
    ]
}

fn of_deliveries() -> Vec<Route> {
    vec![
        route(GET, "/deliveries", deliveries::list)
            .named("list_deliveries", "List deliveries")
            .notes("Those of deleted webhooks too.")
            .scope(DeliveriesRead)
            .query(filters::describe_deliveries)
            .list::<DeliveryJson<'_>>("Deliveries, newest first, with their attempts."),
        route(GET, "/deliveries/{id}", deliveries::show)
            .named("get_delivery", "Read a delivery")
            .scope(DeliveriesRead)
            .codes(&[Code::DeliveryNotFound])
            .ok::<DeliveryJson<'_>>("The delivery, with all its attempts."),
        route(POST, "/deliveries/{id}/retry", deliveries::retry)
            .named("retry_delivery", "Send a delivery again")
            .notes(
                "A failed one is pending again, with an attempt now and its schedule anew; a pending one has an attempt now in place of its \
                 next; to one in progress nothing is added. Of one that succeeded a new delivery is made, for a receiver that drops \
                 repeats would drop the old id.",
            )
            .scope(DeliveriesWrite)
            .optional_body(deliveries::read_nothing)
            .codes(&[Code::DeliveryNotFound, Code::WebhookInactive, Code::WebhookDeleted])
            .accepted::<DeliveryJson<'_>>("The delivery that is on its way."),
    ]
}

fn of_webhooks() -> Vec<Route> {
    vec![
        route(POST, "/webhooks", webhooks::create)
            .named("create_webhook", "Register a webhook")
            .scope(WebhooksWrite)
            .body(|fields| webhooks::read_draft(fields, &Default::default()))
            .codes(&[Code::TooManyWebhooks])
            .created::<WebhookWithSecretJson<'_>>("The webhook, with its secret: it is shown this once."),
        route(GET, "/webhooks", webhooks::list)
            .named("list_webhooks", "List webhooks")
            .scope(WebhooksRead)
            .query(page::describe)
            .list::<WebhookJson<'_>>("Webhooks, newest first."),
        route(GET, "/webhooks/{id}", webhooks::show)
            .named("get_webhook", "Read a webhook")
            .scope(WebhooksRead)
            .codes(&[Code::WebhookNotFound])
            .ok::<WebhookJson<'_>>("The webhook."),
        route(PUT, "/webhooks/{id}", webhooks::change)
            .named("update_webhook", "Change a webhook")
            .notes("What is left out stays as it is.")
            .scope(WebhooksWrite)
            .body(|fields| webhooks::read_change(fields, &Default::default()))
            .codes(&[Code::WebhookNotFound])
            .ok::<WebhookJson<'_>>("The webhook as it is now."),
        route(DELETE, "/webhooks/{id}", webhooks::delete)
            .named("delete_webhook", "Delete a webhook")
            .notes("Its pending deliveries fail. All its deliveries can still be read.")
            .scope(WebhooksWrite)
            .codes(&[Code::WebhookNotFound])
            .deleted("It is gone."),
        route(POST, "/webhooks/{id}/secret/rotate", webhooks::rotate)
            .named("rotate_webhook_secret", "Rotate a webhook's secret")
            .notes("Until the grace ends the older secrets sign beside the new one, at most five in all. No body means all defaults.")
            .scope(WebhooksWrite)
            .optional_body(webhooks::read_rotation)
            .codes(&[Code::WebhookNotFound, Code::TooManySecrets])
            .ok::<WebhookWithSecretJson<'_>>("The webhook, with its new secret: it is shown this once."),
        route(POST, "/webhooks/{id}/test", webhooks::test)
            .named("test_webhook", "Send a test")
            .notes("It is sent at once, ahead of what waits, also to an inactive webhook, and retried like any other delivery.")
            .scope(WebhooksWrite)
            .body(webhooks::read_test)
            .codes(&[Code::WebhookNotFound])
            .accepted::<DeliveryJson<'_>>("The delivery that is on its way; its `event` is null."),
        route(POST, "/webhooks/{id}/recover", jobs::recover)
            .named("recover_webhook", "Send a webhook what it missed")
            .notes(
                "A job sends again, oldest first and behind fresh events, each once: what failed, what was never made, or all. Tests have no \
                 part in it.",
            )
            .scope(DeliveriesWrite)
            .body(jobs::read_recovery)
            .codes(&[Code::WebhookNotFound, Code::WebhookInactive, Code::TooManyJobs])
            .accepted::<JobJson<'_>>("The job that does it."),
        route(GET, "/webhooks/{id}/deliveries", deliveries::list_of_webhook)
            .named("list_webhook_deliveries", "List a webhook's deliveries")
            .scope(DeliveriesRead)
            .query(filters::describe_deliveries)
            .codes(&[Code::WebhookNotFound])
            .list::<DeliveryJson<'_>>("Deliveries, newest first, with their attempts."),
    ]
}

fn of_jobs() -> Vec<Route> {
    vec![
        route(GET, "/jobs", jobs::list)
            .named("list_jobs", "List jobs")
            .scope(DeliveriesRead)
            .query(page::describe)
            .list::<JobJson<'_>>("Jobs, newest first; those that have ended are kept as long as events are."),
        route(GET, "/jobs/{id}", jobs::show)
            .named("get_job", "Read a job")
            .scope(DeliveriesRead)
            .codes(&[Code::JobNotFound])
            .ok::<JobJson<'_>>("The job, with how far it has come."),
        route(DELETE, "/jobs/{id}", jobs::cancel)
            .named("cancel_job", "Cancel a job")
            .notes("What it has not done yet is left. One that has ended already stays as it is.")
            .scope(DeliveriesWrite)
            .codes(&[Code::JobNotFound])
            .ok::<JobJson<'_>>("The job as it is now."),
    ]
}

fn of_accounts() -> Vec<Route> {
    vec![
        route(POST, "/accounts", accounts::create)
            .named("create_account", "Make an account")
            .scope(AccountsAdmin)
            .body(accounts::read_draft)
            .created::<AccountJson<'_>>("The account.")
            .or::<AccountJson<'_>>(
                StatusCode::OK,
                "There was an account of this `external_id` already: this is it, unchanged.",
            ),
        route(GET, "/accounts", accounts::list)
            .named("list_accounts", "List accounts")
            .scope(AccountsAdmin)
            .query(page::describe)
            .list::<AccountJson<'_>>("Accounts, newest first."),
        route(GET, "/accounts/{id}", accounts::show)
            .named("get_account", "Read an account")
            .scope(AccountsAdmin)
            .codes(&[Code::AccountNotFound])
            .ok::<AccountJson<'_>>("The account."),
        route(PUT, "/accounts/{id}", accounts::change)
            .named("update_account", "Change an account")
            .notes("What is left out stays as it is.")
            .scope(AccountsAdmin)
            .body(accounts::read_change)
            .codes(&[Code::AccountNotFound, Code::ExternalIdTaken])
            .ok::<AccountJson<'_>>("The account as it is now."),
        route(DELETE, "/accounts/{id}", accounts::delete)
            .named("delete_account", "Delete an account")
            .notes("Its keys die and its deliveries stop at once; its data goes in the background.")
            .scope(AccountsAdmin)
            .codes(&[Code::AccountNotFound])
            .deleted("It is gone."),
    ]
}

/// Any moment: only rules that judge want the real one.
const NO_MOMENT: Timestamp = Timestamp::from_millis(0);

fn of_keys_of_accounts() -> Vec<Route> {
    vec![
        route(POST, "/accounts/{id}/keys", keys::create)
            .named("create_account_key", "Make a key of an account")
            .scope(AccountsAdmin)
            .body(|fields| keys::read_draft(fields, Scopes::of_account(), NO_MOMENT))
            .codes(&[Code::AccountNotFound])
            .created::<KeyWithTokenJson<'_>>("The key, with its token: it is shown this once."),
        route(GET, "/accounts/{id}/keys", keys::list)
            .named("list_account_keys", "List an account's keys")
            .scope(AccountsAdmin)
            .query(page::describe)
            .codes(&[Code::AccountNotFound])
            .list::<KeyJson<'_>>("Keys, newest first."),
        route(GET, "/accounts/{id}/keys/{key}", keys::show)
            .named("get_account_key", "Read a key of an account")
            .scope(AccountsAdmin)
            .codes(&[Code::AccountNotFound, Code::KeyNotFound])
            .ok::<KeyJson<'_>>("The key."),
        route(PUT, "/accounts/{id}/keys/{key}", keys::change)
            .named("update_account_key", "Change a key of an account")
            .notes("What is left out stays as it is. The change holds at once.")
            .scope(AccountsAdmin)
            .body(|fields| keys::read_change(fields, Scopes::of_account(), NO_MOMENT))
            .codes(&[Code::AccountNotFound, Code::KeyNotFound])
            .ok::<KeyJson<'_>>("The key as it is now."),
        route(DELETE, "/accounts/{id}/keys/{key}", keys::delete)
            .named("delete_account_key", "Delete a key of an account")
            .notes("It is refused at once.")
            .scope(AccountsAdmin)
            .codes(&[Code::AccountNotFound, Code::KeyNotFound])
            .deleted("It is gone."),
    ]
}

fn of_keys_of_the_operator() -> Vec<Route> {
    vec![
        route(POST, "/keys", keys::create)
            .named("create_operator_key", "Make an operator's key")
            .scope(AccountsAdmin)
            .body(|fields| keys::read_draft(fields, Scopes::of_operator(), NO_MOMENT))
            .created::<KeyWithTokenJson<'_>>("The key, with its token: it is shown this once."),
        route(GET, "/keys", keys::list)
            .named("list_operator_keys", "List the operator's keys")
            .scope(AccountsAdmin)
            .query(page::describe)
            .list::<KeyJson<'_>>("Keys, newest first."),
        route(GET, "/keys/{key}", keys::show)
            .named("get_operator_key", "Read an operator's key")
            .scope(AccountsAdmin)
            .codes(&[Code::KeyNotFound])
            .ok::<KeyJson<'_>>("The key."),
        route(PUT, "/keys/{key}", keys::change)
            .named("update_operator_key", "Change an operator's key")
            .notes("What is left out stays as it is. The change holds at once.")
            .scope(AccountsAdmin)
            .body(|fields| keys::read_change(fields, Scopes::of_operator(), NO_MOMENT))
            .codes(&[Code::KeyNotFound])
            .ok::<KeyJson<'_>>("The key as it is now."),
        route(DELETE, "/keys/{key}", keys::delete)
            .named("delete_operator_key", "Delete an operator's key")
            .notes("It is refused at once.")
            .scope(AccountsAdmin)
            .codes(&[Code::KeyNotFound])
            .deleted("It is gone."),
    ]
}

fn of_the_server() -> Vec<Route> {
    vec![
        route(POST, "/auth/token", tokens::create)
            .named("create_access_token", "Get an access token")
            .notes(
                "Client credentials of OAuth2: a key's id is the client's id, and its token the client's secret, in the form or by HTTP Basic. \
                 The access token acts for the key for 15 minutes, and no longer than the key lives.",
            )
            .clients()
            .body_max(TOKEN_REQUEST_BYTES_MAX, tokens::read_request)
            .codes(&[Code::UnsupportedGrantType, Code::InvalidScope])
            .ok::<AccessTokenJson<'_>>("The access token."),
        route(GET, "/me", me::show)
            .named("get_me", "Say who I am")
            .ok::<MeJson<'_>>("What the key is, and may do."),
        route(GET, "/openapi.json", docs::openapi)
            .named("get_openapi", "Describe this API to programs")
            .open()
            .ok::<Map<String, Value>>("An OpenAPI 3.1 document."),
        route(GET, "/docs", docs::page)
            .named("get_docs", "Describe this API to people")
            .open()
            .text("text/html", "This reference, as one page that needs nothing else."),
        route(GET, "/nodes", nodes::list)
            .named("list_nodes", "List the nodes")
            .notes(
                "All that share the store, as this one sees them, itself first: who is alive, who owns how many slots, and what each has to \
                 do. A server on SQLite is always alone.",
            )
            .scope(AccountsAdmin)
            .on_every_node()
            .ok::<Vec<NodeJson>>("The nodes: at most 256."),
        route(GET, "/healthz", health::live)
            .named("get_health", "Say whether the server lives")
            .open()
            .on_every_node()
            .ok::<HealthJson>("It answers."),
        route(GET, "/readyz", health::ready)
            .named("get_readiness", "Say whether the server can work")
            .open()
            .on_every_node()
            .codes(&[Code::Unavailable])
            .ok::<HealthJson>("Its store can be written to; where it is one of the nodes that send, it holds its lease."),
        route(GET, "/metrics", metrics::show)
            .named("get_metrics", "Say what the server counts")
            .notes("Who may read it is configured: anybody, keys of the operator's with `accounts:admin`, or nobody.")
            .open()
            .on_every_node()
            .codes(&[
                Code::Unauthenticated,
                Code::InvalidToken,
                Code::ExpiredToken,
                Code::InsufficientScope,
                Code::RouteNotFound,
            ])
            .text("text/plain", "The text format of Prometheus."),
    ]
}

/// A route as documentation and tests see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteLine {
    /// Its method.
    pub method: Method,
    /// Its path, with `{…}` for what varies.
    pub path: &'static str,
    /// Whether it needs a token at all.
    pub needs_token: bool,
    /// The scope that a key needs for it.
    pub scope: Option<Scope>,
    /// Its name in the description: `operationId` of OpenAPI.
    pub id: &'static str,
    /// What each `{…}` of the path names, in their order.
    pub args: Vec<PathArg>,
    /// An example of its body, where it reads one of JSON, with every field.
    pub body: Option<Value>,
}

/// All routes.
pub fn routes() -> impl Iterator<Item = RouteLine> {
    table().0.into_iter().map(|route| RouteLine {
        method: route.method,
        path: route.path,
        needs_token: !matches!(route.access, Access::Open | Access::Client),
        scope: match route.access {
            Access::Scope(scope) => Some(scope),
            Access::Open | Access::Client | Access::AnyKey => None,
        },
        id: route.about.id,
        args: path_args(route.path).map(|(_, arg)| arg).collect(),
        body: (route.about.body)
            .filter(|_| route.access != Access::Client)
            .map(|body| example::of((body.schema)().as_value(), &Map::new())),
    })
}
