//! Deliveries that are being sent, or whose outcome is being recorded.

use postrider_model::delivery::Progress;
use postrider_model::id::DeliveryId;
use postrider_model::time::{Monotonic, Timestamp};
use rustc_hash::FxHashMap;

use crate::arena::Key;
use crate::budget::Load;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// An attempt is being made.
    InFlight,
    /// The attempt has ended, and what came of it is not durable yet.
    Unrecorded {
        /// When the next attempt is due, once it is.
        next: Option<Timestamp>,
    },
}

/// A delivery between its turn and its outcome being durable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    pub(crate) lane: Key,
    pub(crate) host: Key,
    pub(crate) stage: Stage,
    pub(crate) progress: Progress,
    pub(crate) load: Load,
    pub(crate) is_test: bool,
    /// It took a slot of the urgent.
    pub(crate) is_urgent: bool,
    /// It is of an unproven lane, and was sent less than `PATIENCE` before this.
    pub(crate) fresh_until: Option<Monotonic>,
    /// It probes the circuit of its lane.
    pub(crate) is_probe: bool,
    /// It tries whether the node is well again.
    pub(crate) is_trial: bool,
    /// Its owner wanted an attempt while its outcome was being recorded.
    pub(crate) is_wanted_again: bool,
}

/// All of them. At most `LanesConfig::unrecorded_max`, and what expired in refills.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    by_delivery: FxHashMap<DeliveryId, Flight>,
    in_flight: usize,
}

impl Flights {
    pub(crate) fn insert(&mut self, delivery: DeliveryId, flight: Flight) {
        self.in_flight += usize::from(flight.stage == Stage::InFlight);
        self.by_delivery.insert(delivery, flight);
    }

    /// An attempt has ended. The flight as it was; it stays as unrecorded until `remove` or `set_next`.
    pub(crate) fn land(&mut self, delivery: DeliveryId) -> Option<Flight> {
        let flight = self.by_delivery.get_mut(&delivery)?;
        if flight.stage != Stage::InFlight {
            return None;
        }
        let before = *flight;
        flight.stage = Stage::Unrecorded { next: None };
        self.in_flight = self.in_flight.saturating_sub(1);
        Some(before)
    }

    /// When a landed one is due next.
    pub(crate) fn set_next(&mut self, delivery: DeliveryId, due: Option<Timestamp>) {
        if let Some(Stage::Unrecorded { next }) = self.by_delivery.get_mut(&delivery).map(|flight| &mut flight.stage) {
            *next = due;
        }
    }

    pub(crate) fn get_mut(&mut self, delivery: DeliveryId) -> Option<&mut Flight> {
        self.by_delivery.get_mut(&delivery)
    }

    pub(crate) fn stage(&self, delivery: DeliveryId) -> Option<Stage> {
        self.by_delivery.get(&delivery).map(|flight| flight.stage)
    }

    /// Forgets one that has landed.
    pub(crate) fn remove(&mut self, delivery: DeliveryId) -> Option<Flight> {
        self.by_delivery.remove(&delivery)
    }

    /// Those of one lane, in no order. Costs a look at all flights.
    pub(crate) fn of_lane(&self, lane: Key) -> impl Iterator<Item = DeliveryId> {
        self.by_delivery
            .iter()
            .filter(move |(_, flight)| flight.lane == lane)
            .map(|(delivery, _)| *delivery)
    }

    /// The lane of each, in no order.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = Key> {
        self.by_delivery.values().map(|flight| flight.lane)
    }

    pub(crate) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn unrecorded(&self) -> usize {
        self.by_delivery.len() - self.in_flight
    }

    pub(crate) fn len(&self) -> usize {
        self.by_delivery.len()
    }
}
