//! The deliveries of one lane that are due and in memory.

use std::collections::VecDeque;

use postrider_model::id::DeliveryId;
use postrider_model::queue::Queued;

#[derive(Debug, Default)]
struct Rows {
    /// Tests and manual retries: before all else. At most `LanesConfig::lane_rows_max`, and those of one refill.
    urgent: VecDeque<Queued>,
    /// First attempts. With `retries` at most `LanesConfig::lane_rows_max`, and one.
    fresh: VecDeque<Queued>,
    /// Later ones, within the same limit. They take turns with the first.
    retries: VecDeque<Queued>,
    is_retry_next: bool,
}

/// Rows of one lane that wait in memory, at most `LanesConfig::lane_rows_max` and what the owner asked to send at once. Small where there is none.
#[derive(Debug)]
pub(crate) struct Queues(Option<Box<Rows>>);

impl Queues {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    pub(crate) fn push(&mut self, queued: Queued) {
        let rows = self.0.get_or_insert_default();
        if queued.is_urgent {
            rows.urgent.push_back(queued);
        } else if queued.progress.in_schedule() == 0 {
            rows.fresh.push_back(queued);
        } else {
            rows.retries.push_back(queued);
        }
    }

    pub(crate) fn pop_urgent(&mut self) -> Option<Queued> {
        self.0.as_mut()?.urgent.pop_front()
    }

    /// First attempts and retries in turn, so that neither starves the other.
    pub(crate) fn pop_ordinary(&mut self) -> Option<Queued> {
        let rows = self.0.as_mut()?;
        let (first, second) = if rows.is_retry_next {
            (&mut rows.retries, &mut rows.fresh)
        } else {
            (&mut rows.fresh, &mut rows.retries)
        };
        let popped = first.pop_front().or_else(|| second.pop_front())?;
        rows.is_retry_next = popped.progress.in_schedule() == 0;
        Some(popped)
    }

    /// The one that would wait longest, to give it back to the store.
    pub(crate) fn pop_last_ordinary(&mut self) -> Option<Queued> {
        let rows = self.0.as_mut()?;
        if rows.retries.len() > rows.fresh.len() {
            rows.retries.pop_back()
        } else {
            rows.fresh.pop_back()
        }
    }

    /// Takes out all that is no test; tests stay.
    pub(crate) fn take_all_but_tests(&mut self) -> Vec<Queued> {
        let Some(rows) = self.0.as_mut() else { return Vec::new() };
        let (tests, urgent): (VecDeque<_>, VecDeque<_>) = rows.urgent.drain(..).partition(Queued::is_test);
        rows.urgent = tests;
        urgent
            .into_iter()
            .chain(rows.fresh.drain(..))
            .chain(rows.retries.drain(..))
            .collect()
    }

    /// Takes one delivery out, wherever it is. Costs a look at all rows: for what a person asked for.
    pub(crate) fn take(&mut self, delivery: DeliveryId) -> Option<Queued> {
        let rows = self.0.as_mut()?;
        [&mut rows.urgent, &mut rows.fresh, &mut rows.retries]
            .into_iter()
            .find_map(|queue| {
                let at = queue.iter().position(|queued| queued.delivery == delivery)?;
                queue.remove(at)
            })
    }

    pub(crate) fn urgent(&self) -> usize {
        self.0.as_ref().map_or(0, |rows| rows.urgent.len())
    }

    pub(crate) fn ordinary(&self) -> usize {
        self.0.as_ref().map_or(0, |rows| rows.fresh.len() + rows.retries.len())
    }

    pub(crate) fn len(&self) -> usize {
        self.urgent() + self.ordinary()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = DeliveryId> {
        let rows = self.0.as_ref().into_iter();
        rows.flat_map(|rows| rows.urgent.iter().chain(&rows.fresh).chain(&rows.retries))
            .map(|queued| queued.delivery)
    }

    /// Gives its memory back, where it is empty.
    pub(crate) fn shrink(&mut self) {
        if self.len() == 0 {
            self.0 = None;
        }
    }
}
