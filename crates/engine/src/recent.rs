//! Which deliveries were recorded lately: so that what was read of the store before that is not taken for news.

use std::collections::VecDeque;

use postrider_model::id::DeliveryId;

/// How many are remembered.
const RECENT_MAX: usize = 4_096;

/// Counts what is recorded. Holds the ids of the last `RECENT_MAX`.
#[derive(Default)]
pub(crate) struct Recent {
    /// Newest last.
    ids: VecDeque<DeliveryId>,
    count: u64,
}

impl Recent {
    /// How many were recorded so far: a mark to ask from.
    pub(crate) const fn mark(&self) -> u64 {
        self.count
    }

    pub(crate) fn push(&mut self, delivery: DeliveryId) {
        if self.ids.len() >= RECENT_MAX {
            self.ids.pop_front();
        }
        self.ids.push_back(delivery);
        self.count += 1;
    }

    /// Whether the delivery was recorded since the mark, or may have been: so many came since that nobody knows.
    pub(crate) fn may_have_since(&self, mark: u64, delivery: DeliveryId) -> bool {
        let since = usize::try_from(self.count.saturating_sub(mark)).unwrap_or(usize::MAX);
        since > self.ids.len() || self.ids.iter().rev().take(since).any(|id| *id == delivery)
    }
}

#[cfg(test)]
mod tests {
    use super::{DeliveryId, RECENT_MAX, Recent};

    fn id(number: usize) -> DeliveryId {
        DeliveryId::from_u128(number as u128)
    }

    #[test]
    fn only_what_came_after_the_mark_counts() {
        let mut recent = Recent::default();
        recent.push(id(1));
        let mark = recent.mark();
        assert!(!recent.may_have_since(mark, id(1)));
        recent.push(id(2));
        assert!(!recent.may_have_since(mark, id(1)));
        assert!(recent.may_have_since(mark, id(2)));
        assert!(recent.may_have_since(0, id(1)));
    }

    #[test]
    fn what_nobody_remembers_may_have_been() {
        let mut recent = Recent::default();
        for number in 0..RECENT_MAX + 1 {
            recent.push(id(number));
        }
        assert_eq!(recent.ids.len(), RECENT_MAX);
        assert!(recent.may_have_since(0, id(0)), "forgotten");
        assert!(!recent.may_have_since(1, id(0)), "it was the first");
    }
}
