//! docs/reference/limits.md, made from the constants that the code itself uses.

use std::io;
use std::path::Path;

/// The page that is made.
pub(crate) const PAGE: &str = "docs/reference/limits.md";

/// Where the limits stand that a user can meet.
const SOURCES: [&str; 5] = [
    "crates/model/src/limits.rs",
    "crates/model/src/id.rs",
    "crates/model/src/name.rs",
    "crates/model/src/url.rs",
    "crates/model/src/secret.rs",
];

const HEAD: &str = "# Limits

Every limit that a user can meet. What is over one gets a clear error, which names it. This page is made from the constants of
`postrider-model` by `cargo run -p xtask -- docs`: change them there.

| limit | what for | constant |
|---|---|---|
";

/// One constant and what its doc says.
#[derive(Debug, PartialEq, Eq)]
struct Limit {
    name: String,
    value: String,
    doc: String,
}

/// The page as it should be.
///
/// # Errors
/// Where a source cannot be read, or holds a limit whose value is not understood.
pub(crate) fn page(root: &Path) -> io::Result<String> {
    let mut page = HEAD.to_owned();
    for source in SOURCES {
        let text = std::fs::read_to_string(root.join(source))?;
        let limits = limits_of(&text).map_err(|error| io::Error::other(format!("{source}:{error}")))?;
        for Limit { name, value, doc } in limits {
            page.push_str(&format!("| {value} | {doc} | `{name}` |\n"));
        }
    }
    Ok(page)
}

/// The limits of one source file; an error begins with the line.
fn limits_of(text: &str) -> Result<Vec<Limit>, String> {
    let mut doc: Vec<&str> = Vec::new();
    let mut limits = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(sentence) = line.strip_prefix("/// ") {
            doc.push(sentence);
            continue;
        }
        let declared = line.strip_prefix("pub const ").and_then(|rest| rest.strip_suffix(';'));
        if let Some((name, rest)) = declared.and_then(|rest| rest.split_once(": "))
            && (name.ends_with("_MAX") || name.ends_with("_MIN") || name.ends_with("_DEFAULT") || name.ends_with("_GRACE"))
        {
            let number = index + 1;
            let (_, expression) = rest.split_once(" = ").ok_or(format!("{number}: {name} has no value"))?;
            limits.push(Limit {
                name: name.to_owned(),
                value: shown(name, expression).ok_or(format!("{number}: the value of {name} is not understood: {expression}"))?,
                doc: doc.join(" ").trim_end_matches('.').replace('|', "\\|"),
            });
        }
        doc.clear();
    }
    Ok(limits)
}

/// The value as people say it.
fn shown(name: &str, expression: &str) -> Option<String> {
    if let Some(inner) = expression
        .strip_prefix("Duration::from_secs(")
        .and_then(|rest| rest.strip_suffix(')'))
    {
        return product(inner).map(time);
    }
    let value = product(expression)?;
    Some(match value {
        _ if !name.contains("_BYTES_") => grouped(value),
        _ if value.is_multiple_of(1024 * 1024) => format!("{} MiB", value / (1024 * 1024)),
        _ if value.is_multiple_of(1024) => format!("{} KiB", value / 1024),
        _ => format!("{} bytes", grouped(value)),
    })
}

/// A number, or numbers times one another.
fn product(expression: &str) -> Option<u64> {
    expression.split('*').try_fold(1u64, |value, factor| {
        factor
            .trim()
            .replace('_', "")
            .parse::<u64>()
            .ok()
            .and_then(|factor| value.checked_mul(factor))
    })
}

fn time(seconds: u64) -> String {
    let units = [(24 * 3600, "days"), (3600, "h"), (60, "min")];
    let fits = units.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit) && seconds > *unit);
    fits.map_or(format!("{seconds} s"), |(unit, word)| format!("{} {word}", seconds / unit))
}

/// Digits in groups of three.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str, expression: &str) -> Option<String> {
        shown(name, expression)
    }

    #[test]
    fn values_are_said_as_people_say_them() {
        assert_eq!(value("A_BYTES_MAX", "256 * 1024").as_deref(), Some("256 KiB"));
        assert_eq!(value("A_BYTES_MAX", "16 * 1024 * 1024").as_deref(), Some("16 MiB"));
        assert_eq!(value("A_BYTES_MIN", "24").as_deref(), Some("24 bytes"));
        assert_eq!(value("A_ROWS_MAX", "20_000").as_deref(), Some("20,000"));
        assert_eq!(value("A_ROWS_MAX", "200").as_deref(), Some("200"));
        assert_eq!(value("A_TIME_MAX", "Duration::from_secs(25)").as_deref(), Some("25 s"));
        assert_eq!(value("A_TIME_MAX", "Duration::from_secs(24 * 3600)").as_deref(), Some("24 h"));
        assert_eq!(value("A_TIME_MAX", "Duration::from_secs(7 * 24 * 3600)").as_deref(), Some("7 days"));
        assert_eq!(value("A_ROWS_MAX", "OTHER * 2"), None);
    }

    #[test]
    fn a_limit_is_told_in_the_words_of_its_doc() {
        let text =
            "//! Head.\n\n/// Most rows of\n/// one page.\npub const PAGE_ROWS_MAX: usize = 200;\n/// A name.\npub const OTHER: u8 = 1;\n";
        let limits = limits_of(text).unwrap();
        assert_eq!(
            limits,
            [Limit {
                name: "PAGE_ROWS_MAX".to_owned(),
                value: "200".to_owned(),
                doc: "Most rows of one page".to_owned()
            }]
        );
    }

    #[test]
    fn a_limit_that_is_not_understood_is_an_error_with_its_line() {
        let error = limits_of("/// A.\npub const A_MAX: usize = OTHER;\n").unwrap_err();
        assert_eq!(error, "2: the value of A_MAX is not understood: OTHER");
    }
}
