//! The binary as a whole: real processes, real sockets, a store on disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod backup;
mod bench;
mod chaos;
mod cli;
mod contract;
mod crash;
mod docs;
mod failover;
mod hostile;
mod listen;
mod logs;
mod migrate_store;
mod nodes;
mod operator;
mod outage;
mod postgres;
mod python;
mod quickstart;
mod receivers;
mod receivers_guide;
mod schemathesis;
mod shutdown;
mod trigger;
mod troubles;
mod verify;
mod world;
