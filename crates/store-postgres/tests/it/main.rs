//! The store on PostgreSQL: every promise of the port, and what is PostgreSQL's own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod conformance;
mod connections;
mod damage;
mod deadlocks;
mod explained;
mod nodes;
mod opening;
mod pair;
mod partitions;
mod plans_of_reads;
mod plans_of_sending;
mod registering;
mod retiring;
mod sending;
mod slots;
mod standing_still;
mod support;
