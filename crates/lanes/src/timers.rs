//! Which lane is to be looked at when.

use std::collections::BTreeSet;

use postrider_model::time::{Monotonic, Now, Timestamp};

use crate::arena::Key;

/// Moments at which lanes wake: at most one of each kind for each lane.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    /// By the wall clock: what sleeps in the store is due.
    dues: BTreeSet<(Timestamp, Key)>,
    /// By the monotonic clock: a circuit lets a probe through, or the store is to be asked again.
    wakes: BTreeSet<(Monotonic, Key)>,
}

impl Timers {
    /// The lane wakes at `new` and no longer at `old`.
    pub(crate) fn set_due(&mut self, lane: Key, old: Option<Timestamp>, new: Option<Timestamp>) {
        if let Some(old) = old {
            self.dues.remove(&(old, lane));
        }
        if let Some(new) = new {
            self.dues.insert((new, lane));
        }
    }

    /// The lane wakes at `new` and no longer at `old`.
    pub(crate) fn set_wake(&mut self, lane: Key, old: Option<Monotonic>, new: Option<Monotonic>) {
        if let Some(old) = old {
            self.wakes.remove(&(old, lane));
        }
        if let Some(new) = new {
            self.wakes.insert((new, lane));
        }
    }

    /// A lane whose moment has come. It stays until the lane's timer is set anew.
    pub(crate) fn first_passed(&self, now: Now) -> Option<Key> {
        let due = self.dues.first().filter(|(at, _)| *at <= now.wall).map(|(_, lane)| *lane);
        due.or_else(|| self.wakes.first().filter(|(at, _)| *at <= now.mono).map(|(_, lane)| *lane))
    }

    /// The first moment of all, as far as can be told at `now`: the wall clock may jump.
    pub(crate) fn next(&self, now: Now) -> Option<Monotonic> {
        let due = self.dues.first().map(|(at, _)| now.mono + at.since(now.wall));
        let wake = self.wakes.first().map(|(at, _)| *at);
        [due, wake].into_iter().flatten().min()
    }
}
