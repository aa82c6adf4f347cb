//! Many nodes on one store, each on a runtime of its own: they die, stand still and go on, are cut off, come and go.
//!
//! ```text
//! POSTRIDER_SEED=7 cargo test -p postrider-engine --test nodes        # one seed, told step by step
//! POSTRIDER_SEEDS=20000 cargo test -p postrider-engine --test nodes   # more of them
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod clocks;
mod failover;
mod handing_over;
mod late_answers;
mod random;
mod receivers;
mod taking_over;
mod waking;
mod world;
