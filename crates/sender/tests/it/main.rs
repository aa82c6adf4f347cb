//! The sender against real sockets on loopback. Time is simulated: it moves only when a test moves it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod addresses;
mod answers;
mod hostile;
mod http2;
mod local_faults;
mod names;
mod reuse;
mod system_resolver;
mod tls;
mod wire_format;
mod world;
