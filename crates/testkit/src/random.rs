//! Chance from a seed: the same seed gives the same chance.

use std::sync::atomic::{AtomicU64, Ordering};

use postrider_ports::Random;

/// A source of chance that a seed replays: SplitMix64 (Steele, Lea, Flood 2014). Not fit for secrets.
#[derive(Debug)]
pub struct SeededRandom(AtomicU64);

impl SeededRandom {
    /// The source of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// The next 64 bits.
    pub fn next_u64(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; zero where that is zero.
    pub fn below(&self, end: u64) -> u64 {
        // The high half of the product is evenly spread, but for 1 in 2^64 / end.
        let product = u128::from(self.next_u64()) * u128::from(end);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// True so many times out of a hundred.
    pub fn percent(&self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk
                .iter_mut()
                .zip(self.next_u64().to_le_bytes())
                .for_each(|(slot, byte)| *slot = byte);
        }
    }
}
