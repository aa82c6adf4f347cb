//! Asks whether something is really meant.

use std::io::{BufRead as _, IsTerminal as _, Write as _, stderr, stdin};

use anyhow::Context as _;

use crate::cli::WrongUsage;

/// Returns where it is meant: `--yes` was given, or a person says so.
///
/// # Errors
/// `WrongUsage` where nobody can be asked; another error where the answer is no.
pub(super) fn whether(question: &str, is_yes: bool) -> anyhow::Result<()> {
    if is_yes {
        return Ok(());
    }
    if !stdin().is_terminal() {
        return Err(WrongUsage(format!(
            "{question} Nobody can be asked where standard input is no terminal: say --yes"
        ))
        .into());
    }
    let mut out = stderr();
    write!(out, "{question} [y/N] ").and_then(|()| out.flush()).context("cannot ask")?;
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    let is_meant = ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str());
    anyhow::ensure!(is_meant, "nothing was done");
    Ok(())
}
