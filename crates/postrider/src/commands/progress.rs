//! How far long work is: a line that moves on a terminal, plain lines elsewhere.

use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often the line moves by itself.
const TICK: Duration = Duration::from_millis(120);

/// Tells on stderr how far something is. What moves goes away at its end.
pub(super) struct Progress {
    /// None where stderr is no terminal.
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Of steps, each with the time since it began.
    pub(super) fn of_steps() -> Self {
        Self::new("{spinner} {elapsed:>4}  {wide_msg}")
    }

    /// Of a number of bytes, told by `reach`.
    pub(super) fn of_bytes(words: &str) -> Self {
        Self::new(&format!("{words} {{wide_bar}} {{bytes}} of {{total_bytes}}  {{eta}} left"))
    }

    /// Of a number of records, told by `reach`; what is done with them is told by `say`.
    pub(super) fn of_records() -> Self {
        Self::new("{msg} {wide_bar} {human_pos} of about {human_len}  {eta} left")
    }

    fn new(template: &str) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(0).with_style(style);
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { bar }
    }

    /// How far it is.
    pub(super) fn reach(&self, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
        }
    }

    /// What is done now.
    pub(super) fn say(&self, words: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(words.to_owned());
                bar.reset_elapsed();
            }
            None => eprintln!("{words}"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
