//! The store on SQLite: every promise of the port, and what is SQLite's own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod backup;
mod conformance;
mod damage;
mod durability;
mod groups;
mod kept;
mod limits;
mod opening;
mod recovering;
mod retiring;
mod secrets;
mod support;
mod twins;
mod upgrading;
