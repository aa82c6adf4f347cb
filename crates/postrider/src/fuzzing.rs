//! Doors for the targets of `fuzz/`: each takes any bytes, and asserts what has to hold of them.

pub use crate::config::fuzzing::config;
