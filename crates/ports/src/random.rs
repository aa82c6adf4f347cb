//! Chance: ids, secrets, jitter. Tests put a seed in its place.

/// A source of random bytes, fit for secrets.
pub trait Random: Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);

    /// 128 random bits, for an id.
    fn bits(&self) -> u128 {
        let mut bytes = [0u8; 16];
        self.fill(&mut bytes);
        u128::from_be_bytes(bytes)
    }
}
