//! The nodes, and the PostgreSQL that they share.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use postrider_testkit::link::Link;
use postrider_testkit::postgres::{Database, Postgres};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{LEASE, NODES};
use crate::world::{Server, Store, postrider};

/// Retries that come soon, and more of them than can fail.
const RETRIES: usize = 60;

/// One run of a node.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// As the node calls itself: no two runs have one name.
    pub(super) name: String,
    /// Its process.
    pub(super) pid: u32,
}

/// All runs there were. At most a few for each fault of a plan.
#[derive(Clone, Default)]
pub(super) struct Runs(Arc<Mutex<Vec<Run>>>);

impl Runs {
    pub(super) fn pids(&self) -> Vec<u32> {
        // The latest first: they are asked for most.
        self.0.lock().unwrap().iter().rev().map(|run| run.pid).collect()
    }

    pub(super) fn name_of(&self, pid: u32) -> Option<String> {
        let runs = self.0.lock().unwrap();
        // The latest of this number, for numbers are given again.
        runs.iter().rev().find(|run| run.pid == pid).map(|run| run.name.clone())
    }

    fn add(&self, run: Run) {
        self.0.lock().unwrap().push(run);
    }
}

/// Where the nodes are now. Written by whoever starts and ends them, read by those who post.
#[derive(Clone, Default)]
pub(super) struct Addresses(Arc<Mutex<Vec<Option<SocketAddr>>>>);

impl Addresses {
    /// Of this node, or the next one that is there.
    pub(super) fn of(&self, node: usize) -> Option<SocketAddr> {
        let addresses = self.0.lock().unwrap();
        let count = addresses.len();
        (0..count).find_map(|step| addresses[(node + step) % count])
    }

    fn set(&self, node: usize, address: Option<SocketAddr>) {
        let mut addresses = self.0.lock().unwrap();
        addresses.resize(NODES, None);
        addresses[node] = address;
    }
}

/// A node at work, and its own way to PostgreSQL.
struct Member {
    server: Server,
    link: Link,
}

/// Nodes on one database.
pub(super) struct Site {
    pub(super) postgres: &'static Postgres,
    pub(super) database: Database<'static>,
    pub(super) runs: Runs,
    pub(super) addresses: Addresses,
    /// One for each number below `NODES`.
    nodes: Vec<Member>,
    /// Nodes that were told to end, each waited for by a thread. At most one for each fault of a plan.
    leaving: Vec<JoinHandle<()>>,
    folder: TempDir,
    store: Arc<Store>,
}

impl Site {
    pub(super) fn start() -> Self {
        // It outlives the test that kills it; its guard ends it with this process.
        let postgres: &'static Postgres = Box::leak(Box::new(Postgres::start()));
        let database = postgres.create_database("chaos");
        let mut site = Self {
            store: Arc::new(Store::At(database.url())),
            database,
            postgres,
            runs: Runs::default(),
            addresses: Addresses::default(),
            nodes: Vec::new(),
            leaving: Vec::new(),
            folder: tempfile::tempdir().unwrap(),
        };
        for node in 0..NODES {
            let member = site.start_node(node);
            site.nodes.push(member);
            if node == 0 {
                site.sql(include_str!("sql/watch.sql"));
            }
        }
        site
    }

    /// Runs SQL in the database.
    pub(super) fn sql(&self, sql: &str) -> String {
        self.database.psql(sql)
    }

    /// Runs SQL that gives a number.
    pub(super) fn number(&self, sql: &str) -> u64 {
        self.sql(sql).parse().unwrap()
    }

    /// Runs SQL in the database, beside whatever else is done; what it answers.
    pub(super) fn sql_aside(&self, sql: &'static str) -> JoinHandle<String> {
        let (postgres, database) = (self.postgres, self.database.name().to_owned());
        std::thread::spawn(move || postgres.psql_in(&database, sql))
    }

    /// Sends a signal to processes of PostgreSQL.
    pub(super) fn signal_sessions(pids: &[i32], signal: Signal) {
        for pid in pids {
            kill_process(Pid::from_raw(*pid).unwrap(), signal).unwrap();
        }
    }

    /// Kills PostgreSQL (-9).
    pub(super) fn kill_postgres(&self) {
        self.postgres.kill_9();
        // Nobody is at the other end any more.
        self.nodes.iter().for_each(|member| member.link.cut());
    }

    /// The process of a node.
    pub(super) fn pid(&self, node: usize) -> u32 {
        self.nodes[node].server.pid()
    }

    /// The way from a node to PostgreSQL.
    pub(super) fn link(&self, node: usize) -> &Link {
        &self.nodes[node].link
    }

    /// Kills a node (-9).
    pub(super) fn kill(&mut self, node: usize) {
        self.addresses.set(node, None);
        self.nodes[node].server.signal(Signal::KILL);
    }

    /// Starts a node where one was killed.
    pub(super) fn start_again(&mut self, node: usize) {
        self.nodes[node] = self.start_node(node);
    }

    /// Lets a node stand still, or go on.
    pub(super) fn signal(&self, node: usize, signal: Signal) {
        self.nodes[node].server.signal(signal);
    }

    /// Starts a node in place of another, which is told to end.
    pub(super) fn replace(&mut self, node: usize) {
        let next = self.start_node(node);
        let last = std::mem::replace(&mut self.nodes[node], next);
        last.server.terminate();
        self.leaving.push(std::thread::spawn(move || {
            let Member { server, link } = last;
            let status = server.wait();
            drop(link);
            assert!(status.success(), "a node that was told to end ended with {status}");
        }));
    }

    /// Waits for those that were told to end.
    pub(super) fn wait_for_leaving(&mut self) {
        for leaving in self.leaving.drain(..) {
            leaving.join().unwrap();
        }
    }

    /// What the nodes have written to stderr, each line with who wrote it.
    pub(super) fn said(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path()).unwrap().flatten();
        let mut lines = Vec::new();
        for file in files {
            let name = file.file_name().into_string().unwrap();
            let text = std::fs::read_to_string(file.path()).unwrap();
            lines.extend(text.lines().map(|line| format!("{name}: {line}")));
        }
        lines
    }

    fn start_node(&self, node: usize) -> Member {
        let number = self.runs.pids().len();
        let name = format!("n{node}.{number}");
        let link = Link::to(self.postgres.port());
        let server = Server::start(&mut self.command(&name, &link), &self.store);
        self.runs.add(Run { name, pid: server.pid() });
        self.addresses.set(node, Some(server.address));
        Member { server, link }
    }

    fn command(&self, name: &str, link: &Link) -> Command {
        let log: PathBuf = self.folder.path().join(name);
        let schedule = vec!["1s"; RETRIES].join(",");
        let mut command = postrider(&["serve", "--dev", "--json", "--listen", "127.0.0.1:0", "--log", "warn"]);
        command.args(["--node-name", name, "--retry-schedule", &schedule]);
        command.arg("--lease").arg(format!("{}ms", LEASE.as_millis()));
        command.env("POSTRIDER_STORE", link.lead(&self.database.url()));
        command.stderr(std::fs::File::create(log).unwrap());
        command
    }
}
