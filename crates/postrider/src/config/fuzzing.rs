//! Any text as a configuration file: it is read, or refused by an error that names the place and keeps secrets to itself.

use super::settings::SETTINGS;
use super::{ConfigError, IN_FLIGHT_MAX, Layers, ServeConfig, WORKER_THREADS_MAX};

const FILE: &str = "postrider.toml";

/// Reads the input as a file, or where it begins with a zero byte, as the variables of an environment, each `NAME=value` in a line.
pub fn config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut layers = Layers::default();
    let added = match text.strip_prefix('\0') {
        Some(lines) => {
            let pairs = lines.lines().filter_map(|line| line.split_once('='));
            layers.add_environment(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
        }
        None => layers.add_file(FILE, text),
    };
    // What these name would be read, and it could be anything on this machine.
    for key in ["ca_file", "secret_key_file", "config"] {
        layers.take(key);
    }
    let secret = layers.take("operator_key").map(|given| given.text);
    if let Some(secret) = &secret {
        layers.add_flags([("operator_key", Some(secret.clone()))]);
    }
    match added.and_then(|()| ServeConfig::read(&mut layers)) {
        Ok(config) => accepted(&config),
        Err(error) => {
            refused(&error, secret.as_deref());
            // Of a file that puts secrets where they do not belong, nothing is repeated either.
            let misplaced = text.lines().filter_map(|line| line.strip_prefix("secret_key = \""));
            let mut misplaced = misplaced.filter(|secret| secret.len() >= 32);
            assert!(
                !misplaced.any(|secret| error.to_string().contains(secret)),
                "a line with a secret is shown"
            );
        }
    }
}

fn accepted(config: &ServeConfig) {
    assert!(config.webhooks_per_account > 0);
    assert!((1..=IN_FLIGHT_MAX).contains(&config.in_flight_max));
    assert!(config.retention > config.retry_schedule.length());
    assert!(config.worker_threads.is_none_or(|count| (1..=WORKER_THREADS_MAX).contains(&count)));
    assert!(config.retry_schedule.attempts() >= 1);
    assert!(
        config
            .allow_host_suffixes
            .iter()
            .all(|suffix| suffix.starts_with('.') && suffix.len() > 1)
    );
    assert!(
        config
            .public_url
            .as_ref()
            .is_none_or(|url| url.to_ascii_lowercase().starts_with("http") && !url.ends_with('/'))
    );
}

fn refused(error: &ConfigError, secret: Option<&str>) {
    let message = error.to_string();
    assert!(message.len() > 10, "{message:?} says nothing");
    if let Some(secret) = secret.filter(|secret| secret.len() >= 32) {
        assert!(!message.contains(secret), "a secret is in the message");
    }
    if let ConfigError::Bad { origin, .. } = error {
        let is_known = SETTINGS
            .iter()
            .map(|setting| setting.key)
            .any(|key| origin.contains(key) || origin.contains(&key.to_uppercase()) || origin.contains(&key.replace('_', "-")));
        assert!(
            is_known || origin.contains("operator-key") || origin.contains("SECRET_KEY"),
            "{origin:?} is no place"
        );
    }
}

#[cfg(test)]
mod tests {
    use postrider_testkit::corpus::replay;

    #[test]
    fn configurations() {
        replay("config", super::config);
    }
}
