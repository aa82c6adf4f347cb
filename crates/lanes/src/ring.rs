//! Rings: who waits for what, in turn. Joining, leaving and taking the next cost the same whatever the number of those who wait,
//! and nothing is allocated.

use crate::arena::Key;

const NOBODY: Key = Key::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    before: Key,
    after: Key,
}

const LOOSE: Link = Link {
    before: NOBODY,
    after: NOBODY,
};

/// First and last of those who wait for one thing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring {
    first: Key,
    last: Key,
    len: u32,
}

impl Ring {
    pub(crate) const fn new() -> Self {
        Self {
            first: NOBODY,
            last: NOBODY,
            len: 0,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len as usize
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn first(&self) -> Option<Key> {
        (self.first != NOBODY).then_some(self.first)
    }

    pub(crate) fn last(&self) -> Option<Key> {
        (self.last != NOBODY).then_some(self.last)
    }
}

/// The links of all who may wait: each in at most one ring at a time, which the caller knows. As many as there are lanes.
#[derive(Debug, Default)]
pub(crate) struct Links(Vec<Link>);

impl Links {
    fn link(&mut self, key: Key) -> Option<&mut Link> {
        self.0.get_mut(key as usize)
    }

    /// Joins at the end. Must be in no ring.
    pub(crate) fn push(&mut self, ring: &mut Ring, key: Key) {
        if self.0.len() <= key as usize {
            self.0.resize(key as usize + 1, LOOSE);
        }
        let last = ring.last;
        if let Some(link) = self.link(key) {
            *link = Link {
                before: last,
                after: NOBODY,
            };
        }
        match self.link(last) {
            Some(link) => link.after = key,
            None => ring.first = key,
        }
        ring.last = key;
        ring.len += 1;
    }

    /// Leaves. Must be in this ring.
    pub(crate) fn remove(&mut self, ring: &mut Ring, key: Key) {
        let Some(Link { before, after }) = self.link(key).map(|link| std::mem::replace(link, LOOSE)) else {
            return;
        };
        match self.link(before) {
            Some(link) => link.after = after,
            None => ring.first = after,
        }
        match self.link(after) {
            Some(link) => link.before = before,
            None => ring.last = before,
        }
        ring.len = ring.len.saturating_sub(1);
    }

    /// Takes the one that waited longest.
    pub(crate) fn pop(&mut self, ring: &mut Ring) -> Option<Key> {
        let first = ring.first()?;
        self.remove(ring, first);
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(links: &mut Links, ring: &mut Ring) -> Vec<Key> {
        std::iter::from_fn(|| links.pop(ring)).collect()
    }

    #[test]
    fn who_joins_first_is_taken_first() {
        let (mut links, mut ring) = (Links::default(), Ring::new());
        for key in [5, 2, 9] {
            links.push(&mut ring, key);
        }
        assert_eq!(ring.len(), 3);
        assert_eq!(drain(&mut links, &mut ring), [5, 2, 9]);
        assert!(ring.is_empty());
    }

    #[test]
    fn anyone_may_leave() {
        for gone in [1, 2, 3] {
            let (mut links, mut ring) = (Links::default(), Ring::new());
            for key in [1, 2, 3] {
                links.push(&mut ring, key);
            }
            links.remove(&mut ring, gone);
            links.push(&mut ring, gone);
            let mut expected: Vec<Key> = [1, 2, 3].into_iter().filter(|key| *key != gone).collect();
            expected.push(gone);
            assert_eq!(drain(&mut links, &mut ring), expected);
        }
    }

    #[test]
    fn one_may_leave_one_ring_for_another() {
        let (mut links, mut here, mut there) = (Links::default(), Ring::new(), Ring::new());
        links.push(&mut here, 0);
        links.push(&mut here, 1);
        links.remove(&mut here, 0);
        links.push(&mut there, 0);
        assert_eq!(drain(&mut links, &mut here), [1]);
        assert_eq!(drain(&mut links, &mut there), [0]);
    }
}
