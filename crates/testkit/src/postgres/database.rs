//! A database of one test.

use std::sync::{Arc, Mutex, PoisonError};

use super::Postgres;

/// A database; dropped with this, whoever is connected.
#[derive(Debug)]
pub struct Database<'a> {
    server: &'a Postgres,
    name: String,
    /// Where its server goes when it is dropped.
    lent: Option<Lent>,
}

/// A server that one test at a time has to itself, with the database that its databases are copies of.
#[derive(Clone, Debug)]
struct Lent {
    template: Arc<Database<'static>>,
    /// What the last test has left on it.
    used: Option<String>,
}

/// Servers that no test has: at most as many as tests ran at one time.
static FREE: Mutex<Vec<Lent>> = Mutex::new(Vec::new());

impl<'a> Database<'a> {
    pub(super) fn create(server: &'a Postgres, name: &str, template: Option<&str>) -> Self {
        let name = format!("{name}_{}", server.next_number());
        let template = template.unwrap_or("template1");
        server.psql(&format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\""));
        Self { server, name, lent: None }
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

    /// Ends the sessions that wait for notices.
    pub fn end_listeners(&self) {
        let sessions = format!("FROM pg_stat_activity WHERE datname = '{}' AND query ILIKE 'LISTEN%'", self.name);
        self.server.psql(&format!("SELECT pg_terminate_backend(pid) {sessions}"));
    }

    /// Locks all rows of a table, last first, and lets them go again: who locks some of them in another order may be in a deadlock.
    /// False where that was this session, or it had to wait for too long.
    pub fn lock_rows(&self, table: &str) -> bool {
        let sql = format!("SET lock_timeout = '2s'; SELECT count(*) FROM (SELECT 1 FROM {table} ORDER BY ctid DESC FOR UPDATE) AS locked");
        self.server.try_psql_in(&self.name, &sql).is_ok()
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
    /// A new database with all that `make` put into the first one by its url, on a server that no other test has meanwhile: a
    /// transaction anywhere on a server keeps the reads of all its databases from being sure of what they have seen. All calls of a
    /// process must say the same `make`.
    pub async fn lent_copy(make: impl AsyncFnOnce(String)) -> Self {
        let lent = match Lent::free() {
            Some(lent) => lent,
            None => {
                let database = aside(Lent::start).await;
                make(database.url()).await;
                Lent::of(database)
            }
        };
        aside(|| lent.copy()).await
    }

    /// The same, but empty: for a process none of whose tests asks for a copy.
    pub fn lent() -> Self {
        let lent = Lent::free().unwrap_or_else(|| Lent::of(Lent::start()));
        lent.copy()
    }
}

impl Lent {
    fn free() -> Option<Self> {
        FREE.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// A database that is to become the template, on a server of its own.
    fn start() -> Database<'static> {
        // What vacuum learns it writes down in transactions of its own.
        let server = Postgres::options().without_fsync().with("autovacuum", "off").start();
        // Never dropped; its folder's guard ends it when this process ends.
        let server: &'static Postgres = Box::leak(Box::new(server));
        server.create_database("template")
    }

    fn of(database: Database<'static>) -> Self {
        Self {
            template: Arc::new(database.into_template()),
            used: None,
        }
    }

    fn copy(mut self) -> Database<'static> {
        if let Some(used) = self.used.take() {
            self.template.server.drop_database(&used);
        }
        let mut database = self.template.copy();
        database.lent = Some(self);
        database
    }
}

/// Does what takes a while on a thread of its own: sessions that an earlier part of the same test has left half open are only closed
/// while the test's runtime runs.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it does not panic")
}

impl Postgres {
    fn drop_database(&self, name: &str) {
        // A server that is down, or dies, takes its databases along.
        let _ = self.try_psql_in("postgres", &format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"));
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        let Some(mut lent) = self.lent.take() else {
            return self.server.drop_database(&self.name);
        };
        // Not now: the server waits until every session has heard of it, and one that this test has just begun to open hears nothing
        // while its end is on this very thread. Whoever gets the server next does it.
        lent.used = Some(std::mem::take(&mut self.name));
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(lent);
    }
}
