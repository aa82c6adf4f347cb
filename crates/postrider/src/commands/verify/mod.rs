//! `postrider verify`: is a captured delivery genuine, and if not, what exactly is wrong?

mod body;
mod content;
mod finding;
mod judge;
mod rewrite;
mod search;
mod secret;
mod signature;
mod suspect;
mod tell;
mod timestamp;

use std::io::Read as _;
use std::time::Duration;

use anyhow::Context as _;
use postrider_model::time::Timestamp;
use postrider_ports::Clock as _;

use self::judge::{Captured, Verdict};
use self::secret::Secret;
use super::input::{self, Source};
use super::output;
use crate::Told;
use crate::cli::{VerifyCommand, WrongUsage};
use crate::clock::SystemClock;
use crate::config;

/// The variable that a secret may come from.
const SECRET_VARIABLE: &str = "POSTRIDER_WEBHOOK_SECRET";
/// Largest body that is judged: far more than any delivery has.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// Judges, and prints the verdict.
///
/// # Errors
/// `Told` where it is not genuine, `WrongUsage` where something cannot be judged at all.
pub(crate) fn execute(command: &VerifyCommand) -> anyhow::Result<()> {
    let now = match &command.at {
        Some(text) => {
            timestamp::moment(text).ok_or_else(|| usage("--at: must be RFC 3339 such as 2026-01-15T10:30:00Z, or unix seconds"))?
        }
        None => SystemClock::new().wall(),
    };
    let tolerance = tolerance(&command.tolerance)?;
    let text = secret_text(command)?;
    let secret = Secret::parse(&text).map_err(|problem| usage(&format!("the secret {problem}")))?;
    let body = read_body(&command.body)?;
    let captured = Captured {
        secret: &secret,
        id: &command.id,
        timestamp: &command.timestamp,
        signature: &command.signature,
        body: &body,
    };
    let verdict = judge::judge(&captured, now, tolerance);
    print(&verdict, command.json)?;
    if verdict.is_genuine() { Ok(()) } else { Err(Told.into()) }
}

fn usage(problem: &str) -> anyhow::Error {
    WrongUsage(problem.to_owned()).into()
}

fn tolerance(text: &str) -> anyhow::Result<Duration> {
    config::duration(text).map_err(|problem| usage(&format!("--tolerance: {problem}")))
}

/// The secret, from the flag or the environment.
fn secret_text(command: &VerifyCommand) -> anyhow::Result<String> {
    let given = command.secret.as_ref().map(|hidden| hidden.0.clone());
    let variable = || std::env::var(SECRET_VARIABLE).ok().filter(|text| !text.is_empty());
    let given = given
        .or_else(variable)
        .ok_or_else(|| usage(&format!("no secret: give --secret @FILE or --secret -, or set {SECRET_VARIABLE}")))?;
    let source = Source::of(&given);
    if source == Source::Stdin && command.body == "-" {
        return Err(usage("--secret -: the body comes from standard input too; name its file instead"));
    }
    input::text(&source, "--secret")
}

fn read_body(file: &str) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    let read = if file == "-" {
        std::io::stdin().lock().take(BODY_BYTES_MAX).read_to_end(&mut body)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(BODY_BYTES_MAX).read_to_end(&mut body))
    };
    read.map_err(|error| usage(&format!("cannot read the body from {file}: {error}")))?;
    Ok(body)
}

fn print(verdict: &Verdict<'_>, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        output::json(&tell::json(verdict))
    } else {
        tell::people(verdict).context("cannot print the verdict")
    }
}

/// A moment and how far it is from another, in words: `3 h 2 min before`.
fn distance(from: Timestamp, to: Timestamp) -> (Duration, &'static str) {
    if from <= to {
        (to.since(from), "before")
    } else {
        (from.since(to), "after")
    }
}

#[cfg(test)]
mod tests;
