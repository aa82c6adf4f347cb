//! What each route does: check, do, answer. One file for each kind of resource.

pub(crate) mod accounts;
pub(crate) mod deliveries;
pub(crate) mod docs;
pub(crate) mod event_list;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod me;
pub(crate) mod metrics;
pub(crate) mod nodes;
pub(crate) mod tokens;
pub(crate) mod webhooks;
