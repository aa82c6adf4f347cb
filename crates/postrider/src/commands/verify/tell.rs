//! How the verdict is told.

use std::fmt::Write as _;
use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::judge::Verdict;
use super::{distance, suspect};

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const QUIET: Style = Style::new().dimmed();

/// For machines.
pub(super) fn json(verdict: &Verdict<'_>) -> Value {
    let findings: Vec<Value> = verdict
        .findings
        .iter()
        .map(|finding| {
            json!({
                "code": finding.code,
                "detail": finding.detail,
                "advice": finding.advice,
                "is_harmless": finding.is_harmless,
            })
        })
        .collect();
    json!({
        "is_genuine": verdict.is_genuine(),
        "signature_matches": verdict.is_signed,
        "is_fresh": verdict.is_fresh,
        "dispatched_at": verdict.dispatched_at,
        "judged_at": verdict.judged_at,
        "tolerance_seconds": verdict.tolerance.as_secs(),
        "findings": findings,
    })
}

/// For people.
pub(super) fn people(verdict: &Verdict<'_>) -> std::io::Result<()> {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_lines(verdict, &mut out);
    // anstream takes the colours away where stdout is no terminal or NO_COLOR is set.
    anstream::stdout().write_all(out.as_bytes())
}

fn write_lines(verdict: &Verdict<'_>, out: &mut String) -> std::fmt::Result {
    let wrong: Vec<_> = verdict.findings.iter().filter(|finding| !finding.is_harmless).collect();
    if verdict.is_genuine() {
        writeln!(out, "{GOOD}genuine{GOOD:#}")?;
    } else {
        let codes: Vec<&str> = wrong.iter().map(|finding| finding.code).collect();
        writeln!(out, "{BAD}not genuine{BAD:#}: {}", codes.join(", "))?;
    }
    let signature = if verdict.is_signed { "matches" } else { "does not match" };
    writeln!(out, "  {:<10} {signature}", "signature")?;
    if let Some(moment) = verdict.dispatched_at {
        let (apart, side) = distance(moment, verdict.judged_at);
        let (apart, tolerance) = (suspect::words(apart), suspect::words(verdict.tolerance));
        writeln!(
            out,
            "  {:<10} {moment}: {apart} {side} {}, tolerated are {tolerance}",
            "dispatched", verdict.judged_at
        )?;
    }
    writeln!(out, "  {:<10} {} bytes", "body", verdict.captured.body.len())?;
    for finding in &verdict.findings {
        let (style, head) = if finding.is_harmless { (QUIET, "note") } else { (BAD, "wrong") };
        writeln!(out, "\n{style}{head}{style:#}: {}\n   do: {}", finding.detail, finding.advice)?;
    }
    Ok(())
}
