//! Chance for jitter: small, quick, the same for the same seed.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood 2014). Not fit for secrets.
#[derive(Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The length, up to a tenth longer or shorter.
    pub(crate) fn jitter(&mut self, length: Duration) -> Duration {
        // In thousandths, 900 to 1,100. The modulus favours none by more than one in 2^56.
        let thousandths = 900 + u32::try_from(self.next() % 201).unwrap_or(100);
        length.saturating_mul(thousandths) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_a_tenth_and_uses_all_of_it() {
        let mut chance = Chance::new(1);
        let lengths: Vec<Duration> = (0..10_000).map(|_| chance.jitter(Duration::from_secs(100))).collect();
        assert_eq!(lengths.iter().min(), Some(&Duration::from_secs(90)));
        assert_eq!(lengths.iter().max(), Some(&Duration::from_secs(110)));
    }

    #[test]
    fn the_same_seed_gives_the_same_chance() {
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            [(); 8].map(|()| chance.jitter(Duration::from_secs(1)))
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
