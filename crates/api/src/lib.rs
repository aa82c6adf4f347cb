//! HTTP in: routes, authentication, errors, pages of lists.
//!
//! A request comes in at [`serve`], passes [`Api::handle`] and ends in one function of `routes/`. `router.rs` has every route.

mod answer;
mod api;
mod auth;
mod body;
mod call;
mod code;
mod connection;
mod description;
mod error;
mod fault;
mod filters;
mod form;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod idempotency;
mod json;
mod metrics;
mod object;
mod page;
mod params;
mod query;
mod readers;
mod route;
mod router;
mod routes;
mod rules;
mod serve;
mod stream;
mod tokens;

pub use answer::{Body, Response};
pub use api::{API_VERSION, Api, ApiOptions, BODIES_BYTES_MAX, MetricsAccess, router};
pub use code::Code;
pub use description::arguments::PathArg;
pub use description::documents::{openapi, reference};
pub use router::{RouteLine, routes};
pub use serve::{CONNECTIONS_MAX, serve};
pub use stream::Streaming;
pub use tokens::{TOKEN_KEY_BYTES, TokenKey};
