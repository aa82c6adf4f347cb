//! The binary as a process.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;
use tempfile::TempDir;

use super::store::Store;

/// The operator's key of every server here.
pub(crate) const OPERATOR_KEY: &str = "test-operator-key-0123456789abcdef";

/// The binary with these arguments, without any variable of whoever runs the tests.
pub(crate) fn postrider(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
    command.args(args).env_clear().stdin(Stdio::null());
    command
}

/// A folder with a store that outlives its servers.
pub(crate) struct Site {
    folder: TempDir,
    store: Arc<Store>,
}

impl Site {
    /// A new one, on the kind of store that the tests run on.
    pub(crate) fn new() -> Self {
        Self::on(Store::of_the_variable())
    }

    /// A new one for what SQLite alone has: files.
    pub(crate) fn on_sqlite() -> Self {
        Self::on(Store::Sqlite)
    }

    /// A new one on the database of this url.
    pub(crate) fn at(url: &str) -> Self {
        Self::on(Store::At(url.to_owned()))
    }

    /// A new one on a database, whatever the tests run on.
    pub(crate) fn on_postgres() -> Self {
        Self::on(Store::Postgres(postrider_testkit::postgres::Database::lent()))
    }

    fn on(store: Store) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            store: Arc::new(store),
        }
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What seals its secrets, as text.
    pub(crate) fn secret_key(&self) -> String {
        match self.store.variables() {
            Some((_, key)) => key.to_owned(),
            None => std::fs::read_to_string(self.path("postrider.db.key")).unwrap(),
        }
    }

    /// Its store, as flags say it.
    pub(crate) fn store(&self) -> String {
        self.store.url(self.folder.path())
    }

    /// Starts a server on its store, with urls of tests allowed.
    pub(crate) fn start(&self, args: &[&str]) -> Server {
        self.start_strict(&[&["--dev"], args].concat())
    }

    /// Starts a server that judges urls and addresses as in earnest.
    pub(crate) fn start_strict(&self, args: &[&str]) -> Server {
        Server::start(&mut self.serve(args), &self.store)
    }

    /// Starts a server like `start`, and keeps what it writes to stderr for `said`.
    pub(crate) fn start_watched(&self, args: &[&str]) -> Server {
        let stderr = std::fs::File::create(self.path("stderr.log")).unwrap();
        Server::start(self.serve(&[&["--dev"], args].concat()).stderr(stderr), &self.store)
    }

    /// What the watched server has written to stderr.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.path("stderr.log")).unwrap()
    }

    fn serve(&self, args: &[&str]) -> Command {
        let mut command = postrider(&["serve", "--json"]);
        command.args(["--store", &self.store()]).args(args).envs(self.store.variables());
        if !args.contains(&"--log") {
            command.args(["--log", "warn"]);
        }
        if !args.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        let mut command = postrider(args);
        command.current_dir(self.folder.path()).envs(self.store.variables());
        command.output().unwrap()
    }
}

/// A server at work; killed when it is dropped.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    child: Child,
    /// Stays there for as long as somebody uses it.
    _store: Arc<Store>,
}

impl Server {
    /// Starts one by this command, and waits until it is ready.
    pub(crate) fn start(command: &mut Command, store: &Arc<Store>) -> Self {
        let mut child = command
            .env("POSTRIDER_OPERATOR_KEY", OPERATOR_KEY)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the server said {line:?}: {:?}", child.wait()));
        let address = ready["url"].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap();
        Self {
            address,
            child,
            _store: Arc::clone(store),
        }
    }

    /// Ends it as a crash would: SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The id of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops it where it stands: SIGSTOP. Nothing of it runs until it is let go on.
    pub(crate) fn freeze(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
    }

    /// Lets it have so many files and sockets open, and no more.
    pub(crate) fn limit_files(&self, count: u64) {
        let limit = Rlimit {
            current: Some(count),
            maximum: Some(count),
        };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Nofile, limit).unwrap();
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
