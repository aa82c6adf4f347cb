//! What the engine is told at start.

use std::sync::Arc;
use std::time::Duration;

use postrider_lanes::LanesConfig;
use postrider_model::key::TokenHash;
use postrider_model::limits::{RETENTION_DEFAULT, WEBHOOKS_PER_ACCOUNT_MAX};
use postrider_model::url::UrlPolicy;
use postrider_ports::nodes::Roles;
use postrider_ports::{Clock, Nodes, Random, Sender, Store};

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
    /// The other nodes on the same store; `None` where there can be none: then this one owns every slot.
    pub nodes: Option<Arc<dyn Nodes>>,
}

/// Where the beats of a node's lease are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// In a task among others: in tests, whose clock is simulated.
    Task,
    /// On a thread of its own with a runtime of its own: whatever else the process is at, its lease is renewed.
    Thread,
}

/// What this node is among others. Nothing of it matters where there are none.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// How people call it.
    pub name: String,
    /// The version of its binary.
    pub version: String,
    /// What it does.
    pub roles: Roles,
    /// How long it holds its slots after its last sign of life: a dead node's slots are taken over within twice this.
    pub lease: Duration,
    /// The longest time for which a write of a node that died may still come through.
    pub write_time_max: Duration,
    /// Where its beats are made.
    pub keeper: Keeper,
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self {
            name: "postrider".to_owned(),
            version: String::new(),
            roles: Roles { api: true, dispatch: true },
            lease: Duration::from_secs(5),
            write_time_max: Duration::from_secs(30),
            keeper: Keeper::Task,
        }
    }
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
    /// Events are committed at most this often, unless many wait: for a store where each group costs much, however small it is.
    pub commit_interval: Duration,
    /// Outcomes are recorded at most this often, unless many wait: for a store where each group costs much, however small it is.
    pub record_interval: Duration,
    /// How often the feed of changes that others made is read.
    pub changes_interval: Duration,
    /// How long events and ended deliveries are kept.
    pub retention: Duration,
    /// What this node is among others.
    pub node: NodeSettings,
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
            commit_interval: Duration::ZERO,
            record_interval: Duration::ZERO,
            changes_interval: Duration::from_millis(500),
            retention: RETENTION_DEFAULT,
            node: NodeSettings::default(),
        }
    }
}
