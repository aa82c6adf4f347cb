//! A clock that stands still until a test moves it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use postrider_model::time::{Monotonic, Timestamp};
use postrider_ports::Clock;
use postrider_ports::clock::Sleep;
use tokio::sync::watch;

/// 2026-01-15T10:30:00Z, where the wall clock of a test begins.
const START_MILLIS: i64 = 1_768_473_000_000;
/// Where the monotonic clock begins: not at zero, so that a test can tell "never" from "at the start".
const START_NANOS: u64 = 1_000_000_000;

/// A clock whose two faces move only by `advance`. Clones show the same time.
#[derive(Clone)]
pub struct SimClock(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// How many sleep now. Written by sleeps and `advance`; `wait_for_sleepers` reads it.
    sleeping: watch::Sender<usize>,
}

struct State {
    wall: Timestamp,
    mono: Monotonic,
    next_sleeper: u64,
    /// Who sleeps, earliest first, of one moment the first comer first. As many as the code under test has sleeps.
    sleepers: BTreeMap<(Monotonic, u64), Waker>,
}

impl Default for SimClock {
    fn default() -> Self {
        Self::new()
    }
}

impl SimClock {
    /// A clock that stands at 2026-01-15T10:30:00Z.
    pub fn new() -> Self {
        Self::starting_at(Timestamp::from_millis(START_MILLIS))
    }

    /// A clock that stands at this moment.
    pub fn starting_at(wall: Timestamp) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::new(State {
                wall,
                mono: Monotonic::from_nanos(START_NANOS),
                next_sleeper: 0,
                sleepers: BTreeMap::new(),
            }),
            sleeping: watch::Sender::new(0),
        }))
    }

    /// Moves both faces on, and wakes whoever slept until a moment on the way, earliest first: each finds the clock at least at
    /// its own moment.
    pub fn advance(&self, by: Duration) {
        let target = self.mono() + by;
        while self.step(target) {}
    }

    /// Moves both faces on to the moment at which the next sleep ends, and wakes it with all that end at the same moment. Says
    /// how far that was; `None` where nobody sleeps.
    pub fn advance_to_next(&self) -> Option<Duration> {
        let before = self.mono();
        let target = self.next_deadline()?;
        while self.step(target) {}
        Some(target.since(before))
    }

    /// Moves the wall clock alone, as an operator or NTP does.
    pub fn set_wall(&self, wall: Timestamp) {
        self.0.state.lock().wall = wall;
    }

    /// When the first of those who sleep is to wake.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.0.state.lock().sleepers.keys().next().map(|(deadline, _)| *deadline)
    }

    /// How many sleep now.
    pub fn sleepers(&self) -> usize {
        self.0.state.lock().sleepers.len()
    }

    /// Ends when at least `count` sleep: then the code under test waits for time alone, and `advance` finds it.
    pub async fn wait_for_sleepers(&self, count: usize) {
        let mut sleeping = self.0.sleeping.subscribe();
        // It fails only where the clock is gone, and `self` holds it.
        let _ = sleeping.wait_for(|sleeping| *sleeping >= count).await;
    }

    /// Wakes the first sleeper up to `target`; with none left, puts the clock there and says false.
    fn step(&self, target: Monotonic) -> bool {
        let mut state = self.0.state.lock();
        let first = state.sleepers.first_entry().filter(|entry| entry.key().0 <= target);
        let woken = first.map(|entry| entry.remove_entry());
        state.move_to(woken.as_ref().map_or(target, |((deadline, _), _)| *deadline));
        self.0.tell(&state);
        drop(state);
        // Outside of the lock: a waker may run code that asks the time.
        woken.map(|(_, waker)| waker.wake()).is_some()
    }
}

impl Inner {
    fn tell(&self, state: &State) {
        self.sleeping.send_replace(state.sleepers.len());
    }
}

impl State {
    fn move_to(&mut self, target: Monotonic) {
        if target > self.mono {
            // Wall time has milliseconds: what is left of them must not get lost over many small steps.
            let millis = target.as_nanos() / 1_000_000 - self.mono.as_nanos() / 1_000_000;
            self.wall = self.wall + Duration::from_millis(millis);
            self.mono = target;
        }
    }
}

impl Clock for SimClock {
    fn wall(&self) -> Timestamp {
        self.0.state.lock().wall
    }

    fn mono(&self) -> Monotonic {
        self.0.state.lock().mono
    }

    fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        let mut state = self.0.state.lock();
        let id = state.next_sleeper;
        state.next_sleeper += 1;
        Box::pin(Sleeping {
            clock: self.clone(),
            key: (deadline, id),
        })
    }
}

struct Sleeping {
    clock: SimClock,
    key: (Monotonic, u64),
}

impl Future for Sleeping {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.clock.0.state.lock();
        if state.mono >= self.key.0 {
            return Poll::Ready(());
        }
        state.sleepers.insert(self.key, context.waker().clone());
        self.clock.0.tell(&state);
        Poll::Pending
    }
}

impl Drop for Sleeping {
    fn drop(&mut self) {
        let mut state = self.clock.0.state.lock();
        if state.sleepers.remove(&self.key).is_some() {
            self.clock.0.tell(&state);
        }
    }
}
