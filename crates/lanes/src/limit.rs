//! How many requests may be in flight to one receiver: grows with success, shrinks with illness.

use std::time::Duration;

/// Bounds of a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Reached by success alone.
    pub(crate) max: u32,
    /// Reached beyond that while latency holds.
    pub(crate) stretched_max: u32,
}

/// Latencies below this are taken as equal: a receiver next door jitters by more than it takes.
const LATENCY_FLOOR_MICROS: f32 = 500.0;
/// The average follows this share of each new latency.
const LATENCY_SHARE: f32 = 1.0 / 16.0;
/// While the average is within so many times the best, latency holds.
const LATENCY_HOLDS: f32 = 2.0;

/// A limit of requests in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    now: u32,
    /// Successes since it last changed.
    successes: u32,
    /// Moving average of latency and the best that it has been, in microseconds; zero before the first.
    latency: f32,
    best: f32,
}

impl Limit {
    pub(crate) const fn new(start: u32) -> Self {
        Self {
            now: start,
            successes: 0,
            latency: 0.0,
            best: f32::MAX,
        }
    }

    pub(crate) const fn get(&self) -> u32 {
        self.now
    }

    /// An attempt was acknowledged while so many (itself included) were in flight.
    pub(crate) fn succeeded(&mut self, latency: Duration, in_flight: u32, bounds: Bounds) {
        self.note_latency(latency);
        self.successes = self.successes.saturating_add(1);
        if self.successes < self.now {
            return;
        }
        // A limit-full of successes.
        self.successes = 0;
        if self.now < bounds.max {
            self.now = self.now.saturating_mul(2).min(bounds.max);
        } else if !self.latency_holds() {
            self.now = (self.now - self.now / 4).max(bounds.max);
        } else if in_flight.saturating_mul(2) >= self.now {
            // More only helps where this much is used.
            self.now = (self.now + self.now / 4).min(bounds.stretched_max.max(bounds.max));
        }
    }

    /// The receiver could not be reached, or kept silent until a limit.
    pub(crate) fn halve(&mut self) {
        self.now = (self.now / 2).max(1);
        self.successes = 0;
    }

    fn note_latency(&mut self, latency: Duration) {
        let micros = (latency.as_secs_f32() * 1e6).max(LATENCY_FLOOR_MICROS);
        if self.latency == 0.0 {
            self.latency = micros;
        } else {
            self.latency += (micros - self.latency) * LATENCY_SHARE;
        }
        self.best = self.best.min(self.latency);
    }

    fn latency_holds(&self) -> bool {
        self.latency <= self.best * LATENCY_HOLDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        max: 64,
        stretched_max: 1_024,
    };
    const QUICK: Duration = Duration::from_millis(10);

    fn succeed(limit: &mut Limit, times: u32, latency: Duration) {
        for _ in 0..times {
            limit.succeeded(latency, limit.get(), BOUNDS);
        }
    }

    #[test]
    fn it_doubles_with_each_limit_full_of_successes() {
        let mut limit = Limit::new(2);
        for expected in [4, 8, 16, 32, 64] {
            let full = limit.get();
            succeed(&mut limit, full, QUICK);
            assert_eq!(limit.get(), expected);
        }
    }

    #[test]
    fn it_goes_on_to_the_stretched_limit_while_latency_holds() {
        let mut limit = Limit::new(64);
        succeed(&mut limit, 20_000, QUICK);
        assert_eq!(limit.get(), 1_024);
        succeed(&mut limit, 20_000, QUICK * 3);
        assert_eq!(limit.get(), 64);
    }

    #[test]
    fn it_does_not_stretch_where_nothing_wants_it() {
        let mut limit = Limit::new(64);
        for _ in 0..10_000 {
            limit.succeeded(QUICK, 5, BOUNDS);
        }
        assert_eq!(limit.get(), 64);
    }

    #[test]
    fn illness_halves_it_to_one_at_least() {
        let mut limit = Limit::new(64);
        let seen: Vec<u32> = (0..8)
            .map(|_| {
                limit.halve();
                limit.get()
            })
            .collect();
        assert_eq!(seen, [32, 16, 8, 4, 2, 1, 1, 1]);
        succeed(&mut limit, 1, QUICK);
        assert_eq!(limit.get(), 2);
    }
}
