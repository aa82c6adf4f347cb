//! Which store, and the key that seals its secrets. A url of PostgreSQL can hold a password: nothing here prints it.

use std::fmt;
use std::path::PathBuf;

use postrider_model::seal::SealKey;

use super::layers::Layers;
use super::values::Read;
use super::{ConfigError, Settings, layers, read_text, seal_key, values};
use crate::cli::StoreFlags;

/// What every url of PostgreSQL begins with.
const POSTGRES_SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
/// What stands in place of a password.
const HIDDEN: &str = "***";
/// Seals the secrets of a PostgreSQL store that is only tried out: the same on every node and after every start, and no secret.
const DEV_SEAL_KEY: &str = "cG9zdHJpZGVyLWRldi1rZXktaXMtbm8tc2VjcmV0LSE=";

/// Where everything is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreUrl {
    /// In this file.
    Sqlite(PathBuf),
    /// In this database.
    Postgres(PostgresUrl),
}

/// The url of a database. It is printed without its password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PostgresUrl(String);

impl PostgresUrl {
    /// All of it, for whoever connects.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&without_password(&self.0))
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(out, "sqlite:{}", path.display()),
            Self::Postgres(url) => url.fmt(out),
        }
    }
}

/// A url as it may be shown: what stands where a password can stand is hidden, whether it is one or not.
pub(crate) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = POSTGRES_SCHEMES
        .iter()
        .find_map(|scheme| Some((*scheme, url.strip_prefix(scheme)?)))
    else {
        return url.to_owned();
    };
    let (before, query) = rest.split_once('?').map_or((rest, None), |(before, query)| (before, Some(query)));
    // A password may hold an @ that nobody escaped: the last one ends it. A / before it too.
    let shown = match before.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{scheme}{name}:{HIDDEN}@{host}"),
            None => format!("{scheme}{before}"),
        },
        None => format!("{scheme}{before}"),
    };
    let Some(query) = query else { return shown };
    if query.contains('@') {
        // A ? in a password that nobody escaped: where it ends cannot be told.
        return format!("{scheme}{HIDDEN}");
    }
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if name.contains("password") => format!("{name}={HIDDEN}"),
        _ => pair.to_owned(),
    });
    format!("{shown}?{}", pairs.collect::<Vec<_>>().join("&"))
}

pub(super) fn url(text: &str) -> Read<StoreUrl> {
    if let Some(path) = text.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
        return Ok(StoreUrl::Sqlite(PathBuf::from(path)));
    }
    let is_postgres = POSTGRES_SCHEMES
        .iter()
        .any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
    is_postgres
        .then(|| StoreUrl::Postgres(PostgresUrl(text.to_owned())))
        .ok_or_else(|| "must be sqlite: and a path, such as sqlite:postrider.db, or postgres://user@host/database".to_owned())
}

/// Which store, and the key that seals its secrets.
pub(crate) struct StoreConfig {
    /// Where it is.
    pub(crate) url: StoreUrl,
    /// The key; without one, the file beside a SQLite database holds it.
    pub(crate) seal: Option<SealKey>,
}

impl StoreConfig {
    /// Reads what a command needs that works on the server's own store.
    ///
    /// # Errors
    /// `ConfigError` says what is wrong where.
    pub(crate) fn load(
        flags: StoreFlags,
        file: Option<String>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut layers = layers(flags.into_pairs(), file, environment)?;
        let mut setting = Settings(&mut layers);
        let is_dev = setting.or_default("dev", values::truth)?;
        Self::read(&mut setting, is_dev)
    }

    /// For trying out: nobody gives a key.
    ///
    /// # Errors
    /// `ConfigError` where the text names no store.
    pub(crate) fn of_trying_out(store: &str) -> Result<Self, ConfigError> {
        let mut layers = Layers::default();
        layers.add_flags([("store", Some(store.to_owned()))]);
        Self::read(&mut Settings(&mut layers), true)
    }

    /// The same for one that opens nothing that is sealed.
    ///
    /// # Errors
    /// `ConfigError` says what is wrong where.
    pub(crate) fn load_without_key(
        flags: StoreFlags,
        file: Option<String>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::read_given(&mut Settings(&mut layers(flags.into_pairs(), file, environment)?))
    }

    pub(super) fn read(setting: &mut Settings<'_>, is_dev: bool) -> Result<Self, ConfigError> {
        let Self { url, seal } = Self::read_given(setting)?;
        let seal = match (&url, seal) {
            (StoreUrl::Postgres(_), None) if is_dev => SealKey::parse(DEV_SEAL_KEY).ok(),
            (StoreUrl::Postgres(_), None) => return Err(MISSING_KEY),
            (_, seal) => seal,
        };
        Ok(Self { url, seal })
    }

    fn read_given(setting: &mut Settings<'_>) -> Result<Self, ConfigError> {
        let file = setting.0.take("secret_key_file");
        let text = setting.0.take("secret_key");
        if let (Some(file), Some(text)) = (&file, &text) {
            return Err(ConfigError::Both(file.origin.to_string(), text.origin.to_string()));
        }
        let seal = match (file, text) {
            (Some(file), _) => Some(seal_key(&read_text(&file)?, &file.origin)?),
            (None, Some(text)) => Some(seal_key(&text.text, &text.origin)?),
            (None, None) => None,
        };
        Ok(Self {
            url: setting.or_default("store", url)?,
            seal,
        })
    }
}

const MISSING_KEY: ConfigError = ConfigError::Missing {
    what: "secret key",
    how: "secrets in PostgreSQL are sealed under 32 bytes in base64, the same on every node: make them once (openssl rand -base64 32), \
          and give --secret-key-file, or POSTRIDER_SECRET_KEY",
};

impl fmt::Debug for StoreConfig {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `SealKey` prints as ***.
        write!(out, "StoreConfig({:?}, {:?})", self.url, self.seal)
    }
}

impl StoreFlags {
    pub(super) fn into_pairs(self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("store", self.store.map(|store| store.0)),
            ("secret_key_file", self.secret_key_file),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_file_or_a_database() {
        assert_eq!(url("sqlite:a/b.db"), Ok(StoreUrl::Sqlite(PathBuf::from("a/b.db"))));
        assert!(matches!(url("postgres://h/d"), Ok(StoreUrl::Postgres(_))));
        assert!(matches!(url("postgresql://h/d"), Ok(StoreUrl::Postgres(_))));
        for wrong in ["", "sqlite:", "a.db", "postgres:", "postgres://", "mysql://h/d"] {
            assert!(url(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (given, shown) in [
            ("sqlite:a:b@c.db", "sqlite:a:b@c.db"),
            ("postgres://h/d", "postgres://h/d"),
            ("postgres://me@h:5432/d?sslmode=require", "postgres://me@h:5432/d?sslmode=require"),
            ("postgres://me:hush@h/d", "postgres://me:***@h/d"),
            ("postgresql://me:hu@sh@h/d", "postgresql://me:***@h/d"),
            ("postgres://me:hu/sh@h/d", "postgres://me:***@h/d"),
            ("postgres://me:hu?sh@h/d", "postgres://***"),
            (
                "postgres://h/d?user=me&password=hush&x=1",
                "postgres://h/d?user=me&password=***&x=1",
            ),
            ("postgres://h/d?sslpassword=hush", "postgres://h/d?sslpassword=***"),
        ] {
            assert_eq!(without_password(given), shown);
            assert!(!format!("{:?} {:?}", url(given), url(given).map(|url| url.to_string())).contains("hu"));
        }
    }

    #[test]
    fn the_key_of_trying_out_is_one() {
        assert!(SealKey::parse(DEV_SEAL_KEY).is_ok());
    }
}
