//! Postrider: webhook delivery from one binary.
mod bench;
mod cli;
mod client;
mod clock;
mod commands;
mod files;
mod random;
use clap::Parser as _;
fn main() { 
    if let cli::Command::Bench(o) = cli::Cli::parse().command { if let Err(e) = commands::bench::execute(&o) { eprintln!("{e:#}"); std::process::exit(1) } }
}
