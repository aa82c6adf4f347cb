//! Who wants what: an account with its webhooks, ready for fan-out.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use parking_lot::Mutex;
use postrider_lanes::input::{HostKey, LaneWebhook, Standing};
use postrider_model::health::Health;
use postrider_model::id::WebhookId;
use postrider_model::name::EventName;
use postrider_model::webhook::Webhook;
use postrider_ports::registry::AccountSnapshot;
use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;

/// A webhook, with what its lane needs to know.
pub struct Target {
    /// The webhook.
    pub webhook: Arc<Webhook>,
    host: HostKey,
    is_account_active: bool,
    /// What was last learned of its receiver. Written by the dispatch loop; read where a lane may have to be made.
    health: Mutex<Health>,
}

impl Target {
    fn new(webhook: Arc<Webhook>, is_account_active: bool) -> Self {
        let mut hasher = FxHasher::default();
        (webhook.url.is_https(), webhook.url.host(), webhook.url.port()).hash(&mut hasher);
        let health = Mutex::new(webhook.health);
        Self {
            host: HostKey(hasher.finish()),
            webhook,
            is_account_active,
            health,
        }
    }

    /// Whether its deliveries may be sent.
    pub fn standing(&self) -> Standing {
        if self.is_account_active && self.webhook.is_active {
            Standing::Active
        } else {
            Standing::Paused
        }
    }

    /// What its lane is told.
    pub fn lane(&self) -> LaneWebhook {
        LaneWebhook {
            account: self.webhook.account,
            webhook: self.webhook.id,
            host: self.host,
            health: *self.health.lock(),
            standing: self.standing(),
        }
    }

    pub(crate) fn learn(&self, health: Health) {
        *self.health.lock() = health;
    }
}

/// An account with its webhooks, ready for fan-out. Cached; `snapshot.version` says which state it is.
pub struct AccountEntry {
    /// What was read of the store.
    pub snapshot: AccountSnapshot,
    /// As many as the account has webhooks: at most `--webhooks-per-account`.
    targets: Vec<Arc<Target>>,
    /// Where each webhook stands in `targets`: at most as many as there.
    by_id: FxHashMap<WebhookId, u32>,
    /// Those that want every event.
    of_all: Vec<u32>,
    /// Those that want this very name. At most `EVENT_NAMES_MAX` names of each webhook.
    of_name: FxHashMap<Box<str>, Vec<u32>>,
    /// Those that want all names behind this stem, its last dot included. At most `EVENT_NAMES_MAX` stems of each webhook.
    of_stem: FxHashMap<Box<str>, Vec<u32>>,
}

impl AccountEntry {
    pub(crate) fn new(snapshot: AccountSnapshot) -> Self {
        let is_active = snapshot.account.is_active;
        let targets: Vec<_> = snapshot
            .webhooks
            .iter()
            .map(|webhook| Arc::new(Target::new(Arc::clone(webhook), is_active)))
            .collect();
        let mut entry = Self {
            snapshot,
            by_id: FxHashMap::default(),
            of_all: Vec::new(),
            of_name: FxHashMap::default(),
            of_stem: FxHashMap::default(),
            targets: Vec::new(),
        };
        for (index, target) in (0u32..).zip(&targets) {
            entry.index(index, &target.webhook);
        }
        entry.targets = targets;
        entry
    }

    fn index(&mut self, index: u32, webhook: &Webhook) {
        self.by_id.insert(webhook.id, index);
        if !webhook.is_active {
            return;
        }
        if webhook.event_names.is_empty() {
            self.of_all.push(index);
        }
        for pattern in &webhook.event_names {
            match pattern.as_str().strip_suffix('*') {
                Some(stem) => self.of_stem.entry(Box::from(stem)).or_default().push(index),
                None => self.of_name.entry(Box::from(pattern.as_str())).or_default().push(index),
            }
        }
    }

    /// The webhooks that want an event of this name, each once. Costs what it finds, not what the account has.
    pub(crate) fn wanting(&self, name: &EventName) -> SmallVec<[&Arc<Target>; 4]> {
        let name = name.as_str();
        let mut found: SmallVec<[u32; 8]> = self.of_all.iter().copied().collect();
        if let Some(exact) = self.of_name.get(name) {
            found.extend_from_slice(exact);
        }
        if !self.of_stem.is_empty() {
            for (dot, _) in name.match_indices('.') {
                let stem = name.get(..=dot).unwrap_or_default();
                found.extend(self.of_stem.get(stem).into_iter().flatten().copied());
            }
        }
        found.sort_unstable();
        found.dedup();
        found.iter().filter_map(|index| self.targets.get(*index as usize)).collect()
    }

    /// One of its webhooks.
    pub fn target(&self, webhook: WebhookId) -> Option<&Arc<Target>> {
        self.targets.get(*self.by_id.get(&webhook)? as usize)
    }

    /// All its webhooks.
    pub fn targets(&self) -> &[Arc<Target>] {
        &self.targets
    }

    /// What it weighs in the cache: about as many units as it has webhooks.
    pub(crate) fn weight(&self) -> usize {
        self.targets.len() + 1
    }
}

#[cfg(test)]
mod tests;
