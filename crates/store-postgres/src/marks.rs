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
    /// At most `MARKS_MAX`.
    of: FxHashMap<Of, Mark>,
}

/// Nothing fresh of a webhook has a place before the transaction `major`, nor ever will.
#[derive(Clone, Copy)]
struct Mark {
    major: i64,
    /// Where it stood first: what lies between was stepped over once.
    first: i64,
}

impl Marks {
    /// Which run of the server they are about, and where some webhooks begin.
    pub(crate) fn begins(&self, of: impl Iterator<Item = Of>) -> (i64, Vec<i64>) {
        let learned = self.0.lock();
        (
            learned.server,
            of.map(|one| learned.of.get(&one).map_or(0, |mark| mark.major)).collect(),
        )
    }

    /// Of those webhooks that `is_asked` names: for whose fresh rows it pays to know where they begin: those of which it is not known yet, then those that began the farthest
    /// behind where they begin now.
    pub(crate) fn farthest(&self, count: usize, is_asked: impl Fn(&Of) -> bool) -> (i64, Vec<(Of, i64)>) {
        let learned = self.0.lock();
        let way = |mark: &Mark| match mark.major {
            0 => i64::MAX,
            major => major.saturating_sub(mark.first),
        };
        let mut marks: Vec<(i64, Of, i64)> = learned
            .of
            .iter()
            .filter(|(of, _)| is_asked(of))
            .map(|(of, mark)| (way(mark), *of, mark.major))
            .collect();
        if marks.len() > count {
            marks.select_nth_unstable_by_key(count, |(way, _, _)| std::cmp::Reverse(*way));
            marks.truncate(count);
        }
        (learned.server, marks.into_iter().map(|(_, of, major)| (of, major)).collect())
    }

    /// Notes webhooks that got something: they are looked at next.
    pub(crate) fn note(&self, of: impl Iterator<Item = Of>) {
        let mut learned = self.0.lock();
        for of in of {
            if learned.of.len() >= MARKS_MAX {
                return;
            }
            learned.of.entry(of).or_insert(Mark { major: 0, first: 0 });
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
            if let Some(mark) = learned.of.get_mut(&of) {
                mark.first = if mark.major == 0 { major } else { mark.first };
                mark.major = mark.major.max(major);
            } else if learned.of.len() < MARKS_MAX {
                learned.of.insert(of, Mark { major, first: major });
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
    fn the_farthest_are_told_first() {
        let marks = Marks::default();
        marks.learn(7, (1..=5).map(|number| (of(number), 10)));
        marks.learn(7, [(of(2), 100), (of(3), 1_000), (of(4), 50)]);
        let mut farthest = marks.farthest(2, |_| true).1;
        farthest.sort_unstable();
        assert_eq!(farthest, [(of(2), 100), (of(3), 1_000)]);
        marks.note([of(6), of(2)].into_iter());
        assert_eq!(
            marks.farthest(1, |_| true).1,
            [(of(6), 0)],
            "one of which nothing is known comes before"
        );
        marks.forget([of(6)].into_iter());
        assert_eq!(marks.farthest(1, |_| true).1, [(of(3), 1_000)]);
    }
}
