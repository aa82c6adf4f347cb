//! Where PostgreSQL's programs are, and who runs them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder of PostgreSQL's programs; said by whoever has them elsewhere.
const VARIABLE: &str = "POSTRIDER_TEST_POSTGRES";
/// Debian's, a folder for each major version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Who runs the server where this process is root: PostgreSQL refuses to be.
const OWNER: &str = "postgres";

/// A file that says that the server was killed and not started again.
pub(super) const KILLED: &str = "killed";

/// The programs of one installation.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Those of the variable, else those that `pg_config` tells of, else the newest of Debian's.
    pub(super) fn find() -> Self {
        if let Some(folder) = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty()) {
            let folder = PathBuf::from(folder);
            assert!(is_server(&folder), "{VARIABLE} is {}: there is no initdb", folder.display());
            return Self { folder };
        }
        let folder = by_pg_config().or_else(by_debian).unwrap_or_else(|| {
            panic!(
                "no PostgreSQL: run the tests by ./test, which installs it, or install it (Debian: apt-get install postgresql), \
                 or say in {VARIABLE} in which folder its initdb is"
            )
        });
        Self { folder }
    }

    /// A program of it, by whoever runs the tests.
    pub(super) fn command(&self, program: &str) -> Command {
        prepare(Command::new(self.path(program)))
    }

    /// A program of it, by who owns the data.
    pub(super) fn owned(&self, program: &str) -> Command {
        owned(self.path(program))
    }

    /// Where a program of it is.
    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }

    /// What a shell does in the folder of a server to end it. What was killed and not started again has left shared memory behind,
    /// which only a start takes away.
    pub(super) fn end(&self) -> String {
        let pg_ctl = format!("'{}' -D data", self.path("pg_ctl").display());
        format!("[ ! -e {KILLED} ] || {pg_ctl} -l log -w start; {pg_ctl} -m immediate -w stop")
    }
}

/// A program by who owns the data: whoever runs the tests, but never root.
pub(super) fn owned(program: impl AsRef<std::ffi::OsStr>) -> Command {
    if !rustix::process::geteuid().is_root() {
        return prepare(Command::new(program));
    }
    let mut command = prepare(Command::new("setpriv"));
    command.args(["--reuid", OWNER, "--regid", OWNER, "--init-groups", "--"]);
    command.arg(program);
    command
}

/// Without what the environment of whoever runs the tests says of another server.
fn prepare(mut command: Command) -> Command {
    command.env_clear().env("LC_ALL", "C").env("HOME", "/");
    for name in ["PATH", "TMPDIR"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command.current_dir("/").stdin(Stdio::null());
    command
}

/// The library that shifts the clock of a program.
pub(super) fn faketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("/usr/lib is there").flatten();
    let mut libraries = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    let found = libraries.find(|library| library.is_file());
    found.unwrap_or_else(|| {
        panic!("no libfaketime: run the tests by ./test, which installs it, or install it (Debian: apt-get install libfaketime)")
    })
}

/// The pooler, wherever it is installed: PATH of those who are not root often lacks its folder.
pub(super) fn pgbouncer() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/bin")]);
    let mut programs = folders.map(|folder| folder.join("pgbouncer"));
    let found = programs.find(|program| program.is_file());
    found.unwrap_or_else(|| {
        panic!("no PgBouncer: run the tests by ./test, which installs it, or install it (Debian: apt-get install pgbouncer)")
    })
}

fn is_server(folder: &Path) -> bool {
    folder.join("initdb").is_file()
}

/// Client packages install `pg_config` too, and tell of a folder without a server.
fn by_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let folder = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    is_server(&folder).then_some(folder)
}

fn by_debian() -> Option<PathBuf> {
    let versions = std::fs::read_dir(DEBIAN).ok()?.flatten();
    let found = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let folder = entry.path().join("bin");
        is_server(&folder).then_some((version, folder))
    });
    found.max().map(|(_, folder)| folder)
}
