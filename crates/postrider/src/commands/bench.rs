//! `postrider bench`.

use std::io::Write as _;

use anyhow::Context as _;

use super::progress::Progress;
use super::serve::Stop;
use crate::bench::{BenchOptions, run};

/// Measures, and prints what came of it.
///
/// # Errors
/// Where the bench could not be run, was interrupted, or its result cannot be relied on.
pub(crate) fn execute(options: &BenchOptions) -> anyhow::Result<()> {
    crate::files::raise_limit();
    // One thread: the load and the receiver have their own, and the cores belong to the server.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let progress = Progress::of_steps();
    let say = |words: &str| progress.say(words);
    let report = runtime.block_on(async {
        let mut stop = Stop::new(false)?;
        tokio::select! {
            report = run(options, &say) => report,
            () = stop.wished() => anyhow::bail!("interrupted"),
        }
    })?;
    drop(progress);
    for warning in report.warnings() {
        eprintln!("warning: {warning}");
    }
    let result = if options.json {
        report.to_json()? + "\n"
    } else {
        report.to_table()
    };
    std::io::stdout().write_all(result.as_bytes()).context("cannot print the result")?;
    report.flaw().map_or(Ok(()), |flaw| Err(anyhow::anyhow!(flaw)))
}
