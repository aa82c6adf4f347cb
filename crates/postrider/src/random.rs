//! Real chance: a cryptographic generator of this process, seeded by the operating system.

use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use postrider_model::key::{KeyOwner, Token};
use postrider_ports::Random;
use rand::rngs::{StdRng, SysRng};
use rand::{Rng as _, SeedableRng as _};

/// ChaCha12 under a lock: ids and secrets take nanoseconds of it, and no system call each.
pub(crate) struct OsRandom(Mutex<StdRng>);

impl OsRandom {
    /// A generator seeded by the operating system.
    ///
    /// # Errors
    /// Where the system gives no entropy: then no secret could be made.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let seeded = StdRng::try_from_rng(&mut SysRng).context("the operating system gives no random numbers")?;
        Ok(Self(Mutex::new(seeded)))
    }
}

impl Random for OsRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // The generator is whole whatever a thread that panicked did with its bytes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
    }
}

/// A token for an operator's key of a server that lives only as long as a command.
pub(crate) fn new_operator_token(random: &dyn Random) -> Token {
    Token::generate(KeyOwner::Operator, |bytes| random.fill(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_generators_differ() {
        let (one, other) = (OsRandom::new().unwrap(), OsRandom::new().unwrap());
        assert_ne!(one.bits(), other.bits());
        assert_ne!(one.bits(), one.bits());
    }

    #[test]
    fn a_made_operator_token_is_well_formed() {
        let token = new_operator_token(&OsRandom::new().unwrap());
        assert!(Token::is_well_formed(token.reveal()));
        assert!(token.reveal().starts_with("ptrop_"));
    }
}
