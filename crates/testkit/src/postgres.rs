//! A throw-away PostgreSQL: its own folder, its own port, gone when it is dropped or when the process that started it is gone.
//!
//! ```text
//! let server = Postgres::start();
//! let database = server.create_database("orders");
//! let store = open(&database.url());
//! server.kill_9();
//! server.start_again();
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only tests use it: a server that does not start is a failed test"
)]

mod bouncer;
mod database;
mod folder;
mod options;
mod processes;
mod programs;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Output;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

pub use bouncer::Bouncer;
pub use database::Database;
use folder::Folder;
pub use options::Options;
use programs::{KILLED, Programs};

/// The superuser of each server.
pub const USER: &str = "postgres";
/// Its password over TCP; a url has to escape some of it.
pub const PASSWORD: &str = "p@ss word/1";
const PASSWORD_IN_URLS: &str = "p%40ss%20word%2F1";

/// Ports to try. Below those that systems give to outgoing connections, so that nobody takes one while its server is down.
const PORT_FIRST: u16 = 20_000;
const PORTS: u16 = 12_000;
/// No divisor of it divides `PORTS`: processes share a port to begin at only where their numbers are `PORTS` apart.
const FAR: u32 = 997;
/// Servers that lose their port to another between choosing and starting try again so often.
const STARTS_MAX: usize = 5;

/// A server with its data.
#[derive(Debug)]
pub struct Postgres {
    programs: Programs,
    folder: Folder,
    port: u16,
    environment: Vec<(String, String)>,
    /// Databases made so far: part of the next one's name.
    databases: AtomicU64,
}

impl Postgres {
    /// One with default settings. It takes a second.
    pub fn start() -> Self {
        Self::options().start()
    }

    /// What can be chosen before the start.
    pub fn options() -> Options {
        Options::default()
    }

    /// One for all tests of this process, without fsync: for those that need a database of their own, but no server.
    pub fn shared() -> &'static Self {
        // It is never dropped; its folder's guard ends it when this process ends.
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::options().without_fsync().with("max_connections", "1000").start())
    }

    fn start_first(programs: Programs, folder: Folder, options: &Options) -> Self {
        let mut server = Self {
            programs,
            folder,
            port: 0,
            environment: options.environment.clone(),
            databases: AtomicU64::new(0),
        };
        for _ in 0..STARTS_MAX {
            server.port = free_port();
            server.folder.append("data/postgresql.conf", &format!("port = {}\n", server.port));
            match server.try_start() {
                Ok(()) => return server,
                Err(log) if log.contains("Address already in use") => {}
                Err(log) => panic!("PostgreSQL does not start: {log}"),
            }
        }
        panic!("PostgreSQL found its port taken {STARTS_MAX} times");
    }

    /// Its port on 127.0.0.1, the same for as long as it lives.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A url of the database `postgres`, with the password.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// A url of a database, with the password.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD_IN_URLS}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL in the database `postgres`; what it answers, columns parted by `|`.
    pub fn psql(&self, sql: &str) -> String {
        self.psql_in("postgres", sql)
    }

    /// Runs SQL in a database; what it answers, columns parted by `|`.
    pub fn psql_in(&self, database: &str, sql: &str) -> String {
        self.try_psql_in(database, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Runs SQL in a database; what it answers, or what the server said against it.
    ///
    /// # Errors
    ///
    /// What psql wrote to stderr.
    pub fn try_psql_in(&self, database: &str, sql: &str) -> Result<String, String> {
        let folder = self.folder.path().display();
        self.psql_by(&format!("host={folder} port={} user={USER} dbname={database}", self.port), sql)
    }

    /// Runs SQL by a url, or whatever libpq takes for one.
    ///
    /// # Errors
    ///
    /// What psql wrote to stderr.
    pub fn psql_by(&self, url: &str, sql: &str) -> Result<String, String> {
        let mut psql = self.programs.command("psql");
        psql.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql]);
        let output = psql.output().expect("psql runs");
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim_end().to_owned())
        }
    }

    /// A new, empty database with this in its name; dropped with what is returned.
    pub fn create_database(&self, name: &str) -> Database<'_> {
        Database::create(self, name, None)
    }

    /// A url of a database that leads to whichever of this server and another takes writes.
    pub fn url_of_both(&self, other: &Self, database: &str) -> String {
        let hosts = format!("127.0.0.1:{},127.0.0.1:{}", self.port, other.port);
        format!("postgres://{USER}:{PASSWORD_IN_URLS}@{hosts}/{database}?target_session_attrs=read-write")
    }

    /// Starts a PgBouncer before it, which lends its connections for a transaction each.
    pub fn start_bouncer(&self) -> Bouncer {
        Bouncer::start(self.port)
    }

    fn next_number(&self) -> u64 {
        self.databases.fetch_add(1, Ordering::Relaxed)
    }

    /// Ends it in good order; sessions are cut off.
    pub fn stop(&self) {
        self.stop_as("fast");
    }

    fn stop_as(&self, mode: &str) {
        let output = self.pg_ctl(&["-m", mode, "-w", "stop"]);
        assert!(output.status.success(), "pg_ctl stop: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Starts it after `stop` or `kill_9`, on the same port; returns when it takes connections.
    pub fn start_again(&self) {
        self.try_start()
            .unwrap_or_else(|log| panic!("PostgreSQL does not start again: {log}"));
        self.folder.remove(KILLED);
    }

    /// `stop`, then `start_again`.
    pub fn restart(&self) {
        self.stop();
        self.start_again();
    }

    /// Ends all its processes at once, as a crash would; returns when they are gone.
    pub fn kill_9(&self) {
        processes::kill(&self.pids());
        self.folder.write(KILLED, "");
        // What is left of it speaks of a process that is surely gone, while its number may have been given to another.
        self.folder.remove("data/postmaster.pid");
        self.folder.remove(&format!(".s.PGSQL.{}.lock", self.port));
    }

    /// Makes a standby that was told to follow the primary.
    pub fn promote(&self) {
        let output = self.pg_ctl(&["-w", "promote"]);
        assert!(
            output.status.success(),
            "pg_ctl promote: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Whether it only follows another.
    pub fn is_standby(&self) -> bool {
        self.psql("SELECT pg_is_in_recovery()") == "t"
    }

    /// Whether somebody is connected over TCP, and whoever is speaks TLS.
    pub fn is_spoken_to_over_tls(&self) -> bool {
        self.psql("SELECT coalesce(bool_and(ssl), false) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_port > 0") == "t"
    }

    /// Its processes, the one that started the others first; none while it is stopped.
    pub fn pids(&self) -> Vec<u32> {
        self.first_pid().map_or_else(Vec::new, processes::family)
    }

    /// CPU time of all its processes since it was started, those that have ended included.
    pub fn cpu_time(&self) -> Duration {
        self.first_pid().map_or(Duration::ZERO, processes::cpu_time)
    }

    fn first_pid(&self) -> Option<u32> {
        let written = std::fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        written.lines().next()?.trim().parse().ok()
    }

    /// What it wrote to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The folder of its data.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn try_start(&self) -> Result<(), String> {
        let log = self.folder.path().join("log");
        let mut start = programs::owned("env");
        start.args(self.environment.iter().map(|(name, value)| format!("{name}={value}")));
        start
            .arg(self.programs.path("pg_ctl"))
            .arg("-D")
            .arg(self.data())
            .arg("-l")
            .arg(&log);
        start.args(["-s", "-w", "start"]);
        if start.status().expect("pg_ctl runs").success() {
            Ok(())
        } else {
            Err(self.log())
        }
    }

    fn pg_ctl(&self, args: &[&str]) -> Output {
        let mut command = self.programs.owned("pg_ctl");
        command.arg("-D").arg(self.data()).args(args);
        command.output().expect("pg_ctl runs")
    }
}

fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes of tests begin at ports far from each other's, those that started one after the other too.
    let start = u16::try_from(std::process::id().wrapping_mul(FAR) % u32::from(PORTS)).expect("less than PORTS");
    for _ in 0..PORTS {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
        let port = PORT_FIRST + (start + step) % PORTS;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port from {PORT_FIRST} to {} is free", PORT_FIRST + PORTS);
}
