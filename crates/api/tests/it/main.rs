//! The API over a real engine and a scripted sender, on a store in memory, on SQLite or on PostgreSQL: one test binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod app;
mod described;
mod sender;
mod things;
mod tokens;
mod watched;

mod accounts;
mod auth;
mod bodies;
mod busy;
mod crowded;
mod deliveries;
mod description;
mod documents;
mod errors;
mod event_list;
mod events;
mod every_route;
mod headers;
mod idempotency;
mod jobs;
mod keys;
mod metrics;
mod nodes;
mod pages;
mod scopes;
mod serving;
mod store;
mod streams;
mod webhooks;
