//! A server's folder, and its guard: a process that ends the server and removes the folder when nobody needs them any more.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use super::programs;

/// What the guard does; its argument is what ends the server. Its stdin ends when this process drops the folder, or ends in whatever
/// way, kill -9 included.
const GUARD: &str = r#"
    trap '' INT TERM HUP
    folder=$(mktemp -d "${TMPDIR:-/tmp}/postrider-postgres-XXXXXX" || mktemp -d /tmp/postrider-postgres-XXXXXX) || exit 1
    echo "$folder"
    exec >/dev/null 2>&1
    read -r _
    cd "$folder" && eval "$0"
    cd / && rm -rf "$folder"
"#;

/// A folder of who owns the data.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    guard: Child,
}

impl Folder {
    /// A new one; `end` is run in it by a shell before it goes.
    pub(super) fn new(end: &str) -> Self {
        let mut command = programs::owned("/bin/sh");
        command.args(["-c", GUARD, end]);
        // In a group of its own it outlives a signal to the group of the tests, and cleans up.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut guard = command
            .spawn()
            .expect("a shell for PostgreSQL's user: sh, and setpriv where this is root");
        let mut line = String::new();
        let stdout = guard.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("what the shell says");
        let path = PathBuf::from(line.trim_end());
        assert!(path.is_absolute(), "PostgreSQL's user has no folder for temporary files");
        Self { path, guard }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file that only its owner reads.
    pub(super) fn write(&self, name: &str, text: &str) {
        self.redirect("umask 077 && cat > \"$0\"", name, text);
    }

    /// Adds to a file.
    pub(super) fn append(&self, name: &str, text: &str) {
        self.redirect("cat >> \"$0\"", name, text);
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, name: &str) {
        self.redirect("rm -f \"$0\"", name, "");
    }

    fn redirect(&self, script: &str, name: &str, text: &str) {
        let mut command = programs::owned("/bin/sh");
        command.args(["-c", script]).arg(self.path.join(name)).stdin(Stdio::piped());
        let mut shell = command.spawn().expect("a shell for PostgreSQL's user");
        let mut stdin = shell.stdin.take().expect("a pipe");
        stdin.write_all(text.as_bytes()).expect("a shell that reads");
        drop(stdin);
        assert!(shell.wait().expect("a shell that ends").success(), "{script} {name}");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // Where the guard is gone there is nothing to wait for.
        let _ = self.guard.wait();
    }
}
