//! How far webhooks' fresh deliveries are known to be over.
//!
//! What has ended stays in the indexes of the queue until it is cleaned up: for a minute, or for as long as somebody holds a snapshot open.
//! A read that began at the front of a webhook would step over all of it each time. But fresh rows stand in the order of the transactions that
//! brought them: what a snapshot does not show below its oldest open transaction never comes any more. So the next read begins there.

use parking_lot::Mutex;
use postrider_model::id::{AccountId, WebhookId};
use rustc_hash::FxHashMap;

/// Webhooks that are remembered. Of the others all is read.
const MARKS_MAX: usize = 100_000;

/// Which webhook.
pub(crate) type Of = (AccountId, WebhookId);

/// What reads have learned. Written and read by the reads of what is pending.
#[derive(Default)]
pub(crate) struct Marks(Mutex<Learned>);

#[derive(Default)]
struct Learned {
    /// Which run of the server all is about: after a failover the ids of transactions may come again.
    server: i64,
    /// Before which transaction nothing fresh of a webhook has a place, nor ever will; 0 where that is still to be seen. At most `MARKS_MAX`.
    of: FxHashMap<Of, i64>,
}

impl Marks {
    /// Which run of the server they are about, and where some webhooks begin.
    pub(crate) fn begins(&self, of: impl Iterator<Item = Of>) -> (i64, Vec<i64>) {
        let learned = self.0.lock();
        (learned.server, of.map(|one| learned.of.get(&one).copied().unwrap_or(0)).collect())
    }

    /// Of those webhooks that have a key, the `count` with the lowest, in no order, with where they begin; and which run of the server that is
    /// about.
    pub(crate) fn lowest<K: Ord + Copy>(&self, count: usize, key: impl Fn(&Of) -> Option<K>) -> (i64, Vec<(Of, K, i64)>) {
        let learned = self.0.lock();
        let asked = learned.of.iter().filter_map(|(of, major)| Some((*of, key(of)?, *major)));
        let mut lowest: Vec<(Of, K, i64)> = asked.collect();
        if lowest.len() > count {
            lowest.select_nth_unstable_by_key(count, |(_, key, _)| *key);
            lowest.truncate(count);
        }
        (learned.server, lowest)
    }

    /// Notes webhooks that got something: they are looked at next.
    pub(crate) fn note(&self, of: impl Iterator<Item = Of>) {
        let mut learned = self.0.lock();
        for of in of {
            if learned.of.len() >= MARKS_MAX {
                return;
            }
            learned.of.entry(of).or_insert(0);
        }
    }

    /// Forgets webhooks that are gone.
    pub(crate) fn forget(&self, gone: impl Iterator<Item = Of>) {
        let mut learned = self.0.lock();
        for of in gone {
            learned.of.remove(&of);
        }
    }

    /// Notes where webhooks begin, as a read of this run of the server has seen it.
    pub(crate) fn learn(&self, server: i64, begins: impl IntoIterator<Item = (Of, i64)>) {
        let mut learned = self.0.lock();
        if learned.server != server {
            *learned = Learned {
                server,
                of: FxHashMap::default(),
            };
        }
        for (of, major) in begins {
            if let Some(known) = learned.of.get_mut(&of) {
                *known = major.max(*known);
            } else if learned.of.len() < MARKS_MAX {
                learned.of.insert(of, major);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: u128) -> Of {
        (AccountId::from_u128(1), WebhookId::from_u128(number))
    }

    #[test]
    fn a_mark_only_moves_on() {
        let marks = Marks::default();
        marks.learn(7, [(of(1), 10), (of(1), 30), (of(1), 20)]);
        assert_eq!(marks.begins([of(1), of(2)].into_iter()), (7, vec![30, 0]));
    }

    #[test]
    fn another_run_of_the_server_begins_anew() {
        let marks = Marks::default();
        marks.learn(7, [(of(1), 10)]);
        marks.learn(8, [(of(2), 5)]);
        assert_eq!(marks.begins([of(1), of(2)].into_iter()), (8, vec![0, 5]));
    }

    #[test]
    fn the_lowest_are_told() {
        let marks = Marks::default();
        marks.learn(7, (1..=5).map(|number| (of(number), 10)));
        marks.learn(7, [(of(2), 100)]);
        marks.note([of(6), of(2)].into_iter());
        let lowest = |count, first: u128| {
            let key = |of: &Of| Some(of.1.as_u128()).filter(|number| *number >= first);
            let mut lowest: Vec<(u128, i64)> = marks.lowest(count, key).1.into_iter().map(|(_, key, major)| (key, major)).collect();
            lowest.sort_unstable();
            lowest
        };
        assert_eq!(lowest(2, 1), [(1, 10), (2, 100)]);
        assert_eq!(lowest(9, 5), [(5, 10), (6, 0)], "of one that got something it is to be seen");
        marks.forget([of(6)].into_iter());
        assert_eq!(lowest(9, 5), [(5, 10)]);
    }
}
