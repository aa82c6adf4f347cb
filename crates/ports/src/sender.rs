//! Sending: one attempt in, one outcome out.

use async_trait::async_trait;
use postrider_model::attempt::{LocalFault, Outcome, Outgoing};

/// Makes attempts. It knows no store, and decides nothing about what comes after.
#[async_trait]
pub trait Sender: Send + Sync + 'static {
    /// Signs and sends one attempt, and waits for what comes of it: at most 25 s, whatever the receiver does.
    ///
    /// # Errors
    /// `LocalFault` where the fault is on our own side (no file handles, no local ports, no name server): then no attempt was made.
    async fn send(&self, outgoing: Outgoing) -> Result<Outcome, LocalFault>;
}
