//! The configuration as it is in effect, to be looked at: `serve --print-config`.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::layers::{Layers, Origin};
use super::settings::{Kind, SECRETS, SETTINGS, Setting};
use super::store::without_password;
use super::{ConfigError, ServeConfig, layers};
use crate::cli::ServeFlags;

/// A setting as it is in effect.
struct Effective {
    setting: Setting,
    /// Its value; `None` where it is not given and has none.
    text: Option<String>,
    /// Where it was given; `None` where it was not.
    origin: Option<Origin>,
}

/// Every setting in effect, and which secrets are given. Holds no secret.
pub(crate) struct Shown {
    settings: Vec<Effective>,
    secrets: Vec<(&'static str, Option<Origin>)>,
}

impl Shown {
    /// Reads and checks the configuration.
    ///
    /// # Errors
    /// `ConfigError` says what is wrong where: then a server would not start.
    pub(crate) fn load(flags: ServeFlags, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let file = flags.config.clone();
        let mut layers = layers(flags.into_pairs(), file, environment)?;
        let shown = Self::of(&layers);
        ServeConfig::read(&mut layers)?;
        Ok(shown)
    }

    fn of(layers: &Layers) -> Self {
        let effective = |setting: &Setting| {
            let given = layers.peek(setting.key);
            Effective {
                setting: *setting,
                text: given
                    .map(|given| visible(setting.key, &given.text))
                    .or_else(|| setting.default.map(str::to_owned)),
                origin: given.map(|given| given.origin.clone()),
            }
        };
        let secret = |key: &&'static str| (*key, layers.peek(key).map(|given| given.origin.clone()));
        Self {
            settings: SETTINGS.iter().map(effective).collect(),
            secrets: SECRETS.iter().map(secret).collect(),
        }
    }

    /// As a file that could be given to `--config`, with where each value is from behind it.
    pub(crate) fn to_toml(&self) -> String {
        let mut out = String::new();
        for Effective { setting, text, origin } in &self.settings {
            let from = origin
                .as_ref()
                .map_or_else(|| "default".to_owned(), |origin| format!("from {origin}"));
            // Writing to a String cannot fail.
            let _ = match text {
                Some(text) => writeln!(out, "{} = {}  # {from}", setting.key, in_file(setting.kind, text)),
                None => writeln!(out, "# {} is not set", setting.key),
            };
        }
        for (key, origin) in &self.secrets {
            let variable = Origin::Variable(key);
            let state = if origin.is_some() { "= ***" } else { "is not set" };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "# {variable} {state}");
        }
        out
    }

    /// For machines: `{"listen": {"value": …, "from": …}}`.
    pub(crate) fn to_json(&self) -> Value {
        let mut all = Map::new();
        for Effective { setting, text, origin } in &self.settings {
            let value = text.as_ref().map_or(Value::Null, |text| typed(setting.kind, text));
            let from = origin.as_ref().map_or_else(|| "default".to_owned(), Origin::to_string);
            all.insert(setting.key.to_owned(), json!({ "value": value, "from": from }));
        }
        for (key, origin) in &self.secrets {
            let value = origin.as_ref().map(|_| "***");
            let from = origin.as_ref().map_or_else(|| "default".to_owned(), Origin::to_string);
            all.insert((*key).to_owned(), json!({ "value": value, "from": from }));
        }
        Value::Object(all)
    }
}

/// A value as it may be shown: the url of a store can hold a password.
fn visible(key: &str, text: &str) -> String {
    if key == "store" { without_password(text) } else { text.to_owned() }
}

fn typed(kind: Kind, text: &str) -> Value {
    match kind {
        Kind::Number => text.parse::<u64>().map_or_else(|_| text.into(), Value::from),
        Kind::Truth => (text == "true" || text == "1").into(),
        Kind::Text => text.into(),
    }
}

/// As TOML: what JSON calls a number or a boolean, TOML does too.
fn in_file(kind: Kind, text: &str) -> String {
    match typed(kind, text) {
        Value::String(text) => toml::Value::String(text).to_string(),
        other => other.to_string(),
    }
}
