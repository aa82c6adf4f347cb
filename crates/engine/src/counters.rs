//! What the engine counts for `/metrics`. Written with relaxed atomics, once per group where there is one; nobody decides by them.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use postrider_model::attempt::ErrorKind;
use postrider_model::delivery::{Change, FailedReason};
use postrider_ports::store::{OutcomeRecord, Recorded};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Counts so many more.
    pub fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicUsize);

impl Gauge {
    /// It is this now.
    pub fn set(&self, now: usize) {
        self.0.store(now, Ordering::Relaxed);
    }

    /// It is one more.
    pub fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// It is one less.
    pub fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// What it is.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// All of them, since the process started.
#[derive(Debug, Default)]
pub struct Counters {
    /// Events that were stored as new.
    pub events_accepted: Count,
    /// Groups in which they were committed.
    pub ingest_groups: Count,
    /// Deliveries that were made with them.
    pub deliveries_created: Count,
    /// Deliveries that were acknowledged.
    pub deliveries_succeeded: Count,
    /// Deliveries that failed for good, as `FailedReason` numbers them from 1.
    deliveries_failed: [Count; FailedReason::ALL.len()],
    /// Attempts that were acknowledged.
    pub attempts_succeeded: Count,
    /// Attempts that failed, as `ErrorKind` numbers them from 1.
    attempts_failed: [Count; ErrorKind::ALL.len()],
    /// Groups in which outcomes were recorded.
    pub outcome_groups: Count,
    /// Attempts that were not made for a fault on our own side.
    pub local_faults: Count,
    /// Jobs that run, as the runner knows them.
    pub jobs_running: Gauge,
    /// Events that were taken away at the end of retention.
    pub events_retired: Count,
    /// Deliveries that were taken away at the end of retention.
    pub deliveries_retired: Count,
}

impl Counters {
    /// Attempts that failed for this.
    pub fn attempts_failed(&self, kind: ErrorKind) -> u64 {
        self.attempts_failed.get(kind as usize - 1).map_or(0, Count::get)
    }

    /// Deliveries that failed for this.
    pub fn deliveries_failed(&self, reason: FailedReason) -> u64 {
        self.deliveries_failed.get(reason as usize - 1).map_or(0, Count::get)
    }

    /// A group of outcomes was recorded.
    pub(crate) fn recorded<'a>(&self, group: impl Iterator<Item = (&'a OutcomeRecord, Recorded)>) {
        let (mut attempts, mut deliveries) = (0, 0);
        for (outcome, recorded) in group {
            match outcome.attempt.as_ref().map(|attempt| attempt.error.as_ref()) {
                Some(None) => attempts += 1,
                Some(Some(error)) => add_one(&self.attempts_failed, error.kind as usize),
                None => {}
            }
            match outcome.change {
                _ if recorded != Recorded::Applied => {}
                Change::Succeeded { .. } => deliveries += 1,
                Change::AttemptFailed { next: None, .. } => add_one(&self.deliveries_failed, FailedReason::Exhausted as usize),
                Change::Expired => add_one(&self.deliveries_failed, FailedReason::Expired as usize),
                Change::AttemptFailed { next: Some(_), .. } | Change::WebhookDeleted | Change::Retried => {}
            }
        }
        self.attempts_succeeded.add(attempts);
        self.deliveries_succeeded.add(deliveries);
        self.outcome_groups.add(1);
    }
}

fn add_one(counts: &[Count], number: usize) {
    if let Some(count) = counts.get(number.wrapping_sub(1)) {
        count.add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_and_reason_has_a_place_of_its_own() {
        let counters = Counters::default();
        for (index, kind) in ErrorKind::ALL.into_iter().enumerate() {
            (0..=index).for_each(|_| add_one(&counters.attempts_failed, kind as usize));
        }
        let counted = ErrorKind::ALL.map(|kind| counters.attempts_failed(kind));
        assert_eq!(counted, [1, 2, 3, 4, 5, 6, 7]);
        add_one(&counters.deliveries_failed, FailedReason::Expired as usize);
        assert_eq!(FailedReason::ALL.map(|reason| counters.deliveries_failed(reason)), [0, 1, 0]);
    }
}
