//! The network between a node and its PostgreSQL swallows everything for a while, under load.
//!
//! Ten minutes of it: `POSTRIDER_OUTAGE_SECONDS=600 cargo test -p postrider --test it outage -- --nocapture`.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use postrider_testkit::link::Link;
use postrider_testkit::postgres::Postgres;
use serde_json::json;

use crate::world::{Account, Client};
use crate::world::{Addresses, Load, Receiver, Server, Site, assert_all_succeed};

/// How long it lasts in a run that nobody asked to be longer.
const SECONDS: u64 = 10;
const EVENTS: u64 = 2_000;
/// What a node may take more than before: answers that wait, connections that nobody answers, and what was sent and is still to be recorded.
const MORE_KIB_MAX: u64 = 64 * 1024;

#[test]
fn a_network_that_swallows_everything_costs_no_event_no_node_and_no_memory() {
    let seconds = std::env::var("POSTRIDER_OUTAGE_SECONDS");
    let seconds = seconds.map_or(SECONDS, |text| text.parse().expect("POSTRIDER_OUTAGE_SECONDS is a number"));
    let server = Postgres::start();
    let database = server.create_database("outage");
    let link = Link::to(server.port());
    let mut node = Site::at(&link.lead(&database.url())).start(&[]);
    let receiver = Receiver::start();
    let account = Account::make(node.address);
    account.webhook(node.address, &receiver.url());
    let load = Load::start(&account, &Addresses::of([&node]), EVENTS);
    load.wait_for(EVENTS / 4);
    let before = rss_kib(&node);
    // What is on its way now is answered once nothing can be recorded any more.
    receiver.hold(true);
    load.wait_for(EVENTS / 2);
    link.block();
    receiver.hold(false);
    let most = outlast(&node, &account, &load, Duration::from_secs(seconds));
    link.unblock();
    let (tally, arrivals) = load.finish(&receiver);
    assert_eq!(tally.unanswered, 0, "a post was not answered at all");
    assert_all_succeed(&mut account.client(node.address));
    let after = rss_kib(&node);
    println!("{seconds} s; VmRSS {before} KiB before, {most} KiB at most meanwhile, {after} KiB after");
    let deliveries: HashSet<&str> = arrivals.iter().map(|arrival| &*arrival.delivery).collect();
    println!("{} attempts of {} deliveries", arrivals.len(), deliveries.len());
    assert!(!node.has_ended(), "the node gave up");
    assert!(most.max(after) < before + MORE_KIB_MAX, "{before} KiB, then {most} and {after}");
}

/// Asks all the time until it is over: each answer says when to come again. The most memory that the node had.
#[expect(clippy::disallowed_methods, reason = "an outage lasts in real time")]
fn outlast(node: &Server, account: &Account, load: &Load, time: Duration) -> u64 {
    let began = Instant::now();
    let event = json!({ "name": "a", "resource": { "id": "1", "resource_type": "order" }, "data": {} });
    let mut client = account.client(node.address);
    let (mut most, mut asked, mut slowest) = (0, 0, Duration::ZERO);
    while began.elapsed() < time {
        for (method, path, body) in [("POST", "/events", Some(&event)), ("GET", "/deliveries", None)] {
            let since = Instant::now();
            let answer = client.ask(method, path, body).unwrap();
            assert_eq!(answer.status, 503, "{method} {path}: {answer:?}");
            let again: u64 = answer.head.get("retry-after").parse().expect("when to come again");
            assert!(again > 0, "{method} {path}: {answer:?}");
            asked += 1;
            slowest = slowest.max(since.elapsed());
        }
        assert_eq!(Client::connect(node.address, "").unwrap().get("/healthz")["status"], "ok");
        load.wait_for_unavailable(load.unavailable() + 1);
        most = most.max(rss_kib(node));
    }
    // Those that were under way wait as long as a statement may take; the others, for a connection.
    println!(
        "{asked} requests one by one and {} posts of the load were told to come again, after {slowest:?} at most",
        load.unavailable()
    );
    most
}

fn rss_kib(node: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
