//! Where the servers of a test keep what they are told: SQLite, or PostgreSQL where the variable says so.

use std::path::Path;

use postrider_testkit::postgres::Database;

/// `postgres` runs the tests on PostgreSQL.
const VARIABLE: &str = "POSTRIDER_TEST_STORE";
/// Seals what nodes share: they have no file beside a database.
const SECRET_KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

/// A store of one test.
pub(crate) enum Store {
    /// A file in the site's folder.
    Sqlite,
    /// A database, on a server that no other test has meanwhile. It is dropped with this.
    Postgres(Database<'static>),
    /// A database of a server of the test's own.
    At(String),
}

impl Store {
    /// A new one of the kind that the variable says.
    pub(crate) fn of_the_variable() -> Self {
        match std::env::var(VARIABLE).as_deref() {
            Err(_) | Ok("" | "sqlite") => Self::Sqlite,
            Ok("postgres") => Self::Postgres(Database::lent()),
            Ok(other) => panic!("{VARIABLE} is {other}: it must be sqlite or postgres"),
        }
    }

    /// As flags say it.
    pub(crate) fn url(&self, folder: &Path) -> String {
        match self {
            Self::Sqlite => format!("sqlite:{}", folder.join("postrider.db").display()),
            Self::Postgres(database) => database.url(),
            Self::At(url) => url.clone(),
        }
    }

    /// Variables that a command on it needs.
    pub(crate) fn variables(&self) -> Option<(&'static str, &'static str)> {
        (!matches!(self, Self::Sqlite)).then_some(("POSTRIDER_SECRET_KEY", SECRET_KEY))
    }
}
