//! `postrider bench`: small runs, to see that it measures what it says.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::Instant;

use postrider_testkit::postgres::Database;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::world::{PATIENCE, postrider};

fn bench(args: &[&str]) -> Value {
    let mut all = vec!["bench", "--json", "--duration", "0.5", "--warm-up", "0.1", "--connections", "4"];
    all.extend(args);
    let output = postrider(&all).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn number(report: &Value, pointer: &str) -> f64 {
    report
        .pointer(pointer)
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("no {pointer} in {report}"))
}

#[test]
fn without_a_server_it_measures_itself() {
    let report = bench(&["--direct"]);
    assert!(number(&report, "/deliveries_per_second") > 0.0);
    assert!(report["server"]["cpu_micros_per_delivery"].is_null());
    assert!(number(&report, "/latency_ms/p50") <= number(&report, "/latency_ms/max"));
}

#[test]
fn every_delivery_of_a_fan_out_is_counted() {
    let report = bench(&["--fan-out", "3", "--batch", "5"]);
    assert_eq!((number(&report, "/missing"), number(&report, "/repeated")), (0.0, 0.0));
    assert_eq!(number(&report, "/refused"), 0.0);
    assert!(number(&report, "/events") > 0.0);
    assert!(number(&report, "/server/rss_peak_mib") > 1.0);
    assert!(number(&report, "/latency_ms/max") > 0.0);
}

/// On Linux this folder is in memory; a test that finds it elsewhere says so by failing.
#[cfg(target_os = "linux")]
#[test]
fn a_store_in_memory_is_warned_of() {
    let options = ["bench", "--json", "--duration", "0.1", "--warm-up", "0", "--connections", "1"];
    let in_memory = postrider(&options).env("TMPDIR", "/dev/shm").output().unwrap();
    let report: Value = serde_json::from_slice(&in_memory.stdout).unwrap();
    let words = String::from_utf8_lossy(&in_memory.stderr);
    assert_eq!(report["store_in_memory"], true);
    assert!(words.contains("warning: the store was in memory"), "{words}");
    let direct = bench(&["--direct"]);
    assert_eq!(direct["store_in_memory"], false);
}

#[test]
fn it_delivers_over_tls_to_an_authority_of_its_own() {
    let report = bench(&["--tls"]);
    assert_eq!(number(&report, "/missing"), 0.0);
    assert!(number(&report, "/deliveries_per_second") > 0.0);
}

#[test]
fn failing_and_hanging_receivers_are_played() {
    let report = bench(&["--failing", "0.2", "--hanging-webhooks", "20", "--hanging-hosts", "10"]);
    assert!(number(&report, "/failed_attempts") > 0.0);
    assert!(number(&report, "/hanging_attempts") > 0.0);
    assert_eq!(number(&report, "/missing"), 0.0);
}

#[test]
fn a_restart_leaves_what_is_registered_and_what_waits() {
    let report = bench(&["--webhooks", "50", "--waiting", "500", "--restart", "--events", "20"]);
    assert!(number(&report, "/events") >= 20.0);
    assert_eq!(number(&report, "/missing"), 0.0);
}

#[test]
fn on_a_postgresql_of_its_own_that_is_counted_too() {
    let report = bench(&["--postgres", "--nodes", "2", "--fan-out", "2"]);
    assert_eq!((number(&report, "/missing"), number(&report, "/settings/nodes")), (0.0, 2.0));
    let (server, postgres) = ("/server/cpu_micros_per_delivery", "/postgres/cpu_micros_per_delivery");
    let sum = number(&report, server) + number(&report, postgres);
    assert!(number(&report, postgres) > 0.0);
    assert!((number(&report, "/postgres/cpu_micros_per_delivery_in_all") - sum).abs() < 0.001);
    let each = report["server"]["nodes"].as_array().unwrap().iter();
    let each: f64 = each.map(|node| number(node, "/cpu_micros_per_delivery")).sum();
    assert!((each - number(&report, server)).abs() < 0.001);
}

#[test]
fn taken_in_at_one_node_and_sent_by_another() {
    let report = bench(&["--postgres", "--split"]);
    assert_eq!(number(&report, "/missing"), 0.0);
    assert!(number(&report, "/latency_ms/max") > 0.0);
    let duties = report["server"]["nodes"].as_array().unwrap().iter();
    assert_eq!(
        duties.map(|node| node["duty"].as_str().unwrap()).collect::<Vec<_>>(),
        ["api", "dispatch"]
    );
}

#[test]
fn a_database_that_is_named_must_be_empty_and_is_counted_too() {
    let database = Database::lent();
    let url = database.url();
    let report = bench(&["--store", &url]);
    assert!(number(&report, "/postgres/cpu_micros_per_delivery") > 0.0);
    let again = postrider(&["bench", "--store", &url]).output().unwrap();
    let words = String::from_utf8_lossy(&again.stderr);
    assert_eq!(again.status.code(), Some(1));
    assert!(words.contains("is not empty") && words.contains("postgres:***@"), "{words}");
    let nodes = postrider(&["bench", "--nodes", "2"]).output().unwrap();
    assert_eq!(nodes.status.code(), Some(2), "{nodes:?}");
}

#[test]
fn a_server_that_does_not_start_is_an_error() {
    let output = postrider(&["bench", "--store", "sqlite:no/such/folder.db", "--duration", "0.1"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
}

#[test]
fn the_server_ends_with_the_bench_however_that_ends() {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        // One that is killed cannot clear away its folder.
        let folder = tempfile::tempdir().unwrap();
        let mut bench = postrider(&["bench", "--duration", "600", "--connections", "1"])
            .env("TMPDIR", folder.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(bench.stderr.take().unwrap()).lines();
        let mut words = lines.map(Result::unwrap);
        let listens = words.find_map(|line| line.strip_prefix("the server listens at ").map(str::to_owned));
        let server: SocketAddr = listens.unwrap().parse().unwrap();
        words.find(|line| line.starts_with("measuring")).unwrap();
        kill_process(Pid::from_child(&bench), signal).unwrap();
        assert!(!bench.wait().unwrap().success());
        gone(server);
    }
}

/// Connects until nothing listens there any more.
#[expect(clippy::disallowed_methods, reason = "bounds a wait for another process")]
fn gone(server: SocketAddr) {
    let begin = Instant::now();
    while TcpStream::connect(server).is_ok() {
        assert!(begin.elapsed() < PATIENCE, "the server outlived the bench");
    }
}
