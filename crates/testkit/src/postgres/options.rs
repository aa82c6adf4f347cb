//! What can be chosen before a server starts.

use super::folder::Folder;
use super::programs::{self, Programs};
use super::{PASSWORD, Postgres, USER};
use crate::ca::{Leaf, TestCa};

/// What can be chosen; without choices it is a server with default settings.
#[derive(Clone, Debug, Default)]
pub struct Options {
    settings: Vec<(String, String)>,
    /// A certificate with its chain, and its key.
    tls: Option<(String, String)>,
    pub(super) environment: Vec<(String, String)>,
}

impl Options {
    /// A setting of postgresql.conf.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without waiting for the disk: faster, and nothing that a test can do to its processes loses data.
    #[must_use]
    pub fn without_fsync(self) -> Self {
        self.with("fsync", "off")
    }

    /// Takes TLS too, with a certificate for these names or addresses.
    #[must_use]
    pub fn with_tls(mut self, ca: &TestCa, names: &[&str]) -> Self {
        self.tls = Some(ca.certificate_pem(&Leaf::of(names)));
        self
    }

    /// Its wall clock is so many seconds ahead of everybody else's.
    #[must_use]
    pub fn with_clock_ahead(mut self, seconds: u32) -> Self {
        let library = programs::faketime().display().to_string();
        let variables = [
            ("LD_PRELOAD", library),
            ("FAKETIME", format!("+{seconds}s")),
            // What is measured by it takes as long as it takes.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        self.environment.extend(variables.map(|(name, value)| (name.to_owned(), value)));
        self
    }

    /// Starts it; returns when it takes connections.
    pub fn start(self) -> Postgres {
        let programs = Programs::find();
        let folder = Folder::new(&programs.end());
        init(&programs, &folder);
        self.configure(&folder);
        Postgres::start_first(programs, folder, &self)
    }

    /// Starts a standby that streams from another server under this name, for the other's `synchronous_standby_names`.
    pub fn start_standby(self, primary: &Postgres, name: &str) -> Postgres {
        let programs = primary.programs.clone();
        let folder = Folder::new(&programs.end());
        let mut backup = programs.owned("pg_basebackup");
        backup.arg("-d").arg(format!("{}?application_name={name}", primary.url()));
        backup.arg("-D").arg(folder.path().join("data"));
        backup.args(["--write-recovery-conf", "--checkpoint=fast", "--wal-method=stream", "--no-sync"]);
        let output = backup.output().expect("pg_basebackup runs");
        assert!(
            output.status.success(),
            "pg_basebackup: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        self.configure(&folder);
        Postgres::start_first(programs, folder, &self)
    }

    fn configure(&self, folder: &Folder) {
        let sockets = folder.path().display();
        let mut text = format!("\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{sockets}'\n");
        for (name, value) in &self.settings {
            text += &format!("{name} = '{}'\n", value.replace('\'', "''"));
        }
        if let Some((certificate, key)) = &self.tls {
            folder.write("data/server.crt", certificate);
            folder.write("data/server.key", key);
            text += "ssl = on\n";
        }
        folder.append("data/postgresql.conf", &text);
    }
}

fn init(programs: &Programs, folder: &Folder) {
    folder.write("password", PASSWORD);
    let mut initdb = programs.owned("initdb");
    initdb
        .arg("-D")
        .arg(folder.path().join("data"))
        .arg("--pwfile")
        .arg(folder.path().join("password"));
    initdb.args(["-U", USER, "--auth-host=scram-sha-256", "--auth-local=trust", "--no-sync"]);
    initdb.args(["--encoding=UTF8", "--locale=C.UTF-8"]);
    if knows_icu(programs) {
        // Most servers order text by a language: who needs the order of bytes and does not say so is found out.
        initdb.args(["--locale-provider=icu", "--icu-locale=en-US"]);
    }
    let output = initdb.output().expect("initdb runs");
    assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
}

/// From version 15 on, where it was built in.
fn knows_icu(programs: &Programs) -> bool {
    let help = programs.command("initdb").arg("--help").output().expect("initdb runs");
    let configure = programs.command("pg_config").arg("--configure").output();
    let is_built_in = configure.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("--with-icu"));
    is_built_in && String::from_utf8_lossy(&help.stdout).contains("--icu-locale")
}
