//! Connections that wait for their next request.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use postrider_model::time::Monotonic;
use postrider_model::url::WebhookUrl;
use postrider_ports::Clock;
use rustc_hash::FxHashMap;

use crate::exchange::{H1, H2, H2Stream};

/// No connection is used when it is older: so changes of DNS arrive, and addresses are judged again.
pub(crate) const AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// A connection that nobody used for so long is closed.
pub(crate) const IDLE_TIME_MAX: Duration = Duration::from_secs(30);

/// Scheme, host and port. A handle to the url, so that making one allocates nothing.
#[derive(Clone)]
pub(crate) struct Key(pub(crate) WebhookUrl);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.host().hash(state);
        self.0.port().hash(state);
        self.0.is_https().hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.port() == other.0.port() && self.0.is_https() == other.0.is_https() && self.0.host() == other.0.host()
    }
}

impl Eq for Key {}

#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolLimits {
    pub(crate) idle_max: usize,
    pub(crate) idle_per_key_max: usize,
}

/// A connection that can take a request.
pub(crate) enum Pooled {
    H1(Box<H1>),
    H2(H2Stream),
}

/// Connections that can take a request: HTTP/1.1 ones that lie idle, and HTTP/2 ones that are shared.
pub(crate) struct Pool {
    clock: Arc<dyn Clock>,
    limits: PoolLimits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// Idle HTTP/1.1 connections, longest idle first. At most `idle_max`.
    idle: BTreeMap<u64, Idle>,
    /// One for each key with a connection, and for a sweep's time for one whose connections are all in use.
    by_key: FxHashMap<Key, Entry>,
    /// HTTP/2 connections in all entries. At most `idle_max`.
    shared: usize,
    /// Whether a task closes what lies idle for too long.
    has_sweeper: bool,
}

struct Idle {
    key: Key,
    since: Monotonic,
    connection: Box<H1>,
}

#[derive(Default)]
struct Entry {
    /// Places in `State::idle`, last used last. At most `idle_per_key_max`.
    h1: Vec<u64>,
    /// At most `idle_per_key_max`.
    h2: Vec<Arc<H2>>,
}

impl Pool {
    pub(crate) fn new(clock: Arc<dyn Clock>, limits: PoolLimits) -> Self {
        Self {
            clock,
            limits,
            state: Mutex::default(),
        }
    }

    pub(crate) fn idle(&self) -> usize {
        let state = self.state.lock();
        state.idle.len() + state.shared
    }

    /// A connection for this key: the one used last, so that the others may go.
    pub(crate) fn take(&self, key: &Key, now: Monotonic) -> Option<Pooled> {
        let mut dropped = Vec::new();
        let mut state = self.state.lock();
        let found = state.take(key, now, &self.clock, &mut dropped);
        drop(state);
        // Closing sockets takes a while: not under the lock.
        drop(dropped);
        found
    }

    /// Keeps a connection for the next request.
    pub(crate) fn put(self: &Arc<Self>, key: Key, mut connection: Box<H1>, now: Monotonic) {
        if now.since(connection.born) >= AGE_MAX || self.limits.idle_max == 0 || self.limits.idle_per_key_max == 0 {
            return;
        }
        connection.recycle();
        let mut state = self.state.lock();
        let dropped = state.put(
            Idle {
                key,
                since: now,
                connection,
            },
            self.limits,
        );
        let needs_sweeper = !std::mem::replace(&mut state.has_sweeper, true);
        drop(state);
        drop(dropped);
        if needs_sweeper {
            self.spawn_sweeper();
        }
    }

    /// Shares an HTTP/2 connection, where there is room.
    pub(crate) fn share(self: &Arc<Self>, key: Key, connection: Arc<H2>) {
        let mut state = self.state.lock();
        if state.shared >= self.limits.idle_max {
            return;
        }
        let entry = state.by_key.entry(key).or_default();
        if entry.h2.len() >= self.limits.idle_per_key_max {
            return;
        }
        entry.h2.push(connection);
        state.shared += 1;
        let needs_sweeper = !std::mem::replace(&mut state.has_sweeper, true);
        drop(state);
        if needs_sweeper {
            self.spawn_sweeper();
        }
    }

    /// Closes the connection that lies idle for longest; false where there is none.
    pub(crate) fn give_way(&self) -> bool {
        let mut state = self.state.lock();
        let oldest = state.idle.first_key_value().map(|(place, _)| *place);
        let dropped = oldest.and_then(|place| state.remove(place));
        drop(state);
        dropped.is_some()
    }

    /// A task that lives while there is something to close.
    fn spawn_sweeper(self: &Arc<Self>) {
        let pool = Arc::downgrade(self);
        let clock = Arc::clone(&self.clock);
        tokio::spawn(async move {
            loop {
                clock.sleep_until(clock.mono() + IDLE_TIME_MAX / 2).await;
                let Some(pool) = pool.upgrade() else { return };
                if !pool.sweep(clock.mono()) {
                    return;
                }
            }
        });
    }

    /// Closes what lies idle for too long. False where nothing is left.
    fn sweep(&self, now: Monotonic) -> bool {
        let mut dropped = Vec::new();
        let mut dropped_shared = Vec::new();
        let mut state = self.state.lock();
        while let Some((place, idle)) = state.idle.first_key_value() {
            if now.since(idle.since) < IDLE_TIME_MAX {
                break;
            }
            let place = *place;
            dropped.extend(state.remove(place));
        }
        state.sweep_shared(now, &mut dropped_shared);
        let has_more = !state.by_key.is_empty();
        state.has_sweeper = has_more;
        drop(state);
        drop((dropped, dropped_shared));
        has_more
    }
}

impl State {
    fn take(&mut self, key: &Key, now: Monotonic, clock: &Arc<dyn Clock>, dropped: &mut Vec<Idle>) -> Option<Pooled> {
        let entry = self.by_key.get_mut(key)?;
        if let Some(connection) = entry.h2.iter().find(|connection| connection.has_room(now)) {
            connection.streams.fetch_add(1, Ordering::Relaxed);
            return Some(Pooled::H2(H2Stream {
                connection: Arc::clone(connection),
                clock: Arc::clone(clock),
                is_reused: true,
            }));
        }
        while let Some(place) = entry.h1.pop() {
            let Some(idle) = self.idle.remove(&place) else { continue };
            if now.since(idle.connection.born) < AGE_MAX && now.since(idle.since) < IDLE_TIME_MAX {
                // The entry stays though empty: most likely the connection comes back. The sweep takes it away.
                return Some(Pooled::H1(idle.connection));
            }
            dropped.push(idle);
        }
        if entry.h2.is_empty() {
            self.by_key.remove(key);
        }
        None
    }

    fn put(&mut self, idle: Idle, limits: PoolLimits) -> Option<Idle> {
        let place = self.next;
        self.next += 1;
        let entry = self.by_key.entry(idle.key.clone()).or_default();
        entry.h1.push(place);
        let over_key = (entry.h1.len() > limits.idle_per_key_max)
            .then(|| entry.h1.first().copied())
            .flatten();
        self.idle.insert(place, idle);
        let over_all = (self.idle.len() > limits.idle_max).then(|| self.idle.first_key_value().map(|(place, _)| *place));
        over_key.or(over_all.flatten()).and_then(|place| self.remove(place))
    }

    fn remove(&mut self, place: u64) -> Option<Idle> {
        let idle = self.idle.remove(&place)?;
        if let Some(entry) = self.by_key.get_mut(&idle.key) {
            entry.h1.retain(|other| *other != place);
            if entry.h1.is_empty() && entry.h2.is_empty() {
                self.by_key.remove(&idle.key);
            }
        }
        Some(idle)
    }

    fn sweep_shared(&mut self, now: Monotonic, dropped: &mut Vec<Arc<H2>>) {
        for entry in self.by_key.values_mut() {
            dropped.extend(entry.h2.extract_if(.., |connection| connection.is_done(now)));
        }
        self.by_key.retain(|_, entry| !entry.h1.is_empty() || !entry.h2.is_empty());
        self.shared = self.by_key.values().map(|entry| entry.h2.len()).sum();
    }
}

impl H2 {
    fn has_room(&self, now: Monotonic) -> bool {
        let streams = self.streams.load(Ordering::Relaxed);
        now.since(self.born) < AGE_MAX && !self.sender.is_closed() && streams < self.streams_max.load(Ordering::Relaxed)
    }

    /// Whether it is to be let go: requests on it still end.
    fn is_done(&self, now: Monotonic) -> bool {
        let last_used = Monotonic::from_nanos(self.last_used.load(Ordering::Relaxed));
        let is_idle = self.streams.load(Ordering::Relaxed) == 0 && now.since(last_used) >= IDLE_TIME_MAX;
        is_idle || self.sender.is_closed() || now.since(self.born) >= AGE_MAX
    }
}
