//! What people are shown of the nodes that share a store.

use std::time::Duration;

use postrider_model::slot::SLOTS;
use postrider_ports::StoreError;
use postrider_ports::nodes::{NodeReport, NodeSeen, NodeToken, Roster};

use crate::Engine;

/// The nodes of a store, as this one sees them.
#[derive(Clone, Debug)]
pub struct NodeList {
    /// Which of them this is.
    pub this: NodeToken,
    /// All of them, and who owns which slot.
    pub roster: Roster,
    /// Whether this node holds its lease at this moment, by its own clock: without it, it sends nothing.
    pub has_lease: bool,
}

/// What a node among others holds, as it knows by itself: whoever asks for it waits for no store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Slots that it sends for.
    pub slots: usize,
    /// How long its lease still holds; zero without one.
    pub lease_left: Duration,
    /// Nodes that own slots, as it last heard.
    pub owners: usize,
}

/// What a node alone goes by.
const ALONE: NodeToken = NodeToken(0);

impl Engine {
    /// The nodes of the store. A node alone is one that owns every slot.
    ///
    /// # Errors
    /// The store is gone.
    pub async fn nodes(&self) -> Result<NodeList, StoreError> {
        let parts = &self.inner.parts;
        let (Some(nodes), Some(others)) = (&parts.nodes, &self.inner.others) else {
            return Ok(self.alone());
        };
        Ok(NodeList {
            this: others.owners.token(),
            roster: nodes.roster().await?,
            has_lease: others.owners.has_lease(parts.clock.mono()),
        })
    }

    /// What this node holds; `None` for a node alone, which holds everything.
    pub fn holding(&self) -> Option<Holding> {
        let owners = &self.inner.others.as_ref()?.owners;
        Some(Holding {
            slots: owners.own().iter().count(),
            lease_left: owners.lease_left(self.inner.parts.clock.mono()),
            owners: owners.nodes(),
        })
    }

    /// Whether this node sends: it runs lanes and background steps.
    pub fn is_dispatching(&self) -> bool {
        self.inner.parts.nodes.is_none() || self.inner.settings.node.roles.dispatch
    }

    fn alone(&self) -> NodeList {
        let (inner, load) = (&self.inner, self.load());
        let node = &inner.settings.node;
        let wall = inner.parts.clock.wall();
        let seen = NodeSeen {
            token: ALONE,
            beat: 0,
            seen_at: wall,
            report: NodeReport {
                name: node.name.clone(),
                version: node.version.clone(),
                roles: node.roles,
                started_at: inner.started_at,
                in_flight: load.in_flight as u64,
                waiting: load.waiting as u64,
                unrecorded: load.unrecorded as u64,
                is_leaving: false,
            },
        };
        NodeList {
            this: ALONE,
            roster: Roster {
                nodes: vec![seen],
                owners: vec![Some(ALONE); usize::from(SLOTS)],
                ..Roster::empty(wall)
            },
            has_lease: true,
        }
    }
}
