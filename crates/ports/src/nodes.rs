//! Nodes that share a store: who is alive, who owns which slot, and how one wakes another. A store that one process alone uses has none
//! of this: its node owns every slot.

use async_trait::async_trait;
use postrider_model::id::{AccountId, WebhookId};
use postrider_model::queue::{Position, Queued};
use postrider_model::slot::{SLOTS, Slot};
use postrider_model::time::Timestamp;

use crate::error::StoreError;
use crate::registry::AccountVersion;

/// Names one run of a node, and what it holds its slots by: random, never a counter, which a lagging replica would hand out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeToken(pub u128);

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// It answers requests.
    pub api: bool,
    /// It owns slots, and sends for their webhooks.
    pub dispatch: bool,
}

/// What a node says of itself with each beat, for people to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeReport {
    /// As its operator named it; the name of the machine where he did not.
    pub name: String,
    /// The version of its binary.
    pub version: String,
    /// What it does.
    pub roles: Roles,
    /// When it started.
    pub started_at: Timestamp,
    /// Attempts under way.
    pub in_flight: u64,
    /// Deliveries that are due and wait in its memory.
    pub waiting: u64,
    /// Outcomes on their way to the store.
    pub unrecorded: u64,
    /// It takes no slots any more and hands its own over: it is about to stop.
    pub is_leaving: bool,
}

/// A node as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSeen {
    /// Which run of it.
    pub token: NodeToken,
    /// Changes with each beat: a row that stays unchanged for a lease and a margin is that of a dead node. A row that is made anew does not
    /// begin where one of the same token began before: else whoever has slept meanwhile could take it for unchanged.
    pub beat: u64,
    /// When its last beat was, by the store's clock. For people: nothing is decided by it.
    pub seen_at: Timestamp,
    /// What it said last.
    pub report: NodeReport,
}

/// The nodes of a store, and who owns its slots, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    /// The store's clock at that moment: all its nodes go by this one.
    pub wall: Timestamp,
    /// Which history of the store this is: it changes with a failover. Then what was cached may be of writes that are lost.
    pub history: u64,
    /// All that have a row, in the order of their tokens; at most `NODES_MAX`.
    pub nodes: Vec<NodeSeen>,
    /// Who owns each slot, `None` where nobody does; `SLOTS` entries.
    pub owners: Vec<Option<NodeToken>>,
}

/// Nodes that one store takes.
pub const NODES_MAX: usize = 256;

impl Roster {
    /// Who owns a slot.
    pub fn owner(&self, slot: Slot) -> Option<NodeToken> {
        self.owners.get(usize::from(slot.number())).copied().flatten()
    }

    /// One with no nodes, at this moment.
    pub fn empty(wall: Timestamp) -> Self {
        Self {
            wall,
            history: 0,
            nodes: Vec::new(),
            owners: vec![None; usize::from(SLOTS)],
        }
    }
}

/// A delivery that was just stored, for the node that sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// As it stands in the queue: not urgent, due since its event was made, never tried.
    pub queued: Queued,
    /// The version of its account that it was committed with: who knows another one reads the store.
    pub version: AccountVersion,
}

/// What a node is woken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A delivery of its slots was stored elsewhere, and comes along, so that it need not be read.
    Committed(Box<Committed>),
    /// Work for a webhook of its slots was stored elsewhere.
    Work {
        /// Whose it is.
        account: AccountId,
        /// Which webhook.
        webhook: WebhookId,
        /// Where the last of it stands.
        through: Position,
    },
    /// Work that was not told one by one, for it is too much, or nobody knows whose: look at all that waits.
    AnyWork,
    /// The feed of changes (`Registry::changes`) has grown.
    Changes,
    /// Slots were released: whoever should have them may take them.
    Slots,
    /// Wakes were lost, of any kind: look at everything.
    Missed,
}

/// Nodes that share a store. Every call but `woken` is durable when it returns.
#[async_trait]
pub trait Nodes: Send + Sync + 'static {
    /// Renews this node's lease; the first time, and after its row was removed, makes its row. Tells who else is there. Runs on a
    /// connection of its own, that nothing else waits for.
    ///
    /// # Errors
    /// The store is gone, read-only, or has `NODES_MAX` nodes.
    async fn beat(&self, token: NodeToken, report: NodeReport) -> Result<Roster, StoreError>;

    /// The roster without a beat.
    async fn roster(&self) -> Result<Roster, StoreError>;

    /// Takes slots for the node, each where its owner still is the one named: compare-and-set. Those that it got.
    async fn take_slots(&self, token: NodeToken, slots: Vec<(Slot, Option<NodeToken>)>) -> Result<Vec<Slot>, StoreError>;

    /// Gives slots up that are the node's own; others are left as they are.
    async fn release_slots(&self, token: NodeToken, slots: Vec<Slot>) -> Result<(), StoreError>;

    /// Removes the row of a node whose beat still is the one named, and frees the slots that it had. False where it has beaten since.
    async fn remove_node(&self, token: NodeToken, beat: u64) -> Result<bool, StoreError>;

    /// Wakes a node, or all others (`None`). Best effort: beneath it lies the sweep. Never inside a transaction that commits work. A
    /// `Committed` that is too large for the way may come as `Work`.
    async fn wake(&self, from: NodeToken, to: Option<NodeToken>, wakes: Vec<Wake>) -> Result<(), StoreError>;

    /// Waits until this node is woken; what it is woken for. Wakes that are lost (a connection that broke) come as `Missed`. One task at a
    /// time asks.
    async fn woken(&self, token: NodeToken) -> Result<Vec<Wake>, StoreError>;
}
