//! The second limit, per host and port: a thousand webhooks on one dead host take one share, not a thousand.

use rustc_hash::FxHashMap;

use crate::arena::{Arena, Key};
use crate::input::HostKey;
use crate::limit::Limit;
use crate::ring::Ring;

/// One host and port.
#[derive(Debug)]
pub(crate) struct Host {
    name: HostKey,
    pub(crate) limit: Limit,
    pub(crate) in_flight: u32,
    /// Lanes that could send but for this host's limit. At most as many as there are lanes.
    pub(crate) waiting: Ring,
    /// It has answered once, or was well when its webhook was stored.
    pub(crate) is_proven: bool,
    /// Lanes and requests in flight that refer to it.
    users: u32,
}

impl Host {
    pub(crate) const fn has_room(&self) -> bool {
        self.in_flight < self.limit.get()
    }

    pub(crate) const fn name(&self) -> HostKey {
        self.name
    }
}

/// The hosts that lanes or requests in flight refer to; others are dropped. At most as many as there are lanes and slots.
#[derive(Debug)]
pub(crate) struct Hosts {
    arena: Arena<Host>,
    by_name: FxHashMap<HostKey, Key>,
    start: u32,
}

impl Hosts {
    pub(crate) fn new(start: u32) -> Self {
        Self {
            arena: Arena::new(),
            by_name: FxHashMap::default(),
            start,
        }
    }

    /// One more refers to this host; must be released.
    pub(crate) fn acquire(&mut self, name: HostKey) -> Key {
        let key = *self.by_name.entry(name).or_insert_with(|| {
            self.arena.insert(Host {
                name,
                limit: Limit::new(self.start),
                in_flight: 0,
                waiting: Ring::new(),
                is_proven: false,
                users: 0,
            })
        });
        self.retain(key);
        key
    }

    /// One more refers to a host that is there; must be released.
    pub(crate) fn retain(&mut self, key: Key) {
        if let Some(host) = self.arena.get_mut(key) {
            host.users += 1;
        }
    }

    /// One less refers to it.
    pub(crate) fn release(&mut self, key: Key) {
        let Some(host) = self.arena.get_mut(key) else { return };
        host.users = host.users.saturating_sub(1);
        if host.users == 0 {
            let name = host.name;
            self.by_name.remove(&name);
            self.arena.remove(key);
        }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Host> {
        self.arena.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Host> {
        self.arena.get_mut(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.arena.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_lives_as_long_as_somebody_refers_to_it() {
        let mut hosts = Hosts::new(8);
        let first = hosts.acquire(HostKey(1));
        assert_eq!(hosts.acquire(HostKey(1)), first);
        hosts.retain(first);
        assert_eq!(hosts.len(), 1);
        hosts.release(first);
        hosts.release(first);
        assert_eq!(hosts.get(first).map(Host::name), Some(HostKey(1)));
        hosts.release(first);
        assert_eq!(hosts.len(), 0);
        let other = hosts.acquire(HostKey(2));
        assert_eq!(hosts.get(other).map(Host::name), Some(HostKey(2)));
    }
}
