//! PgBouncer in transaction mode.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::sync_channel;

use super::folder::Folder;
use super::{PASSWORD, PASSWORD_IN_URLS, USER, free_port, programs};

/// A pooler before a server; gone when it is dropped.
#[derive(Debug)]
pub struct Bouncer {
    port: u16,
    process: Child,
    folder: Folder,
}

impl Bouncer {
    pub(super) fn start(server: u16) -> Self {
        let folder = Folder::new("kill -9 \"$(cat pid)\"");
        let port = free_port();
        folder.write("users", &format!("\"{USER}\" \"{PASSWORD}\"\n"));
        folder.write("ini", &ini(&folder, server, port));
        let mut command = programs::owned(programs::pgbouncer());
        command.arg(folder.path().join("ini")).stderr(Stdio::piped());
        let mut process = command.spawn().expect("pgbouncer starts");
        let log = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        let (ready, is_ready) = sync_channel(1);
        // Reads on after that, for the pooler would wait for room to write.
        std::thread::spawn(move || {
            for line in log.map_while(Result::ok).filter(|line| line.contains("process up")) {
                // Nobody waits for more than the first.
                let _ = ready.try_send(line);
            }
        });
        is_ready.recv().expect("pgbouncer says that it is up");
        Self { port, process, folder }
    }

    /// A url of a database through it.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD_IN_URLS}@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        // Else the guard would kill whoever has its number next.
        self.folder.remove("pid");
    }
}

// Servers forget after each transaction: what counts on the next one being of the same connection fails always, not by chance.
fn ini(folder: &Folder, server: u16, port: u16) -> String {
    let path = folder.path().display();
    format!(
        "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
         auth_type = scram-sha-256\nauth_file = {path}/users\npidfile = {path}/pid\npool_mode = transaction\nmax_client_conn = 200\n\
         default_pool_size = 20\nserver_reset_query = DISCARD ALL\nserver_reset_query_always = 1\n"
    )
}
