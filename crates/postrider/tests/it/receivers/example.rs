//! One of the examples as a process, as its README starts it.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver as Lines, SyncSender, sync_channel};

use crate::world::{PATIENCE, Site};

/// Lines that nobody has asked for yet, at most.
const LINES_MAX: usize = 1_000;

/// The processes of an example, and all that they say.
pub(super) struct Example {
    /// Where it listens.
    pub(super) address: SocketAddr,
    children: Vec<Child>,
    lines: Lines<String>,
    /// What it has said so far, for whoever looks at a failed test.
    said: Vec<String>,
}

impl Example {
    pub(super) fn django(site: &Site, secrets: &str) -> Self {
        let folder = copy(site, "django");
        let manage = |args: &[&str]| {
            let mut command = Command::new(given("POSTRIDER_TEST_PYTHON"));
            command
                .arg("manage.py")
                .args(args)
                .current_dir(&folder)
                .env("WEBHOOK_SECRET", secrets);
            command
        };
        let migrated = manage(&["migrate"]).output().unwrap();
        assert!(migrated.status.success(), "{migrated:?}");
        Self::start([manage(&["runserver", "--noreload", "127.0.0.1:0"]), manage(&["work"])], secrets)
    }

    pub(super) fn fastapi(site: &Site, secrets: &str) -> Self {
        let mut command = Command::new(given("POSTRIDER_TEST_PYTHON"));
        command
            .args(["-m", "uvicorn", "main:app", "--port", "0"])
            .current_dir(copy(site, "fastapi"));
        Self::start([command], secrets)
    }

    pub(super) fn express(site: &Site, secrets: &str) -> Self {
        let folder = copy(site, "express");
        std::os::unix::fs::symlink(given("POSTRIDER_TEST_NODE_MODULES"), folder.join("node_modules")).unwrap();
        let mut command = Command::new("node");
        command.arg("server.js").current_dir(folder);
        Self::start([command], secrets)
    }

    pub(super) fn axum(secrets: &str) -> Self {
        // Beside our own, where `./test` has built it already.
        let target = Path::new(env!("CARGO_BIN_EXE_postrider")).ancestors().nth(2).unwrap();
        let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--locked", "--manifest-path"])
            .arg(folder_of("axum").join("Cargo.toml"))
            .arg("--target-dir")
            .arg(target)
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Self::start([Command::new(target.join("debug/receiver"))], secrets)
    }

    /// Starts the processes, and waits until one of them says where it listens.
    fn start<const COUNT: usize>(commands: [Command; COUNT], secrets: &str) -> Self {
        let (sender, lines) = sync_channel(LINES_MAX);
        let mut example = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            children: commands.map(|command| spawn(command, secrets, &sender)).into(),
            lines,
            said: Vec::new(),
        };
        drop(sender);
        while example.address.port() == 0 {
            let line = example.next_line();
            let port = line.split_once("http://127.0.0.1:").map(|(_, rest)| {
                let digits = rest.find(|letter: char| !letter.is_ascii_digit());
                &rest[..digits.unwrap_or(rest.len())]
            });
            example.address.set_port(port.and_then(|port| port.parse().ok()).unwrap_or(0));
        }
        example
    }

    /// Waits until it says what it did about a delivery: `worked` or `test`, the delivery's id and more.
    pub(super) fn next_deed(&mut self) -> String {
        loop {
            let line = self.next_line();
            if line.starts_with("worked ") || line.starts_with("test ") {
                return line;
            }
        }
    }

    fn next_line(&mut self) -> String {
        let line = self.lines.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|error| panic!("{error}, after it has said:\n{}", self.said.join("\n")));
        self.said.push(line.clone());
        line
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spawn(mut command: Command, secrets: &str, lines: &SyncSender<String>) -> Child {
    let mut child = command
        .env("WEBHOOK_SECRET", secrets)
        .env("PORT", "0")
        // What Python says comes at once, into a pipe too.
        .env("PYTHONUNBUFFERED", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}: run ./test in the root of the repository"));
    pass_on(child.stdout.take().unwrap(), lines.clone());
    pass_on(child.stderr.take().unwrap(), lines.clone());
    child
}

/// It ends with the process, or with the test.
fn pass_on(stream: impl Read + Send + 'static, lines: SyncSender<String>) {
    std::thread::spawn(move || {
        let mut read = BufReader::new(stream).lines().map_while(Result::ok);
        while read.next().is_some_and(|line| lines.send(line).is_ok()) {}
    });
}

/// What `./test` has installed.
fn given(variable: &str) -> std::ffi::OsString {
    std::env::var_os(variable).unwrap_or_else(|| {
        panic!("{variable} is not set: run ./test in the root of the repository, which installs what the examples use and sets it")
    })
}

fn folder_of(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/receivers")).join(name)
}

/// A copy, so that what an example writes beside itself is not left in the repository.
fn copy(site: &Site, name: &str) -> PathBuf {
    let to = site.path(name);
    copy_folder(&folder_of(name), &to);
    to
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (name, target) = (entry.file_name(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        } else if name != "node_modules" && name != "target" && name != "__pycache__" {
            copy_folder(&entry.path(), &target);
        }
    }
}
