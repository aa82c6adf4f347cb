//! How `postrider dev` speaks: plain words, and colours where they are seen.

use std::fmt::Display;
use std::io::Write as _;

use anstyle::{AnsiColor, Style};

const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const QUIET: Style = Style::new().dimmed();
const TITLE: Style = Style::new().bold();

/// A line that opens a part.
pub(crate) fn title(words: impl Display) {
    line(format_args!("{TITLE}{words}{TITLE:#}"));
}

/// Something that was seen to work.
pub(crate) fn good(what: &str, words: impl Display) {
    line(format_args!("  {GOOD}ok{GOOD:#}  {what:<11} {words}"));
}

/// Something that failed, as it should or not.
pub(crate) fn bad(what: &str, words: impl Display) {
    line(format_args!("  {BAD}--{BAD:#}  {what:<11} {words}"));
}

/// Something to read in passing.
pub(crate) fn quiet(words: impl Display) {
    line(format_args!("{QUIET}{words}{QUIET:#}"));
}

/// Something to copy.
pub(crate) fn plain(words: impl Display) {
    line(format_args!("{words}"));
}

fn line(words: std::fmt::Arguments<'_>) {
    // anstream takes the colours away where stdout is no terminal or NO_COLOR is set. Nobody reads any more where it is closed.
    let _ = writeln!(anstream::stdout(), "{words}");
}
