//! Postrider: webhook delivery from one binary. It alone reads the environment, files, arguments, the real clock and real chance.
//!
//! All of it stands in this library, so that tests and fuzz targets reach it; `main.rs` only calls [`main`].

mod bench;
mod cli;
mod client;
mod clock;
mod commands;
mod config;
mod dev;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod logging;
mod random;
mod reference;
mod serve;
mod store;

use std::process::ExitCode;

#[doc(hidden)]
pub use crate::reference::reference;

use clap::Parser as _;

use crate::cli::{Cli, Command, WrongUsage};
use crate::config::ConfigError;

/// Exit code of what could not be done.
const FAILED: u8 = 1;
/// Exit code of a wrong flag, variable or file. clap uses the same.
const WRONG_USAGE: u8 = 2;

/// The command has failed, and what came of it was printed as its result.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("failed")]
struct Told;

/// Does what the command line says.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(command) => commands::serve::execute(*command),
        Command::Dev(command) => commands::dev::execute(command),
        Command::Bench(options) => commands::bench::execute(&options),
        Command::Accounts(command) => commands::accounts::execute(command),
        Command::Keys(command) => commands::keys::execute(command),
        Command::Verify(command) => commands::verify::execute(&command),
        Command::Trigger(command) => commands::trigger::execute(&command),
        Command::Listen(command) => commands::listen::execute(&command),
        Command::Backup(command) => commands::backup::execute(command),
        Command::MigrateStore(command) => commands::migrate_store::execute(command),
        Command::Openapi(command) => commands::openapi::execute(&command),
        Command::Completions(command) => commands::completions::execute(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is::<Told>() {
                eprintln!("error: {error:#}");
            }
            let is_usage = error.is::<ConfigError>() || error.is::<WrongUsage>();
            ExitCode::from(if is_usage { WRONG_USAGE } else { FAILED })
        }
    }
}
