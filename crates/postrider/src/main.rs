//! Postrider: webhook delivery from one binary. It alone reads the environment, files, arguments, the real clock and real chance.

mod bench;
mod cli;
mod client;
mod clock;
mod commands;
mod config;
mod dev;
mod files;
mod logging;
mod random;
mod serve;
mod store;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};
use crate::config::ConfigError;

/// Exit code of what could not be done.
const FAILED: u8 = 1;
/// Exit code of a wrong flag, variable or file. clap uses the same.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(command) => commands::serve::execute(*command),
        Command::Dev(command) => commands::dev::execute(command),
        Command::Bench(options) => commands::bench::execute(&options),
        Command::Keys(command) => commands::keys::execute(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<ConfigError>() { WRONG_USAGE } else { FAILED })
        }
    }
}
