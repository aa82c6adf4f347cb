//! `postrider completions`.

use std::io::Write as _;

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::cli::{Cli, CompletionsCommand};

/// Prints what a shell needs to complete our command line.
///
/// # Errors
/// Where stdout is closed.
pub(crate) fn execute(command: &CompletionsCommand) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(command.shell, &mut Cli::command(), "postrider", &mut script);
    std::io::stdout().write_all(&script).context("cannot print the script")
}
