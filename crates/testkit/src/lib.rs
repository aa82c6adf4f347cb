//! For tests only: conformance suite, simulated clock, in-memory store, scripted receiver, test CA, throw-away PostgreSQL.

pub mod ca;
pub mod clock;
pub mod conformance;
pub mod corpus;
pub mod link;
pub mod memory_nodes;
pub mod memory_store;
pub mod postgres;
pub mod random;
pub mod receiver;
