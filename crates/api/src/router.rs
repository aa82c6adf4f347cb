//! Every route, who may use it and what it reads.

use http::Method;
use postrider_model::key::Scope;
use postrider_model::key::Scope::{AccountsAdmin, DeliveriesRead, DeliveriesWrite, EventsRead, EventsWrite, WebhooksRead, WebhooksWrite};
use postrider_model::limits::BATCH_BYTES_MAX;

use crate::route::{Access, Table, route};
use crate::routes::{accounts, deliveries, events, health, keys, me, webhooks};

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const DELETE: Method = Method::DELETE;

/// The table from which all comes. The busiest routes stand first: a request is matched from the top.
pub(crate) fn table() -> Table {
    Table(vec![
        route(POST, "/events", events::create).scope(EventsWrite),
        route(POST, "/events/batch", events::create_batch)
            .scope(EventsWrite)
            .body_max(BATCH_BYTES_MAX),
        route(GET, "/events/{id}", events::show).scope(EventsRead),
        route(GET, "/deliveries", deliveries::list).scope(DeliveriesRead).list(),
        route(GET, "/deliveries/{id}", deliveries::show).scope(DeliveriesRead),
        route(POST, "/deliveries/{id}/retry", deliveries::retry).scope(DeliveriesWrite),
        route(POST, "/webhooks", webhooks::create).scope(WebhooksWrite),
        route(GET, "/webhooks", webhooks::list).scope(WebhooksRead).list(),
        route(GET, "/webhooks/{id}", webhooks::show).scope(WebhooksRead),
        route(PUT, "/webhooks/{id}", webhooks::change).scope(WebhooksWrite),
        route(DELETE, "/webhooks/{id}", webhooks::delete).scope(WebhooksWrite),
        route(POST, "/webhooks/{id}/secret/rotate", webhooks::rotate).scope(WebhooksWrite),
        route(POST, "/webhooks/{id}/test", webhooks::test).scope(WebhooksWrite),
        route(GET, "/webhooks/{id}/deliveries", deliveries::list_of_webhook)
            .scope(DeliveriesRead)
            .list(),
        route(GET, "/me", me::show),
        route(POST, "/accounts", accounts::create).scope(AccountsAdmin),
        route(GET, "/accounts", accounts::list).scope(AccountsAdmin).list(),
        route(GET, "/accounts/{id}", accounts::show).scope(AccountsAdmin),
        route(PUT, "/accounts/{id}", accounts::change).scope(AccountsAdmin),
        route(DELETE, "/accounts/{id}", accounts::delete).scope(AccountsAdmin),
        route(POST, "/accounts/{id}/keys", keys::create).scope(AccountsAdmin),
        route(GET, "/accounts/{id}/keys", keys::list).scope(AccountsAdmin).list(),
        route(GET, "/accounts/{id}/keys/{key}", keys::show).scope(AccountsAdmin),
        route(PUT, "/accounts/{id}/keys/{key}", keys::change).scope(AccountsAdmin),
        route(DELETE, "/accounts/{id}/keys/{key}", keys::delete).scope(AccountsAdmin),
        route(POST, "/keys", keys::create).scope(AccountsAdmin),
        route(GET, "/keys", keys::list).scope(AccountsAdmin).list(),
        route(GET, "/keys/{key}", keys::show).scope(AccountsAdmin),
        route(PUT, "/keys/{key}", keys::change).scope(AccountsAdmin),
        route(DELETE, "/keys/{key}", keys::delete).scope(AccountsAdmin),
        route(GET, "/healthz", health::live).open(),
        route(GET, "/readyz", health::ready).open(),
    ])
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
}

/// All routes.
pub fn routes() -> impl Iterator<Item = RouteLine> {
    table().0.into_iter().map(|route| RouteLine {
        method: route.method,
        path: route.path,
        needs_token: route.access != Access::Open,
        scope: match route.access {
            Access::Scope(scope) => Some(scope),
            Access::Open | Access::AnyKey => None,
        },
    })
}
