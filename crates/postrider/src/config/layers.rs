//! Where settings come from: flags beat the environment, which beats the file. Whatever is not known is an error that names it.

use std::collections::BTreeMap;
use std::fmt;

use super::ConfigError;
use super::settings::{self, SETTINGS};

/// What every variable of ours begins with.
const ENVIRONMENT_PREFIX: &str = "POSTRIDER_";

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A flag of the command line.
    Flag(&'static str),
    /// A variable of the environment.
    Variable(&'static str),
    /// A key of the file.
    File(&'static str, String),
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(key) => write!(out, "--{}", key.replace('_', "-")),
            Self::Variable(key) => write!(out, "{ENVIRONMENT_PREFIX}{}", key.to_uppercase()),
            Self::File(key, file) => write!(out, "{key} in {file}"),
        }
    }
}

/// A value as it was given. It is not printed by `Debug`: some are secrets.
pub(crate) struct Given {
    /// The text.
    pub(crate) text: String,
    /// Where it was given.
    pub(crate) origin: Origin,
}

/// The settings that were given, each from the strongest of its places.
#[derive(Default)]
pub(crate) struct Layers {
    /// At most one for each name that a variable may have.
    values: BTreeMap<&'static str, Given>,
}

impl Layers {
    /// Takes a setting away from here, to be read; the place where it was given comes along.
    pub(crate) fn take(&mut self, key: &str) -> Option<Given> {
        self.values.remove(key)
    }

    /// Looks at a setting.
    pub(crate) fn peek(&self, key: &str) -> Option<&Given> {
        self.values.get(key)
    }

    /// Adds flags. To be called first.
    pub(crate) fn add_flags(&mut self, flags: impl IntoIterator<Item = (&'static str, Option<String>)>) {
        for (key, text) in flags {
            if let Some(text) = text {
                self.add(key, text, Origin::Flag(key));
            }
        }
    }

    /// Adds the environment. To be called behind the flags.
    ///
    /// # Errors
    /// A variable that begins like ours and is none.
    pub(crate) fn add_environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) -> Result<(), ConfigError> {
        for (name, text) in variables {
            let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else {
                continue;
            };
            let key = settings::variables()
                .find(|key| key.to_uppercase() == rest)
                .ok_or(ConfigError::UnknownVariable(name.clone()))?;
            // `POSTRIDER_LISTEN=` is how many tools write a variable that is not set.
            if !text.is_empty() {
                self.add(key, text, Origin::Variable(key));
            }
        }
        Ok(())
    }

    /// Adds a file. To be called last.
    ///
    /// # Errors
    /// What is no TOML, a key that is not known, and a value that no setting has.
    pub(crate) fn add_file(&mut self, file: &str, text: &str) -> Result<(), ConfigError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::File {
            file: file.to_owned(),
            reason: broken_at(text, &error),
        })?;
        for (name, value) in table {
            let key = SETTINGS
                .iter()
                .map(|setting| setting.key)
                .find(|key| *key == name)
                .ok_or_else(|| ConfigError::UnknownKey {
                    key: name.clone(),
                    file: file.to_owned(),
                })?;
            let origin = Origin::File(key, file.to_owned());
            let text =
                value_text(&value).ok_or_else(|| ConfigError::bad(&origin, "must be a text, a number, true, false, or a list of texts"))?;
            self.add(key, text, origin);
        }
        Ok(())
    }

    /// What is there already is stronger.
    fn add(&mut self, key: &'static str, text: String, origin: Origin) {
        self.values.entry(key).or_insert(Given { text, origin });
    }
}

/// Where the file is no TOML, and why. The library's own message shows the line, in which a secret may stand.
fn broken_at(text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
    format!("line {line}, column {column}: {}", error.message())
}

/// A value of the file as a flag would say it.
fn value_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            texts.map(|texts| texts.join(","))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn a_flag_beats_the_environment_which_beats_the_file() {
        let mut layers = Layers::default();
        layers.add_flags([("listen", Some("flag".to_owned())), ("store", None)]);
        layers
            .add_environment(pairs(&[
                ("POSTRIDER_LISTEN", "env"),
                ("POSTRIDER_STORE", "env"),
                ("POSTRIDER_LOG", ""),
            ]))
            .unwrap();
        layers
            .add_file("p.toml", "listen = \"file\"\nstore = \"file\"\nlog = \"file\"\ndev = true")
            .unwrap();
        let mut given = |key| layers.take(key).map(|given| (given.text, given.origin.to_string()));
        assert_eq!(given("listen"), Some(("flag".to_owned(), "--listen".to_owned())));
        assert_eq!(given("store"), Some(("env".to_owned(), "POSTRIDER_STORE".to_owned())));
        assert_eq!(given("log"), Some(("file".to_owned(), "log in p.toml".to_owned())));
        assert_eq!(given("dev").unwrap().0, "true");
        assert_eq!(given("ca_file"), None);
    }

    #[test]
    fn what_is_not_known_is_named() {
        let mut layers = Layers::default();
        let error = layers
            .add_environment(pairs(&[("HOME", "/"), ("POSTRIDER_LISTENN", "x")]))
            .unwrap_err();
        assert!(error.to_string().contains("POSTRIDER_LISTENN"), "{error}");
        let error = layers.add_file("p.toml", "retry-schedule = \"5s\"").unwrap_err();
        assert!(
            error.to_string().contains("retry-schedule") && error.to_string().contains("p.toml"),
            "{error}"
        );
    }

    #[test]
    fn a_secret_in_the_file_is_refused() {
        let error = Layers::default().add_file("p.toml", "operator_key = \"hush\"").unwrap_err();
        assert!(
            error.to_string().contains("operator_key") && !error.to_string().contains("hush"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_is_no_toml_is_told_by_its_place_and_not_by_its_line() {
        let text = "dev = true\nsecret_key = \"hush-hush\nlog = \"info\"";
        let error = Layers::default().add_file("p.toml", text).unwrap_err().to_string();
        assert!(error.starts_with("cannot read p.toml: line 2, column "), "{error}");
        assert!(!error.contains("hush"), "{error}");
        let error = Layers::default()
            .add_file("p.toml", "dev = true\ndev = false")
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 2, column 1: duplicate key"), "{error}");
    }

    #[test]
    fn lists_of_the_file_are_parted_by_commas_and_other_shapes_refused() {
        let mut layers = Layers::default();
        layers.add_file("p.toml", "allow_network = [\"10.0.0.0/8\", \"fd00::/8\"]").unwrap();
        assert_eq!(layers.take("allow_network").unwrap().text, "10.0.0.0/8,fd00::/8");
        assert!(layers.add_file("p.toml", "listen = 1.5").is_err());
        assert!(layers.add_file("p.toml", "[listen]\na = 1").is_err());
        assert!(layers.add_file("p.toml", "listen =").is_err());
    }
}
