//! What can go wrong with a store, by what a caller can do about it.

use std::time::Duration;

use postrider_model::seal::SealError;

/// Why a store did not do what it was asked. Nothing of the call was kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot work now: the disk is full, the file is locked, the server is gone. Ask again later.
    #[error("the store is not available: {reason}")]
    Unavailable {
        /// What is wrong, in plain words.
        reason: String,
        /// When to ask again.
        retry_after: Duration,
    },
    /// A COMMIT whose answer was lost: what was asked may or may not have been kept. The sweep finds what it left.
    #[error("the store did not say whether it kept the write: {reason}")]
    Unknown {
        /// What is wrong, in plain words.
        reason: String,
    },
    /// What it holds is damaged.
    #[error("the store is damaged: {reason}")]
    Corrupt {
        /// What was found.
        reason: String,
    },
    /// It was written by a newer version of Postrider.
    #[error("the store has schema {found}, this version of Postrider knows up to {known}: use a newer one")]
    NewerSchema {
        /// The version in the store.
        found: u32,
        /// The newest that this binary knows.
        known: u32,
    },
    /// Another server uses it.
    #[error("another server uses {what}")]
    InUse {
        /// What it is that is used.
        what: String,
    },
    /// It cannot be opened at all: a missing folder, no permission, not a database.
    #[error("cannot open {what}: {reason}")]
    CannotOpen {
        /// The file or address.
        what: String,
        /// What is wrong, in plain words.
        reason: String,
    },
    /// Its secrets are sealed under another key.
    #[error("cannot read the store's secrets: {0}")]
    Seal(#[from] SealError),
}
