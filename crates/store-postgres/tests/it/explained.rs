//! A server that writes down how it went about each statement, and what that cost.

use std::cell::Cell;

use postrider_store_postgres::{PostgresStore, connect};
use postrider_testkit::postgres::Postgres;
use tokio_postgres::NoTls;

use crate::support::options;

/// How many rows each of the big tables gets, for a run that is a measurement.
const ROWS: &str = "POSTRIDER_PLANS_ROWS";

/// How many rows were asked for; so many where nobody says.
pub(crate) fn rows_or(usual: u32) -> u32 {
    let asked = std::env::var(ROWS).ok();
    asked.map_or(usual, |rows| {
        let rows = rows.parse().expect("POSTRIDER_PLANS_ROWS is a whole number");
        assert!(rows >= usual, "{ROWS} is less than the {usual} of each test run");
        rows
    })
}

/// Such a server, and a store on it.
pub(crate) struct Explained {
    pub(crate) store: PostgresStore,
    pub(crate) server: Postgres,
    /// How many bytes of the log were read already.
    read: Cell<usize>,
}

impl Explained {
    /// With what `seed` puts there.
    pub(crate) async fn new(seed: &str) -> Self {
        let server = Postgres::options()
            .without_fsync()
            .with("max_wal_size", "4GB")
            .with("session_preload_libraries", "auto_explain")
            .with("auto_explain.log_min_duration", "0")
            .with("auto_explain.log_analyze", "on")
            .with("auto_explain.log_buffers", "on")
            .with("auto_explain.log_timing", "off")
            .start();
        // The schema comes first.
        drop(connect(options(server.url())).await.unwrap());
        let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        client
            .batch_execute("SET auto_explain.log_min_duration = -1; SET maintenance_work_mem = '256MB'")
            .await
            .unwrap();
        client.batch_execute(seed).await.unwrap();
        client.batch_execute("VACUUM ANALYZE").await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
        // What the seed says of this server is read when a store opens.
        let store = connect(options(server.url())).await.unwrap();
        Self {
            store,
            server,
            read: Cell::new(0),
        }
    }

    /// What the server wrote down while `call` ran.
    pub(crate) async fn plans<T>(&self, call: impl Future<Output = T>) -> (T, Plans) {
        self.read.set(self.server.log().len());
        let done = call.await;
        let log = self.server.log();
        (done, Plans(log[self.read.get()..].lines().map(str::to_owned).collect()))
    }
}

/// What each statement of a call did.
pub(crate) struct Plans(Vec<String>);

/// Tables that grow.
const BIG: [&str; 8] = [
    " on queue",
    " on events",
    " on event_ids",
    " on deliveries",
    " on attempts",
    " on accounts",
    " on webhooks",
    " on tests",
];

impl Plans {
    /// Scans of tables, but those of partitions that were left out.
    fn scans(&self) -> impl Iterator<Item = &str> {
        let is_big = |line: &&str| BIG.iter().any(|table| line.contains(table));
        let is_scan = move |line: &&str| line.contains(" Scan") && !line.contains("never executed") && is_big(line);
        self.0.iter().map(String::as_str).filter(is_scan)
    }

    /// The indexes that were read, each once; a scan without one by its kind.
    pub(crate) fn indexes(&self) -> Vec<&str> {
        let by = |scan: &&str| scan.contains(" using ");
        let using = self
            .scans()
            .filter(by)
            .filter_map(|scan| scan.split(" using ").nth(1)?.split(' ').next());
        let others = self
            .scans()
            .filter(|scan| !by(scan))
            .filter_map(|scan| scan.split("->  ").last()?.split(" on ").next());
        let mut indexes: Vec<&str> = using.chain(others).collect();
        indexes.sort_unstable();
        indexes.dedup();
        indexes
    }

    /// How many partitions of a table were looked into.
    pub(crate) fn partitions(&self, table: &str) -> usize {
        let named = |scan: &'_ str| Some(scan.split(&format!(" on {table}_")).nth(1)?.split_whitespace().next()?.to_owned());
        let mut found: Vec<String> = self.scans().filter_map(named).collect();
        found.sort_unstable();
        found.dedup();
        found.len()
    }

    /// Rows that all scans gave, and those that a condition behind an index left out.
    pub(crate) fn rows(&self) -> u64 {
        let given = self.scans().filter_map(count);
        let left_out = self
            .0
            .iter()
            .filter_map(|line| line.trim().strip_prefix("Rows Removed by Filter: ")?.parse().ok());
        given.chain(left_out).sum()
    }

    /// The most rows that were sorted at once.
    pub(crate) fn sorted(&self) -> u64 {
        let sorts = self.0.iter().filter(|line| line.contains("Sort  ("));
        sorts.filter_map(|line| count(line)).max().unwrap_or(0)
    }

    /// Pages that the statements looked into. The first line of a plan that counts them is that of all of it, but for what is written by
    /// parts that nobody waits for: where those are more, they are all of it.
    pub(crate) fn pages(&self) -> u64 {
        const ALL: usize = 0;
        const WRITTEN: usize = 1;
        let mut pages = 0;
        let mut counts = [0; 2];
        let mut of = None;
        for line in &self.0 {
            if line.contains("plan:") {
                pages += counts.into_iter().max().unwrap_or(0);
                (counts, of) = ([0; 2], Some(ALL));
            } else if ["Insert on ", "Update on ", "Delete on "].iter().any(|write| line.contains(write)) {
                of = Some(WRITTEN);
            }
            if let Some(buffers) = line.trim().strip_prefix("Buffers: shared ")
                && let Some(of) = of.take()
            {
                let kinds = buffers.split(' ').filter_map(|kind| kind.split_once('='));
                counts[of] += kinds
                    .filter(|(kind, _)| ["hit", "read"].contains(kind))
                    .map(|(_, count)| count.parse::<u64>().unwrap())
                    .sum::<u64>();
            }
        }
        pages + counts.into_iter().max().unwrap_or(0)
    }

    /// How long the server took for all of it.
    fn millis(&self) -> f64 {
        let took = |line: &String| line.split("duration: ").nth(1)?.split(" ms  plan:").next()?.parse::<f64>().ok();
        self.0.iter().filter_map(took).sum()
    }

    /// Holds it to what a call may cost however many rows there are, and prints it as a row of a table.
    #[track_caller]
    pub(crate) fn cost(&self, what: &str, (rows_max, pages_max): (u64, u64)) {
        let plan = || self.0.join("\n");
        println!("| {what} | {} | {} | {:.1} |", self.rows(), self.pages(), self.millis());
        assert!(self.rows() <= rows_max, "{what}: {} rows: {}", self.rows(), plan());
        assert!(self.pages() <= pages_max, "{what}: {} pages: {}", self.pages(), plan());
    }

    /// All that was written down.
    pub(crate) fn text(&self) -> String {
        self.0.join("\n")
    }
}

/// Rows of a step, over all its loops.
fn count(line: &str) -> Option<u64> {
    let actual = line.split("(actual rows=").nth(1)?;
    let (rows, rest) = actual.split_once(' ')?;
    let loops = rest.strip_prefix("loops=")?.split(')').next()?;
    Some(rows.parse::<u64>().ok()? * loops.parse::<u64>().ok()?)
}
