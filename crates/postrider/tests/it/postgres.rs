//! Servers on PostgreSQL: it goes away and comes back.

use postrider_testkit::postgres::Postgres;
use serde_json::json;

use crate::world::{Account, Addresses, Load, Receiver, Site, assert_all_succeed};

/// Events posted through two nodes while PostgreSQL goes away and comes back.
const EVENTS: u64 = 1_500;

/// Posts events through two nodes on a server to which `befall` happens three times.
fn under_load(befall: impl Fn(&Postgres, &Load)) {
    const TIMES: u64 = 3;
    let server = Postgres::start();
    let database = server.create_database("busy");
    let site = Site::at(&database.url());
    let receiver = Receiver::start();
    let mut nodes = [site.start(&[]), site.start(&[])];
    let account = Account::make(nodes[0].address);
    account.webhook(nodes[0].address, &receiver.url());
    let load = Load::start(&account, &Addresses::of(&nodes), EVENTS);
    for time in 1..=TIMES {
        load.wait_for(time * EVENTS / (TIMES + 1));
        befall(&server, &load);
    }
    let (tally, _) = load.finish(&receiver);
    assert!(tally.unavailable > 0, "no post felt it: {tally:?}");
    assert!(nodes.iter_mut().all(|node| !node.has_ended()), "a node gave up");
    assert_all_succeed(&mut account.client(nodes[0].address));
}

#[test]
fn a_restart_of_postgres_loses_nothing_and_no_node_is_started_again() {
    under_load(|server, _| server.restart());
}

#[test]
fn a_postgres_that_is_killed_loses_nothing_of_what_was_acknowledged() {
    under_load(|server, load| {
        server.kill_9();
        load.wait_for_unavailable(1);
        server.start_again();
    });
}

#[test]
fn while_postgres_is_away_a_request_is_a_503_that_says_when_to_come_again() {
    let server = Postgres::start();
    let database = server.create_database("away");
    let node = Site::at(&database.url()).start(&[]);
    let account = Account::make(node.address);
    let mut client = account.client(node.address);
    server.stop();
    let event = json!({ "name": "a", "resource": { "id": "1", "resource_type": "order" }, "data": {} });
    for (method, path, body) in [
        ("POST", "/events", Some(&event)),
        ("GET", "/deliveries", None),
        ("GET", "/readyz", None),
    ] {
        let answer = client.ask(method, path, body).unwrap();
        assert_eq!(
            (answer.status, answer.body["code"].as_str()),
            (503, Some("unavailable")),
            "{method} {path}"
        );
        assert!(
            answer.head.get("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0),
            "{method} {path}"
        );
    }
    assert_eq!(client.get("/healthz")["status"], "ok");
    server.start_again();
    assert!((0..1_000).any(|_| client.ask("POST", "/events", Some(&event)).unwrap().status == 201));
}
