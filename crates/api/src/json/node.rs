//! A node as it is shown.

use std::time::Duration;

use postrider_model::id::NodeId;
use postrider_model::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::description::schema::field;

/// One server of those that share a store.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Node")]
pub(crate) struct NodeJson {
    /// Its id: another one after each start.
    #[schemars(schema_with = "field::node_id")]
    pub(crate) id: NodeId,
    /// What it was named by `--node-name`, or else the name of its machine. Nodes may share one.
    #[schemars(extend("examples" = ["web-1"]))]
    pub(crate) name: String,
    /// The version of its binary.
    #[schemars(extend("examples" = ["0.1.0"]))]
    pub(crate) version: String,
    /// What it does: answer requests (`api`), send (`dispatch`), or both.
    #[schemars(schema_with = "field::roles")]
    pub(crate) roles: Vec<&'static str>,
    /// Whether it is the node that answers this.
    pub(crate) is_this: bool,
    /// Whether this node hears of it: `alive`, `late` where it has been silent for longer than usual, `dead` where its lease has ended and its
    /// slots go to others.
    #[schemars(schema_with = "field::node_status")]
    pub(crate) status: &'static str,
    /// It is about to stop, and hands its slots over.
    pub(crate) is_leaving: bool,
    /// When it started.
    #[schemars(schema_with = "field::moment")]
    pub(crate) started_at: Timestamp,
    /// When it last gave a sign of life, by the clock of the store.
    #[schemars(schema_with = "field::moment")]
    pub(crate) seen_at: Timestamp,
    /// How many of the 1,024 slots are its own. Each webhook falls into one of them, and the owner of its slot sends for it.
    pub(crate) slots: u64,
    /// What it had to do when it last gave a sign of life.
    pub(crate) lag: LagJson,
}

/// What a node has to do.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NodeLag")]
pub(crate) struct LagJson {
    /// Attempts under way.
    pub(crate) in_flight: u64,
    /// Deliveries that are due and wait in its memory. More may wait in the store.
    pub(crate) waiting: u64,
    /// Outcomes on their way to the store.
    pub(crate) unrecorded: u64,
}

/// Whether a node is heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeStatus {
    Alive,
    Late,
    Dead,
}

impl NodeStatus {
    pub(crate) const ALL: [Self; 3] = [Self::Alive, Self::Late, Self::Dead];

    /// Of a node that was silent for so long: it is heard of five times within a lease.
    pub(crate) fn after(silence: Duration, lease: Duration) -> Self {
        if silence > lease {
            Self::Dead
        } else if silence > lease / 2 {
            Self::Late
        } else {
            Self::Alive
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Late => "late",
            Self::Dead => "dead",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_makes_a_node_late_and_then_dead() {
        let after = |millis| NodeStatus::after(Duration::from_millis(millis), Duration::from_secs(5));
        assert_eq!([0, 2_500, 2_501, 5_000, 5_001].map(after), {
            use NodeStatus::{Alive, Dead, Late};
            [Alive, Alive, Late, Late, Dead]
        });
    }
}
