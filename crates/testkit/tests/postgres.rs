//! The throw-away PostgreSQL keeps what it says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use postrider_testkit::ca::TestCa;
use postrider_testkit::postgres::{Database, Postgres};

#[test]
fn what_was_committed_outlives_kill_9() {
    let server = Postgres::start();
    assert_eq!(server.psql("SHOW fsync"), "on");
    server.psql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1), (2)");
    let port = server.port();
    server.kill_9();
    assert!(server.pids().is_empty());
    assert!(server.try_psql_in("postgres", "SELECT 1").is_err());
    server.start_again();
    assert_eq!(server.psql("SELECT sum(n) FROM kept"), "3");
    server.restart();
    assert_eq!((server.psql("SELECT sum(n) FROM kept").as_str(), server.port()), ("3", port));
    let data = server.data();
    drop(server);
    assert!(!data.exists());
}

#[test]
fn its_folder_goes_when_a_test_panics() {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let test = std::thread::spawn(move || {
        let server = Postgres::start();
        sender.send((server.data(), server.pids())).unwrap();
        panic!("as tests do");
    });
    assert!(test.join().is_err());
    let (data, pids) = receiver.recv().unwrap();
    assert!(!data.exists());
    // Of a process that has ended but was not asked how, nothing is left to read.
    let is_alive = |pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty());
    assert!(!pids.is_empty() && !pids.iter().any(is_alive));
}

#[test]
fn a_database_is_of_one_test_and_a_template_is_copied() {
    let server = Postgres::shared();
    let first = server.create_database("first");
    first.psql("CREATE TABLE rows (n int); INSERT INTO rows VALUES (7)");
    let template = first.into_template();
    let (left, right) = (template.copy(), template.copy());
    left.psql("DELETE FROM rows");
    assert_eq!(
        (
            left.psql("SELECT count(*) FROM rows").as_str(),
            right.psql("SELECT n FROM rows").as_str()
        ),
        ("0", "7")
    );
    let count = format!("SELECT count(*) FROM pg_database WHERE datname = '{}'", left.name());
    drop(left);
    assert_eq!(server.psql(&count), "0");
    assert!(right.url().starts_with("postgres://postgres:p%40ss%20word%2F1@127.0.0.1:"));
}

/// A session that has begun, and never answers what it is asked for: its password.
fn begin_session(database: &Database<'_>) -> TcpStream {
    let port: u16 = database.psql("SHOW port").parse().unwrap();
    let mut session = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let asked = format!("\0\x03\0\0user\0postgres\0database\0{}\0\0", database.name());
    let length = u32::try_from(asked.len() + 4).unwrap().to_be_bytes();
    session.write_all(&[&length, asked.as_bytes()].concat()).unwrap();
    let mut answer = [0; 256];
    assert!(
        session.read(&mut answer).unwrap() > 0 && answer[0] == b'R',
        "it was not asked for a password"
    );
    session
}

#[test]
fn the_end_of_a_test_does_not_wait_for_a_session_that_it_was_opening() {
    let database = Database::lent();
    let name = database.name().to_owned();
    let mut session = begin_session(&database);
    drop(database);
    session.set_nonblocking(true).unwrap();
    let error = session.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "the server has given it up");
    drop(session);
    let next = Database::lent();
    assert_eq!(
        next.psql(&format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'")),
        "0"
    );
}

#[test]
fn its_settings_tls_and_cpu_time_are_its_own() {
    let ca = TestCa::new();
    let options = Postgres::options()
        .without_fsync()
        .with("work_mem", "5MB")
        .with_tls(&ca, &["localhost", "127.0.0.1"]);
    let server = options.start();
    assert_eq!(
        server.psql("SELECT current_setting('fsync'), current_setting('work_mem'), current_setting('ssl')"),
        "off|5MB|on"
    );
    let before = server.cpu_time();
    server.psql("SELECT count(*) FROM generate_series(1, 2000000)");
    assert!(server.cpu_time() - before >= Duration::from_millis(20));
    assert!(server.pids().len() > 3);
}

#[test]
fn a_standby_takes_over_what_its_primary_acknowledged() {
    let primary = Postgres::start();
    let standby = Postgres::options().with_clock_ahead(10).start_standby(&primary, "second");
    primary.psql("ALTER SYSTEM SET synchronous_standby_names = 'second'");
    primary.psql("SELECT pg_reload_conf()");
    primary.psql("CREATE TABLE kept (n int)");
    primary.psql("INSERT INTO kept VALUES (1)");
    assert!(standby.is_standby());
    primary.kill_9();
    standby.promote();
    assert!(!standby.is_standby());
    assert_eq!(standby.psql("SELECT n FROM kept"), "1");
    standby.psql("INSERT INTO kept VALUES (2)");
    let now = |server: &Postgres| server.psql("SELECT extract(epoch FROM clock_timestamp())").parse::<f64>().unwrap();
    let primary = Postgres::shared();
    let ahead = now(&standby) - now(primary);
    assert!((8.0..12.0).contains(&ahead), "{ahead} s");
}

#[test]
fn a_pooler_lends_a_connection_for_a_transaction() {
    let server = Postgres::shared();
    let database = server.create_database("pooled");
    let bouncer = server.start_bouncer();
    let answer = server.psql_by(
        &bouncer.url_of(database.name()),
        "SELECT current_database(), application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()",
    );
    assert_eq!(answer.unwrap().split('|').next(), Some(database.name()));
}
