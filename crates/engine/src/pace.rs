//! When a group of requests is committed, on a store where each group has its price, however small it is.

use std::time::Duration;

use postrider_model::time::Monotonic;

/// Requests that make a group worth its while at once.
const FULL: usize = 32;
/// How many must have been answered together that it pays to wait for them.
const MANY: usize = 8;
/// How long they are waited for: callers that post one event after the other are back by then.
const PATIENCE: Duration = Duration::from_millis(3);

/// The pace of commits.
#[derive(Debug)]
pub(crate) struct Pace {
    /// From the begin of one commit to that of the next. Zero: each begins when it can.
    interval: Duration,
    not_before: Monotonic,
    /// How many there are when all who were answered last have come back to those who waited then.
    all: usize,
    /// Until when they are waited for.
    patience: Monotonic,
}

impl Pace {
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            not_before: Monotonic::default(),
            all: 0,
            patience: Monotonic::default(),
        }
    }

    /// Until when these wait for others; `None` where they are committed now.
    ///
    /// Callers that wait for an answer before they post again fall into two groups that take turns: one is committed while the other
    /// waits. A short wait behind a commit makes one group of both, at half the price.
    pub(crate) fn wait(&self, waiting: usize, now: Monotonic) -> Option<Monotonic> {
        if self.interval.is_zero() || waiting >= FULL {
            return None;
        }
        let until = if waiting < self.all {
            self.not_before.max(self.patience)
        } else {
            self.not_before
        };
        (until > now).then_some(until)
    }

    /// A group of so many was committed, while so many others began to wait.
    pub(crate) fn committed(&mut self, group: usize, waiting: usize, (began, ended): (Monotonic, Monotonic)) {
        self.not_before = began + self.interval;
        self.all = if group < MANY { 0 } else { group + waiting };
        self.patience = ended + PATIENCE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(3);

    fn at(millis: u64) -> Monotonic {
        Monotonic::default() + Duration::from_millis(millis)
    }

    /// One that has committed `group` from 10 to 12 ms, while `waiting` came.
    fn after(group: usize, waiting: usize) -> Pace {
        let mut pace = Pace::new(INTERVAL);
        pace.committed(group, waiting, (at(10), at(12)));
        pace
    }

    #[test]
    fn who_comes_first_or_after_a_pause_waits_for_nobody() {
        assert_eq!(Pace::new(INTERVAL).wait(1, at(0)), None);
        assert_eq!(after(1, 0).wait(1, at(13)), None);
        assert_eq!(after(20, 0).wait(1, at(15)), None);
    }

    #[test]
    fn a_few_wait_for_the_interval_alone() {
        assert_eq!(after(MANY - 1, 9).wait(9, at(12)), Some(at(13)));
    }

    #[test]
    fn many_who_were_answered_are_waited_for_until_all_are_back() {
        let pace = after(10, 6);
        assert_eq!(pace.wait(6, at(12)), Some(at(15)));
        assert_eq!(pace.wait(15, at(14)), Some(at(15)));
        assert_eq!(pace.wait(16, at(14)), None);
        assert_eq!(pace.wait(16, at(12)), Some(at(13)), "but for the interval");
        assert_eq!(pace.wait(15, at(15)), None, "and no longer");
    }

    #[test]
    fn a_full_group_waits_for_nobody() {
        assert_eq!(after(40, 30).wait(FULL, at(12)), None);
    }

    #[test]
    fn without_an_interval_nothing_waits() {
        let mut pace = Pace::new(Duration::ZERO);
        pace.committed(20, 5, (at(10), at(12)));
        assert_eq!(pace.wait(5, at(12)), None);
    }
}
