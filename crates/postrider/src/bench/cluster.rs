//! A PostgreSQL of the bench's own: default settings, a folder and a port of its own, gone with the bench however that ends.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::disk::is_in_memory;
use super::usage::Usage;
use crate::random::{OsRandom, new_operator_token};

/// Who runs it where this process is root: PostgreSQL refuses to be.
const OWNER: &str = "postgres";
/// Where Debian puts its programs, a folder for each major version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Makes it, tells of it, and ends it when its own input does: that is when the bench drops it, or is killed. `$0` is the folder of the
/// programs, `$1` the port; the first line of the input is the password, which is on no command line so.
const GUARD: &str = r#"
    trap '' INT TERM HUP
    folder=$(mktemp -d "${TMPDIR:-/tmp}/postrider-bench-XXXXXX" || mktemp -d /tmp/postrider-bench-XXXXXX) || exit 1
    end() { "$0/pg_ctl" -D "$folder/data" -m immediate -w stop >/dev/null 2>&1; cd /; rm -rf "$folder"; }
    fail() { cat "$folder/log" >&2; end; exit 1; }
    cd "$folder" && read -r password && (umask 077; printf '%s' "$password" > password) || fail
    "$0/initdb" -D data -U postgres -A scram-sha-256 --pwfile=password --encoding=UTF8 --locale=C.UTF-8 > log 2>&1 || fail
    "$0/pg_ctl" -D data -l log -w -s -o "-p $1 -c listen_addresses=127.0.0.1 -c unix_socket_directories=$folder" start || fail
    head -n 1 data/postmaster.pid
    exec >/dev/null
    read -r _
    end
"#;

/// A server at work, and the shell that ends it.
pub(crate) struct Cluster {
    /// A database of it, empty at first, with the password.
    pub(crate) url: String,
    /// Its first process.
    pub(crate) server: ServerProcess,
    guard: Child,
    stdin: ChildStdin,
}

impl Cluster {
    /// Makes one; it takes a second or two.
    ///
    /// # Errors
    /// Where no PostgreSQL is installed, or it does not start: its own words are on stderr then.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let programs = programs()?;
        let password = new_operator_token(&OsRandom::new()?).reveal().to_owned();
        let port = free_port()?;
        let mut command = owned("/bin/sh");
        command.args(["-c", GUARD]).arg(&programs).arg(port.to_string());
        // In a group of its own it outlives a signal from the terminal, and cleans up.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut guard = command
            .spawn()
            .context("cannot start a shell for PostgreSQL's user: it takes sh, and setpriv where this is root")?;
        let mut stdin = guard.stdin.take().context("the shell has no input")?;
        stdin.write_all(format!("{password}\n").as_bytes()).await?;
        let stdout = guard.stdout.take().context("the shell has no output")?;
        let line = BufReader::new(stdout).lines().next_line().await?;
        let line = line.with_context(|| format!("the PostgreSQL of {} did not start: its own words are above", programs.display()))?;
        let first = line
            .trim()
            .parse()
            .with_context(|| format!("PostgreSQL said {line:?} for its process id"))?;
        Ok(Self {
            url: format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres"),
            server: ServerProcess(first),
            guard,
            stdin,
        })
    }

    /// Ends it, and removes what it has written.
    ///
    /// # Errors
    /// Where its shell cannot be waited for.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        drop(self.stdin);
        self.guard.wait().await?;
        Ok(())
    }
}

/// The first process of a PostgreSQL on this machine, whose children all others are.
#[derive(Clone, Copy)]
pub(crate) struct ServerProcess(u32);

impl ServerProcess {
    /// The one that a process of it belongs to; `None` where that is on another machine.
    pub(crate) fn of(process: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // proc(5): a number, the name of the program in parentheses, a state, and the parent.
        let (name, rest) = stat.rsplit_once(") ")?;
        let is_postgres = name.ends_with("(postgres");
        let parent = rest.split(' ').nth(1)?.parse().ok()?;
        is_postgres.then_some(Self(parent))
    }

    /// What all its processes use.
    pub(crate) fn usage(self) -> Usage {
        Usage::of_family(self.0)
    }

    /// Whether what its commits wait for is in memory. Who may not look at its folder, which it works in, does not learn it.
    pub(crate) fn is_in_memory(self) -> bool {
        is_in_memory(&Path::new("/proc").join(self.0.to_string()).join("cwd/pg_wal"))
    }
}

/// A program by whoever runs the bench, but never root.
fn owned(program: &str) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", OWNER, "--regid", OWNER, "--init-groups", "--", program]);
        command
    } else {
        Command::new(program)
    };
    // What the environment says of another PostgreSQL is not for this one.
    command.env_clear().env("LC_ALL", "C").current_dir("/");
    for name in ["PATH", "TMPDIR"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command
}

/// The folder of PostgreSQL's programs: that of PATH, or else the newest of Debian's.
fn programs() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path);
    folders
        .find(|folder| has_server(folder))
        .or_else(newest_of_debian)
        .context("no PostgreSQL server is installed (Debian: apt-get install postgresql), or its initdb is not in PATH")
}

fn newest_of_debian() -> Option<PathBuf> {
    let versions = std::fs::read_dir(DEBIAN).ok()?.flatten();
    let found = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let folder = entry.path().join("bin");
        has_server(&folder).then_some((version, folder))
    });
    Some(found.max()?.1)
}

fn has_server(folder: &Path) -> bool {
    folder.join("initdb").is_file() && folder.join("pg_ctl").is_file()
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
