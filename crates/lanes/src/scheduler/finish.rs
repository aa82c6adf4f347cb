//! An attempt ended, or its outcome is durable.

use std::time::Duration;

use postrider_model::delivery::Change;
use postrider_model::id::DeliveryId;

use super::Scheduler;
use crate::arena::Key;
use crate::command::Command;
use crate::flight::{Flight, Stage};
use crate::input::Finish;
use crate::lane::{Lane, Place};
use crate::limit::Bounds;

impl Scheduler {
    pub(super) fn finished(&mut self, delivery: DeliveryId, finish: Finish, out: &mut Vec<Command>) {
        let Some(flight) = self.flights.land(delivery) else { return };
        let in_flight = self.land(&flight);
        match finish {
            Finish::Succeeded { latency } => {
                self.answered(&flight, Some((latency, in_flight)), out);
                let number = flight.progress.attempts.saturating_add(1);
                self.record(&flight, delivery, Change::Succeeded { number }, out);
            }
            Finish::Failed { is_illness, retry_after } => {
                if is_illness {
                    self.fell_ill(&flight, out);
                } else {
                    self.answered(&flight, None, out);
                }
                if is_illness && self.node.owns_failures() {
                    // Rule 7: not recorded, and tried again soon.
                    self.back_to_store(&flight, delivery);
                } else {
                    self.record_failure(&flight, delivery, retry_after, out);
                }
            }
            Finish::LocalFault => {
                self.probe_lost(&flight);
                if self.node.local_fault(self.now.mono) {
                    out.push(Command::NodeIll { is_ill: true });
                }
                self.back_to_store(&flight, delivery);
            }
            Finish::Withdrawn { standing } => {
                self.probe_lost(&flight);
                self.back_to_store(&flight, delivery);
                self.stand(flight.lane, standing);
            }
        }
        self.wake_host(flight.host);
        self.settle(flight.lane);
    }

    pub(super) fn recorded(&mut self, delivery: DeliveryId) {
        let Some(flight) = self.forget(delivery) else { return };
        let Some(lane) = self.lanes.get_mut(flight.lane) else { return };
        if let Stage::Unrecorded { next: Some(due) } = flight.stage {
            Self::sleep_until(lane, due);
            if let Some(asked) = &mut lane.asked {
                asked.next_due = Some(asked.next_due.map_or(due, |earlier| earlier.min(due)));
            }
        }
        lane.wants_refill |= flight.is_wanted_again;
        self.settle(flight.lane);
    }

    /// Gives back what the attempt held. How many requests of its lane and of its host were in flight, itself included.
    fn land(&mut self, flight: &Flight) -> (u32, u32) {
        self.release(flight.lane, flight.load);
        if flight.is_trial {
            self.node.trial_ended();
        }
        if flight.fresh_until.is_some() {
            self.slots.end_fresh();
        }
        let of_host = self.hosts.get_mut(flight.host).map_or(0, |host| {
            host.in_flight = host.in_flight.saturating_sub(1);
            host.in_flight + 1
        });
        let Some(lane) = self.lanes.get_mut(flight.lane) else {
            return (0, of_host);
        };
        lane.unrecorded += 1;
        if flight.is_urgent {
            lane.urgent_in_flight = lane.urgent_in_flight.saturating_sub(1);
            self.slots.give_back_urgent();
            return (0, of_host);
        }
        let of_lane = lane.in_flight;
        lane.in_flight = lane.in_flight.saturating_sub(1);
        self.slots.give_back(lane.class);
        (of_lane, of_host)
    }

    /// The receiver answered; with latency and numbers in flight where it acknowledged.
    fn answered(&mut self, flight: &Flight, success: Option<(Duration, (u32, u32))>, out: &mut Vec<Command>) {
        if self.node.answered(flight.is_trial) {
            out.push(Command::NodeIll { is_ill: false });
        }
        if flight.is_test {
            return;
        }
        let (lane_bounds, host_bounds) = (self.lane_bounds(), self.host_bounds());
        if let Some(host) = self.hosts.get_mut(flight.host) {
            host.is_proven = true;
            if let Some((latency, (_, of_host))) = success {
                host.limit.succeeded(latency, of_host, host_bounds);
            }
        }
        let is_new = self.with_circuit(flight.lane, |lane| {
            if let Some((latency, (of_lane, _))) = success {
                lane.limit.succeeded(latency, of_lane, lane_bounds);
            }
            lane.answered()
        });
        self.store_health(flight.lane, is_new, out);
    }

    /// The receiver could not be reached, or kept silent: or it is our own fault.
    fn fell_ill(&mut self, flight: &Flight, out: &mut Vec<Command>) {
        if flight.is_trial && self.node.trial_was_sent() {
            out.push(Command::NodeIll { is_ill: false });
        }
        if flight.is_test {
            return;
        }
        let now = self.now;
        let proven = self
            .hosts
            .get(flight.host)
            .filter(|host| host.is_proven)
            .map(crate::host::Host::name);
        if let Some(name) = proven
            && self.node.host_fell_ill(name, now.mono)
        {
            out.push(Command::NodeIll { is_ill: true });
        }
        if self.node.owns_failures() {
            self.probe_lost(flight);
            return;
        }
        if let Some(host) = self.hosts.get_mut(flight.host) {
            host.limit.halve();
        }
        let is_new = self.with_circuit(flight.lane, |lane| lane.fell_ill(flight.is_probe, now));
        self.store_health(flight.lane, is_new, out);
    }

    fn store_health(&self, key: Key, is_new: Option<bool>, out: &mut Vec<Command>) {
        if is_new == Some(true)
            && let Some(Lane {
                account, webhook, health, ..
            }) = self.lanes.get(key)
        {
            out.push(Command::StoreHealth {
                account: *account,
                webhook: *webhook,
                health: *health,
            });
        }
    }

    fn record_failure(&mut self, flight: &Flight, delivery: DeliveryId, retry_after: Option<Duration>, out: &mut Vec<Command>) {
        let next = self
            .config
            .schedule
            .next_due(flight.progress, self.now.wall, retry_after, &mut self.chance);
        self.flights.set_next(delivery, next);
        let number = flight.progress.attempts.saturating_add(1);
        self.record(flight, delivery, Change::AttemptFailed { number, next }, out);
    }

    fn record(&self, flight: &Flight, delivery: DeliveryId, change: Change, out: &mut Vec<Command>) {
        let Some(lane) = self.lanes.get(flight.lane) else { return };
        out.push(Command::Record {
            account: lane.account,
            webhook: lane.webhook,
            delivery,
            change,
        });
    }

    /// No attempt was made, or none that counts: the store still has it as due.
    fn back_to_store(&mut self, flight: &Flight, delivery: DeliveryId) {
        self.forget(delivery);
        if let Some(lane) = self.lanes.get_mut(flight.lane) {
            lane.wants_refill = true;
        }
    }

    fn probe_lost(&mut self, flight: &Flight) {
        let now = self.now.mono;
        if flight.is_probe
            && let Some(lane) = self.lanes.get_mut(flight.lane)
        {
            lane.circuit.probe_lost(now);
        }
    }

    /// Nothing more is known of a delivery whose attempt has ended.
    fn forget(&mut self, delivery: DeliveryId) -> Option<Flight> {
        if self.flights.stage(delivery)? == Stage::InFlight {
            return None;
        }
        let flight = self.flights.remove(delivery)?;
        self.hosts.release(flight.host);
        if let Some(lane) = self.lanes.get_mut(flight.lane) {
            lane.unrecorded = lane.unrecorded.saturating_sub(1);
        }
        Some(flight)
    }

    /// Lanes that waited for room with the host get their turn: as many as there is room for.
    pub(super) fn wake_host(&mut self, name: Key) {
        let Some(host) = self.hosts.get(name) else { return };
        let room = host.limit.get().saturating_sub(host.in_flight);
        for _ in 0..room {
            let Some(key) = self.hosts.get(name).and_then(|host| host.waiting.first()) else {
                return;
            };
            self.put(key, Place::Nowhere);
            self.settle(key);
        }
    }

    fn lane_bounds(&self) -> Bounds {
        // A receiver that was well and hangs from now on must not hold all slots, whatever it was used to.
        let quarter = u32::try_from(self.config.in_flight_max / 4).unwrap_or(u32::MAX);
        let share = quarter.max(self.config.lane_in_flight_start);
        Bounds {
            max: self.config.lane_in_flight_max.min(share),
            stretched_max: self.config.lane_in_flight_stretched_max.min(share),
        }
    }

    const fn host_bounds(&self) -> Bounds {
        Bounds {
            max: self.config.host_in_flight_max,
            stretched_max: self.config.host_in_flight_stretched_max,
        }
    }
}
