//! `postrider bench`: load, receiver and report in one command, the server in a process of its own.
//!
//! The load, the receiver and the hanging receivers are threads of this process, each with a runtime and a CPU count of its own:
//! the report says what each of them cost, so that a reader sees what bounds the result.

mod cluster;
mod disk;
mod fleet;
mod ground;
mod hanging;
mod load;
mod options;
mod payload;
mod receiver;
mod report;
mod run;
mod server;
mod setup;
mod stage;
mod stopwatch;
mod tally;
mod thread;
mod tls;
mod usage;
mod window;
mod wire;

pub(crate) use options::BenchOptions;
pub(crate) use run::run;
