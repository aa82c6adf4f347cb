//! The scheduler as the engine sees it: inputs, time and commands.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod basics;
mod circuits;
mod owners;
mod random;
mod rule_10_memory;
mod rule_5_overflow;
mod rule_6_unrecorded;
mod rule_7_own_faults;
mod rule_8_everything_ends;
mod rule_9_isolation;
mod standing;
mod urgent;
mod world;
