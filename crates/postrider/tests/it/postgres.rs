//! Servers on PostgreSQL: it goes away and comes back, stands behind a pooler, speaks TLS.

use postrider_testkit::ca::TestCa;
use postrider_testkit::postgres::Postgres;
use serde_json::json;

use crate::world::{Account, Addresses, Client, Load, OPERATOR_KEY, Receiver, Site, assert_all_succeed};

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

#[test]
fn events_are_delivered_through_a_pooler_that_lends_connections_for_a_transaction() {
    let server = Postgres::start();
    let database = server.create_database("pooled");
    let bouncer = server.start_bouncer();
    let site = Site::at(&format!("{}?prepared_statements=false", bouncer.url_of(database.name())));
    let receiver = Receiver::start();
    let nodes = [site.start(&[]), site.start(&[])];
    let account = Account::make(nodes[0].address);
    account.webhook(nodes[0].address, &receiver.url());
    let load = Load::start(&account, &Addresses::of(&nodes), 500);
    load.finish(&receiver);
    assert_all_succeed(&mut account.client(nodes[1].address));
}

#[test]
fn the_servers_certificate_is_judged_as_the_url_says() {
    let (ca, stranger) = (TestCa::new(), TestCa::new());
    let server = Postgres::options().with_tls(&ca, &["localhost"]).start();
    let database = server.create_database("secret");
    let files = tempfile::tempdir().unwrap();
    let root = |name: &str, ca: &TestCa| {
        let path = files.path().join(name);
        std::fs::write(&path, ca.root_pem()).unwrap();
        path.display().to_string()
    };
    let (ours, theirs) = (root("ours.pem", &ca), root("theirs.pem", &stranger));
    let url = |host: &str, root: &str| {
        let url = database.url().replace("127.0.0.1", host);
        format!("{url}?sslmode=verify-full&sslrootcert={root}")
    };
    let node = Site::at(&url("localhost", &ours)).start(&[]);
    Client::connect(node.address, OPERATOR_KEY).unwrap().get("/accounts");
    assert!(server.is_spoken_to_over_tls());
    for (wrong, host, root) in [
        ("another's name", "127.0.0.1", &ours),
        ("another's signature", "localhost", &theirs),
    ] {
        let site = Site::at(&url(host, root));
        let output = site.run(&["serve", "--listen", "127.0.0.1:0", "--store", &site.store()]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{wrong}: {stderr}");
        assert!(stderr.contains("certificate") && !stderr.contains("p%40ss"), "{wrong}: {stderr}");
    }
}
