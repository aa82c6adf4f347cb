//! What the engine is told at start.

use std::sync::Arc;
use std::time::Duration;

use postrider_lanes::LanesConfig;
use postrider_model::key::TokenHash;
use postrider_model::limits::{RETENTION_DEFAULT, WEBHOOKS_PER_ACCOUNT_MAX};
use postrider_model::url::UrlPolicy;
use postrider_ports::{Clock, Random, Sender, Store};

/// The world, as the engine sees it.
#[derive(Clone)]
pub struct Parts {
    /// Where all is kept.
    pub store: Arc<dyn Store>,
    /// What makes attempts.
    pub sender: Arc<dyn Sender>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
}

/// How the engine is to work.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which urls may be registered.
    pub url_policy: UrlPolicy,
    /// Webhooks that an account may have.
    pub webhooks_per_account: usize,
    /// Limits and schedule of the lanes.
    pub lanes: LanesConfig,
    /// Operator keys given by configuration, as hashes of their tokens.
    pub operator_keys: Vec<TokenHash>,
    /// Requests that may wait for a commit; over it a request is answered 503.
    pub ingest_waiting_max: usize,
    /// How often the store is swept for work that memory knows nothing of.
    pub sweep_interval: Duration,
    /// How often the feed of changes that others made is read.
    pub changes_interval: Duration,
    /// How long events and ended deliveries are kept.
    pub retention: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url_policy: UrlPolicy::default(),
            webhooks_per_account: WEBHOOKS_PER_ACCOUNT_MAX,
            lanes: LanesConfig::default(),
            operator_keys: Vec::new(),
            ingest_waiting_max: 8_192,
            sweep_interval: Duration::from_secs(10),
            changes_interval: Duration::from_millis(500),
            retention: RETENTION_DEFAULT,
        }
    }
}
