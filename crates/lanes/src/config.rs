//! What the operator, or a test, may set.

use crate::retry::RetrySchedule;

/// Limits of the scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanesConfig {
    /// When a failed delivery is tried again.
    pub schedule: RetrySchedule,
    /// Requests in flight, all together: the slots.
    pub in_flight_max: usize,
    /// Requests in flight that a lane starts with.
    pub lane_in_flight_start: u32,
    /// Requests in flight that a lane reaches by success alone.
    pub lane_in_flight_max: u32,
    /// Requests in flight that a lane reaches beyond that while latency holds; never more than a quarter of the slots.
    pub lane_in_flight_stretched_max: u32,
    /// Requests in flight that a host starts with.
    pub host_in_flight_start: u32,
    /// Requests in flight that a host reaches by success alone.
    pub host_in_flight_max: u32,
    /// Requests in flight that a host reaches beyond that while latency holds.
    pub host_in_flight_stretched_max: u32,
    /// Bytes of deliveries in memory, all together, those in flight included. A body counts in full for each of its deliveries.
    pub memory_bytes_max: usize,
    /// Deliveries in memory, all together, those in flight included.
    pub memory_rows_max: usize,
    /// Deliveries that wait in memory for one lane.
    pub lane_rows_max: usize,
    /// Deliveries in flight and outcomes not recorded yet, together. More than this many are never repeated after an outage.
    pub unrecorded_max: usize,
    /// Refills under way at once.
    pub refills_max: usize,
    /// Lanes kept although they have nothing to do, for what was learned of their receivers.
    pub idle_lanes_max: usize,
}

impl Default for LanesConfig {
    fn default() -> Self {
        Self {
            schedule: RetrySchedule::default(),
            in_flight_max: 4_096,
            lane_in_flight_start: 2,
            lane_in_flight_max: 64,
            lane_in_flight_stretched_max: 1_024,
            host_in_flight_start: 8,
            host_in_flight_max: 256,
            host_in_flight_stretched_max: 4_096,
            memory_bytes_max: 24 * 1024 * 1024,
            memory_rows_max: 65_536,
            lane_rows_max: 1_024,
            unrecorded_max: 8_192,
            refills_max: 64,
            idle_lanes_max: 4_096,
        }
    }
}
