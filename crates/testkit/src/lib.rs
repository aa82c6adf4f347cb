//! For tests only: conformance suite, simulated clock, in-memory store, scripted receiver, test CA.

pub mod ca;
pub mod clock;
pub mod conformance;
pub mod corpus;
pub mod memory_store;
pub mod random;
pub mod receiver;
