//! Where the text of an argument comes from: the argument itself, `@FILE`, or `-` for standard input.

use std::io::Read as _;

use crate::cli::WrongUsage;

/// Largest text that is read: more than any request may hold.
const BYTES_MAX: u64 = 32 << 20;

/// Where a text is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// In the argument.
    Here(String),
    /// In a file.
    File(String),
    /// On standard input.
    Stdin,
}

impl Source {
    /// What an argument means.
    pub(crate) fn of(argument: &str) -> Self {
        match argument.strip_prefix('@') {
            Some(file) => Self::File(file.to_owned()),
            None if argument == "-" => Self::Stdin,
            None => Self::Here(argument.to_owned()),
        }
    }
}

/// Reads it; `flag` is what errors name.
///
/// # Errors
/// `WrongUsage` where it cannot be read, or is no text.
pub(crate) fn text(source: &Source, flag: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = match source {
        Source::Here(text) => return Ok(text.clone()),
        Source::File(file) => std::fs::File::open(file).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text)),
        Source::Stdin => std::io::stdin().lock().take(BYTES_MAX).read_to_string(&mut text),
    };
    match (read, source) {
        (Ok(_), _) => Ok(text),
        (Err(error), Source::File(file)) => Err(WrongUsage(format!("{flag}: cannot read {file}: {error}")).into()),
        (Err(error), _) => Err(WrongUsage(format!("{flag}: cannot read standard input: {error}")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_names_its_source() {
        assert!(Source::of("-") == Source::Stdin);
        assert!(Source::of("@a/b") == Source::File("a/b".to_owned()));
        assert!(Source::of("{}") == Source::Here("{}".to_owned()));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_flag() {
        let error = text(&Source::of("@/nowhere"), "--data").unwrap_err().to_string();
        assert!(error.starts_with("--data: ") && error.contains("/nowhere"), "{error}");
    }
}
