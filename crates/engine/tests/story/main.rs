//! The whole engine over the store in memory, on a clock that is moved: what becomes of an event, told as stories.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod changes;
mod fanout;
mod groups;
mod jobs;
mod logs;
mod outage;
mod retention;
mod retries;
mod stopping;
mod world;
