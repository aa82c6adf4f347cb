//! Numbers for metrics.

/// How the scheduler stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Attempts under way.
    pub in_flight: usize,
    /// Outcomes that are not durable yet.
    pub unrecorded: usize,
    /// Webhooks in memory.
    pub lanes: usize,
    /// Of these, such as have nothing to do and are kept for what was learned of their receivers.
    pub idle_lanes: usize,
    /// Hosts in memory.
    pub hosts: usize,
    /// Deliveries that are due and wait in memory.
    pub waiting: usize,
    /// Deliveries in memory, those in flight and room kept for refills included.
    pub memory_rows: usize,
    /// Their bytes.
    pub memory_bytes: usize,
    /// Refills under way.
    pub refills: usize,
    /// Lanes that wait for a refill.
    pub refills_waiting: usize,
    /// Webhooks whose circuit is open.
    pub circuits_open: usize,
    /// Whether the node is taken for ill.
    pub is_ill: bool,
}
