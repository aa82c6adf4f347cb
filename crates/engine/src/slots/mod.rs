//! Slots among nodes: who is alive, who should own what, and what of it this node may send for at this moment. Nodes know each other by
//! the store alone.
//!
//! ```text
//! keeper (beats) ─roster─▶ mover: membership decides ─▶ take, hand over ─▶ lanes (Own, Disown) and the sweep
//!    └── lease ──▶ owners: asked before each attempt; `lease` tells the lanes when it runs out
//! ```

pub(crate) mod keeper;
pub(crate) mod lease;
pub(crate) mod membership;
pub(crate) mod mover;
pub(crate) mod owners;
pub(crate) mod rendezvous;
