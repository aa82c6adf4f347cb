//! How results are printed on stdout: JSON, lines, records and tables.

use std::io::Write as _;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

/// Prints a result as JSON.
///
/// # Errors
/// Where stdout is closed.
pub(crate) fn json(result: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(result)?)
}

/// Prints a result as JSON on one line, for streams of results.
///
/// # Errors
/// Where stdout is closed.
pub(crate) fn json_line(result: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string(result)?)
}

/// Prints a line.
///
/// # Errors
/// Where stdout is closed.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{text}")
        .and_then(|()| stdout.flush())
        .context("cannot print the result")
}

/// A text that came from elsewhere, without what a terminal would obey.
pub(crate) fn visible(text: &str) -> String {
    let escaped = |letter: char| match letter {
        // Marks that turn the direction of writing make a text look like another one.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => letter.escape_unicode().to_string(),
        _ if letter.is_control() => letter.escape_default().to_string(),
        _ => letter.to_string(),
    };
    text.chars().map(escaped).collect()
}

/// A value of a JSON answer, as people read it.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(truth) => if *truth { "yes" } else { "no" }.to_owned(),
        Value::String(text) => visible(text),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(","),
        other => visible(&other.to_string()),
    }
}

/// The keys that are shown of an object, each with its heading.
pub(crate) type Columns<'a> = [(&'a str, &'a str)];

/// Prints one object, a line for each key.
///
/// # Errors
/// Where stdout is closed.
pub(crate) fn record(columns: &Columns<'_>, object: &Value) -> anyhow::Result<()> {
    let width = columns.iter().map(|(heading, _)| heading.len()).max().unwrap_or(0);
    for (heading, key) in columns {
        line(&format!("{heading:width$}  {}", cell(&object[*key])))?;
    }
    Ok(())
}

/// Prints objects as a table with a heading; the same on a terminal and in a pipe.
///
/// # Errors
/// Where stdout is closed.
pub(crate) fn table(columns: &Columns<'_>, rows: &[Value]) -> anyhow::Result<()> {
    let headings = columns.iter().map(|(heading, _)| heading.to_uppercase()).collect();
    let cells = rows.iter().map(|row| columns.iter().map(|(_, key)| cell(&row[*key])).collect());
    line(&aligned(&std::iter::once(headings).chain(cells).collect::<Vec<Vec<String>>>()))
}

fn aligned(rows: &[Vec<String>]) -> String {
    let count = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let shown = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(shown).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [
            vec!["ID".to_owned(), "NAME".to_owned()],
            vec!["acc_12345".to_owned(), "Zoë".to_owned()],
        ];
        assert_eq!(aligned(&rows), "ID         NAME\nacc_12345  Zoë");
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_and_not_obeyed() {
        assert_eq!(visible("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\\nc");
        assert_eq!(visible("abc\u{202e}def"), "abc\\u{202e}def");
        assert_eq!(visible("Zoë ☃"), "Zoë ☃");
    }

    #[test]
    fn values_are_shown_as_people_read_them() {
        let shown: Vec<String> = [json!(null), json!(true), json!(["a", "b"]), json!(3)].iter().map(cell).collect();
        assert_eq!(shown, ["-", "yes", "a,b", "3"]);
    }
}
