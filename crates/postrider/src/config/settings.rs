//! Every setting of a server, and what holds where it is not given.

/// What a value looks like in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Truth,
}

/// A setting: a flag of `serve`, a key of the file, and a variable of the environment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Its name in the file: that of the flag, with underscores.
    pub(crate) key: &'static str,
    /// Its value where none is given, as it would be written.
    pub(crate) default: Option<&'static str>,
    /// What it looks like in a file.
    pub(crate) kind: Kind,
}

const fn setting(key: &'static str, default: Option<&'static str>, kind: Kind) -> Setting {
    Setting { key, default, kind }
}

/// All of them, in the order in which they are read about.
pub(crate) const SETTINGS: &[Setting] = &[
    setting("listen", Some("127.0.0.1:8080"), Kind::Text),
    setting("store", Some("sqlite:postrider.db"), Kind::Text),
    setting("secret_key_file", None, Kind::Text),
    setting("store_connections", Some("20"), Kind::Number),
    setting("only", None, Kind::Text),
    setting("node_name", None, Kind::Text),
    setting("lease", Some("5s"), Kind::Text),
    setting("synchronous", Some("full"), Kind::Text),
    setting("ca_file", None, Kind::Text),
    setting("dev", Some("false"), Kind::Truth),
    setting("retry_schedule", Some("5s,30s,2m,10m,30m,1h,2h,4h,8h,12h,24h,24h"), Kind::Text),
    setting("retention", Some("30d"), Kind::Text),
    setting("allow_network", None, Kind::Text),
    setting("allow_host_suffix", None, Kind::Text),
    setting("webhooks_per_account", Some("1000"), Kind::Number),
    setting("public_url", None, Kind::Text),
    setting("docs_url", None, Kind::Text),
    setting("metrics", Some("open"), Kind::Text),
    setting("in_flight_max", Some("4096"), Kind::Number),
    setting("memory_max", Some("24MiB"), Kind::Text),
    setting("log", Some("info"), Kind::Text),
    setting("log_format", Some("auto"), Kind::Text),
    setting("worker_threads", None, Kind::Number),
];

/// Secrets: in the environment only, where neither a process list nor a file that is checked in shows them.
pub(crate) const SECRETS: &[&str] = &["operator_key", "secret_key"];

/// Variables of ours that are no setting of the server: where its file is, what commands speak to a server with, and what `verify`
/// judges by.
pub(crate) const OTHERS: &[&str] = &["config", "server", "key", "account", "webhook_secret"];

/// The value of a setting that is not given.
pub(super) fn default_of(key: &str) -> Option<&'static str> {
    SETTINGS.iter().find(|setting| setting.key == key)?.default
}

/// All names that a variable may have behind its prefix, in lower case.
pub(super) fn variables() -> impl Iterator<Item = &'static str> {
    let settings = SETTINGS.iter().map(|setting| setting.key);
    settings.chain(SECRETS.iter().copied()).chain(OTHERS.iter().copied())
}
