//! What receivers do, and what is judged whenever a node starts an attempt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use postrider_model::attempt::{AttemptError, ErrorKind, LocalFault, Outcome, Outgoing, Response};
use postrider_model::id::{DeliveryId, WebhookId};
use postrider_model::slot::Slot;
use postrider_ports::{Clock, Sender};
use postrider_testkit::clock::SimClock;
use postrider_testkit::memory_nodes::MemoryNodes;

/// What a receiver does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Succeed,
    Fail,
    TakeFor(Duration),
}

/// An attempt that was started.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) node: String,
    pub(crate) delivery: DeliveryId,
    pub(crate) webhook: WebhookId,
    /// By the simulation's clock, in milliseconds of its monotonic face.
    pub(crate) at: u64,
    /// The wall clock of its node.
    pub(crate) wall: postrider_model::time::Timestamp,
    pub(crate) signature_of: usize,
}

#[derive(Default)]
struct State {
    does: BTreeMap<WebhookId, Does>,
    sent: Vec<Sent>,
    in_flight: BTreeMap<DeliveryId, BTreeSet<String>>,
    violations: Vec<String>,
}

/// All receivers, as all nodes see them.
pub(crate) struct Receivers {
    state: Mutex<State>,
    clock: SimClock,
    /// The truth about nodes and slots.
    hall: MemoryNodes,
}

impl Receivers {
    pub(crate) fn new(clock: SimClock, hall: MemoryNodes) -> Self {
        Self {
            state: Mutex::default(),
            clock,
            hall,
        }
    }

    pub(crate) fn let_it(&self, webhook: WebhookId, does: Does) {
        self.state.lock().does.insert(webhook, does);
    }

    pub(crate) fn all_succeed(&self) {
        self.state.lock().does.clear();
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.state.lock().sent.clone()
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.state.lock().violations.clone()
    }

    /// Nothing that a node had in flight will end.
    pub(crate) fn died(&self, node: &str) {
        for nodes in self.state.lock().in_flight.values_mut() {
            nodes.remove(node);
        }
    }

    /// Who owns the webhook's slot by the store, and may send for it.
    fn owner(&self, webhook: WebhookId) -> Option<String> {
        let roster = self.hall.look_roster();
        let owner = roster.owner(Slot::of(webhook))?;
        let node = roster.nodes.into_iter().find(|node| node.token == owner)?;
        Some(node.report.name)
    }

    fn start(&self, node: &str, outgoing: &Outgoing, wall: postrider_model::time::Timestamp) -> Does {
        let webhook = outgoing.webhook.id;
        let owner = self.owner(webhook);
        let mut state = self.state.lock();
        let at = self.clock.mono().as_nanos() / 1_000_000;
        if owner.as_deref() != Some(node) {
            state.violations.push(format!(
                "at {at} {node} starts {} of {webhook}, whose owner is {owner:?}",
                outgoing.delivery
            ));
        }
        if !state.in_flight.entry(outgoing.delivery).or_default().insert(node.to_owned()) {
            state
                .violations
                .push(format!("{node} starts {} twice at a time", outgoing.delivery));
        }
        state.sent.push(Sent {
            node: node.to_owned(),
            delivery: outgoing.delivery,
            webhook,
            at,
            wall,
            signature_of: outgoing.webhook.secrets.len(),
        });
        state.does.get(&webhook).copied().unwrap_or(Does::Succeed)
    }

    fn end(&self, node: &str, delivery: DeliveryId) {
        if let Some(nodes) = self.state.lock().in_flight.get_mut(&delivery) {
            nodes.remove(node);
        }
    }
}

/// One node's way to the receivers.
pub(crate) struct NodeSender {
    pub(crate) node: String,
    pub(crate) receivers: Arc<Receivers>,
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Sender for NodeSender {
    async fn send(&self, outgoing: Outgoing) -> Result<Outcome, LocalFault> {
        let (began, started_at) = (self.clock.mono(), self.clock.wall());
        let does = self.receivers.start(&self.node, &outgoing, started_at);
        if let Does::TakeFor(length) = does {
            self.clock.sleep_until(began + length).await;
        }
        self.receivers.end(&self.node, outgoing.delivery);
        let duration = self.clock.mono().since(began);
        let status = if does == Does::Fail { 500 } else { 200 };
        Ok(Outcome {
            started_at,
            duration,
            response: Some(Response {
                status,
                duration,
                headers: None,
                body: None,
                truncated: false,
            }),
            error: (status != 200).then(|| AttemptError {
                kind: ErrorKind::Http,
                message: "as scripted".to_owned(),
            }),
            retry_after: None,
        })
    }
}
