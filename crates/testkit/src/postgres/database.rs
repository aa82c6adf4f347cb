//! A database of one test.

use tokio::sync::OnceCell;

use super::Postgres;

/// A database; dropped with this, whoever is connected.
#[derive(Debug)]
pub struct Database<'a> {
    server: &'a Postgres,
    name: String,
}

impl<'a> Database<'a> {
    pub(super) fn create(server: &'a Postgres, name: &str, template: Option<&str>) -> Self {
        let name = format!("{name}_{}", server.next_number());
        let template = template.unwrap_or("template1");
        server.psql(&format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\""));
        Self { server, name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its url, with the password.
    pub fn url(&self) -> String {
        self.server.url_of(&self.name)
    }

    /// Runs SQL in it; what it answers, columns parted by `|`.
    pub fn psql(&self, sql: &str) -> String {
        self.server.psql_in(&self.name, sql)
    }

    /// From now on it is only to be copied: whoever is still connected is cut off.
    #[must_use]
    pub fn into_template(self) -> Self {
        let name = &self.name;
        self.server.psql(&format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS false"));
        let sessions = format!("FROM pg_stat_activity WHERE datname = '{name}'");
        self.server.psql(&format!("SELECT pg_terminate_backend(pid) {sessions}"));
        self
    }

    /// A new database with all that this one holds: faster than making it again. It must be a template.
    pub fn copy(&self) -> Self {
        Self::create(self.server, &self.name, Some(&self.name))
    }
}

impl Database<'static> {
    /// A new database of the server that all tests of this process share, with all that `make` put into the first one by its url.
    /// All calls of a process must say the same `make`.
    pub async fn shared_copy(make: impl AsyncFnOnce(String)) -> Self {
        static TEMPLATE: OnceCell<Database<'static>> = OnceCell::const_new();
        let template = TEMPLATE.get_or_init(async || {
            let database = Postgres::shared().create_database("template");
            make(database.url()).await;
            database.into_template()
        });
        template.await.copy()
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        // A server that is down, or dies, takes its databases along.
        let _ = self
            .server
            .try_psql_in("postgres", &format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.name));
    }
}
