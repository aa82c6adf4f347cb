//! The wall clock of nodes that share a store: the store's. Clocks of machines may differ by minutes, and what one node made due now must
//! be due for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use postrider_model::time::{Monotonic, Timestamp};
use postrider_ports::Clock;
use postrider_ports::clock::Sleep;

/// What an answer of the store may be wrong by, besides its way: it counts milliseconds, and so do we.
const COARSE_NANOS: i64 = 1_000_000;

/// A clock whose wall face follows the store's: its own monotonic face and an offset, which every beat holds against what the store
/// said. Begins with the machine's.
pub struct StoreClock {
    inner: Arc<dyn Clock>,
    /// The wall clock less the monotonic one, in nanoseconds. Written after beats, read by all.
    offset: AtomicI64,
}

impl StoreClock {
    /// A clock that goes by the machine's until it is told otherwise.
    pub fn new(inner: Arc<dyn Clock>) -> Self {
        let now = inner.now();
        Self {
            offset: AtomicI64::new(nanos(now.wall) - signed(now.mono)),
            inner,
        }
    }
}

impl Clock for StoreClock {
    fn wall(&self) -> Timestamp {
        let wall = signed(self.inner.mono()).saturating_add(self.offset.load(Ordering::Relaxed));
        Timestamp::from_millis(wall.div_euclid(1_000_000))
    }

    fn mono(&self) -> Monotonic {
        self.inner.mono()
    }

    fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        self.inner.sleep_until(deadline)
    }

    /// The store looked at its clock somewhere on the way: as long as the offset can be right it stays as it is, so that it does not
    /// tremble with the length of the way. Else it moves as little as makes it possible: by what the clocks drift from beat to beat,
    /// or by the whole jump where the store's has jumped.
    fn follow(&self, asked: Monotonic, answered: Monotonic, wall: Timestamp) {
        let half = i64::try_from(answered.since(asked).as_nanos() / 2).unwrap_or(i64::MAX);
        let middle = signed(asked).saturating_add(half);
        let measured = nanos(wall).saturating_sub(middle);
        let slack = half.saturating_add(COARSE_NANOS);
        let offset = self.offset.load(Ordering::Relaxed);
        let nearest = offset.clamp(measured.saturating_sub(slack), measured.saturating_add(slack));
        self.offset.store(nearest, Ordering::Relaxed);
    }
}

fn nanos(wall: Timestamp) -> i64 {
    wall.as_millis().saturating_mul(1_000_000)
}

fn signed(mono: Monotonic) -> i64 {
    i64::try_from(mono.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Arc, Clock, Monotonic, Sleep, StoreClock, Timestamp};

    /// Half of what a beat takes.
    const WAY: Duration = Duration::from_millis(20);

    struct Machine {
        wall: i64,
        mono: std::sync::atomic::AtomicU64,
    }

    impl Clock for Machine {
        fn wall(&self) -> Timestamp {
            Timestamp::from_millis(self.wall)
        }

        fn mono(&self) -> Monotonic {
            Monotonic::from_nanos(self.mono.load(std::sync::atomic::Ordering::Relaxed))
        }

        fn sleep_until(&self, _: Monotonic) -> Sleep {
            Box::pin(std::future::ready(()))
        }
    }

    /// A beat that takes twice `WAY`, at which the store says this.
    fn beat(machine: &Machine, clock: &StoreClock, says: impl FnOnce(Timestamp) -> Timestamp) {
        let asked = clock.mono();
        let in_the_middle = clock.wall() + WAY;
        machine
            .mono
            .fetch_add(2 * WAY.as_nanos() as u64, std::sync::atomic::Ordering::Relaxed);
        clock.follow(asked, clock.mono(), says(in_the_middle));
    }

    fn clock() -> (Arc<Machine>, StoreClock) {
        let machine = Arc::new(Machine {
            wall: 1_000_000,
            mono: 5_000_000.into(),
        });
        let clock = StoreClock::new(machine.clone());
        (machine, clock)
    }

    #[test]
    fn it_begins_with_the_machines_and_goes_by_the_stores() {
        let (machine, clock) = clock();
        assert_eq!(clock.wall(), Timestamp::from_millis(1_000_000));
        for minutes in [7, 3] {
            let store = Duration::from_secs(minutes * 60);
            let before = clock.wall();
            beat(&machine, &clock, |_| before + store);
            let off = clock.wall().as_millis() - (before + store + WAY).as_millis();
            assert!(off.unsigned_abs() <= WAY.as_millis() as u64 + 2, "{off} ms after a jump");
        }
        let before = clock.wall();
        beat(&machine, &clock, |now| now - Duration::from_secs(600));
        assert!(clock.wall() < before - Duration::from_secs(590), "a jump back is followed too");
    }

    #[test]
    fn it_does_not_tremble_with_the_length_of_the_way() {
        let (machine, clock) = clock();
        let before = clock.offset.load(std::sync::atomic::Ordering::Relaxed);
        for millis in 0..20 {
            beat(&machine, &clock, |now| now + Duration::from_millis(millis));
            beat(&machine, &clock, |now| now - Duration::from_millis(millis));
        }
        assert_eq!(clock.offset.load(std::sync::atomic::Ordering::Relaxed), before);
    }

    #[test]
    fn a_small_difference_is_corrected_by_no_more_than_what_is_sure() {
        let (machine, clock) = clock();
        let before = clock.offset.load(std::sync::atomic::Ordering::Relaxed);
        beat(&machine, &clock, |now| now - Duration::from_millis(25));
        let moved = before - clock.offset.load(std::sync::atomic::Ordering::Relaxed);
        assert!((3_000_000..=5_000_000).contains(&moved), "{moved} ns of the 25 ms");
    }
}
