//! For tests only: conformance suite, simulated clock, in-memory store, scripted receiver, test CA.

pub mod clock;
pub mod random;
pub mod ca;
pub mod receiver;
