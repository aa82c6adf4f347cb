//! `postrider migrate-store`: everything goes from SQLite to PostgreSQL and back, whatever moment it is killed at.

mod differences;
mod under_way;

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::world::{Account, Receiver, Server, Site, postrider};

const EVENTS: usize = 40;

fn event(number: usize) -> Value {
    let mut event = json!({ "name": "order.filled", "resource": { "id": "1", "resource_type": "order" }, "data": { "n": number } });
    if number.is_multiple_of(3) {
        event["id"] = format!("own-{number}").into();
    }
    event
}

/// All of a list, newest first.
fn listed(server: &Server, account: &Account, path: &str) -> Vec<Value> {
    let all = account.client(server.address).get(&format!("{path}?limit=200"));
    all.as_array().unwrap().clone()
}

fn lists(server: &Server, account: &Account) -> Vec<Vec<Value>> {
    ["/events", "/deliveries", "/webhooks", "/jobs"]
        .map(|path| listed(server, account, path))
        .to_vec()
}

fn moved(site: &Site, args: &[&str]) -> Value {
    let output = site.run(&[&["migrate-store", "--json"], args].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Fills a store with a little of everything; what its lists show.
fn fill(site: &Site, receiver: &Receiver) -> (Account, Value, Vec<Vec<Value>>) {
    let server = site.start(&[]);
    let account = Account::make(server.address);
    let mut client = account.client(server.address);
    let webhook = client.post("/webhooks", &json!({ "url": receiver.url() }));
    for number in 0..EVENTS {
        client.post("/events", &event(number));
    }
    receiver.wait(|arrivals| arrivals.len() >= EVENTS);
    // What comes now waits: the webhook is not active when its turn comes again.
    let waits = client.post("/webhooks", &json!({ "url": "http://127.0.0.1:9/closed" }));
    let body = json!({ "event": { "name": "order.filled", "data": {} } });
    client.post(&format!("/webhooks/{}/test", waits["id"].as_str().unwrap()), &body);
    client.post("/events", &event(1));
    let inactive = json!({ "is_active": false });
    client
        .ask("PUT", &format!("/webhooks/{}", waits["id"].as_str().unwrap()), Some(&inactive))
        .unwrap();
    let gone = client.post("/webhooks", &json!({ "url": "http://127.0.0.1:9/gone" }));
    client
        .ask("DELETE", &format!("/webhooks/{}", gone["id"].as_str().unwrap()), None)
        .unwrap();
    let since = json!({ "since": "2020-01-01T00:00:00.000Z" });
    let job = client.post(&format!("/webhooks/{}/recover", webhook["id"].as_str().unwrap()), &since);
    while client.get(&format!("/jobs/{}", job["id"].as_str().unwrap()))["status"] == "running" {}
    server.terminate();
    assert!(server.wait().success());
    let server = site.start(&[]);
    let lists = lists(&server, &account);
    server.terminate();
    assert!(server.wait().success());
    (account, webhook, lists)
}

#[test]
fn everything_goes_to_postgresql_and_back() {
    let (site, database, receiver) = (Site::on_sqlite(), Site::on_postgres(), Receiver::start());
    let (account, webhook, before) = fill(&site, &receiver);
    let there = moved(&database, &["--from", &site.store(), "--to", &database.store()]);
    assert_eq!(there["records"]["webhooks"], 3);
    assert_eq!(there["records"]["events"], EVENTS + 1);
    assert_eq!(there["records"]["deliveries"], EVENTS + 3);

    let back = Site::on_sqlite();
    let key = back.path("key").display().to_string();
    std::fs::write(&key, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
    let key = ["--secret-key-file", key.as_str()];
    let here = moved(&site, &[&["--from", &database.store(), "--to", &back.store()][..], &key].concat());
    assert_eq!(here["digest"], there["digest"]);
    assert_eq!(here["records"], there["records"]);

    for (site, key) in [(&database, &[][..]), (&back, &key[..])] {
        let server = site.start(key);
        assert_eq!(lists(&server, &account), before);
        let last = account.client(server.address).post("/events", &event(EVENTS + 1));
        let arrivals = receiver.wait(|arrivals| arrivals.iter().any(|arrival| arrival.event["id"] == last["id"]));
        let arrival = arrivals.iter().find(|arrival| arrival.event["id"] == last["id"]).unwrap();
        std::fs::write(site.path("body"), &arrival.body).unwrap();
        let head = |name| arrival.head.get(name);
        let verdict = site.run(
            &[
                &["verify", "--secret", webhook["secret"].as_str().unwrap(), "--id", &arrival.delivery][..],
                &[
                    "--timestamp",
                    head("webhook-timestamp"),
                    "--signature",
                    head("webhook-signature"),
                    "body",
                ],
            ]
            .concat(),
        );
        assert_eq!(verdict.status.code(), Some(0), "{verdict:?}");
        assert_eq!(
            listed(&server, &account, "/events")[0]["id"],
            last["id"],
            "what is new comes behind all that was moved"
        );
        server.terminate();
        assert!(server.wait().success());
    }
}

#[test]
fn a_move_that_is_killed_goes_on_and_no_server_starts_between() {
    let (site, database, receiver) = (Site::on_sqlite(), Site::on_postgres(), Receiver::start());
    fill(&site, &receiver);
    let (from, to) = (site.store(), database.store());
    for word in ["moving", "moving", "comparing"] {
        let mut child = postrider(&["migrate-store", "--from", &from, "--to", &to])
            .env("POSTRIDER_SECRET_KEY", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(told.any(|line| line.unwrap() == word));
        child.kill().unwrap();
        child.wait().unwrap();
        if word == "comparing" {
            break;
        }
        let output = database.run(&["serve", "--store", &to, "--listen", "127.0.0.1:0"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("run migrate-store again"));
    }
    let there = moved(&database, &["--from", &from, "--to", &to]);
    assert_eq!(there["records"]["events"], EVENTS + 1);
}

#[test]
fn what_cannot_be_moved_is_named() {
    let (site, other) = (Site::on_sqlite(), Site::on_sqlite());
    let refused = |args: &[&str], code: i32, word: &str| {
        let output = site.run(&[&["migrate-store"], args].concat());
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(word), "{told}");
        assert!(!told.contains("hush"), "{told}");
    };
    let (from, to) = (site.store(), other.store());
    refused(&["--from", &from, "--to", &to], 1, "there is no store at");
    refused(&["--from", &from, "--to", &from], 2, "same store");
    refused(&["--from", "nonsense", "--to", &to], 2, "must be sqlite:");
    refused(
        &["--from", "postgres://me:hush@127.0.0.1:9/d", "--to", &to],
        2,
        "POSTRIDER_SECRET_KEY",
    );
    for site in [&site, &other] {
        let server = site.start(&[]);
        Account::make(server.address);
        refused(&["--from", &from, "--to", &to], 1, "another server uses");
        server.terminate();
        assert!(server.wait().success());
    }
    refused(&["--from", &from, "--to", &to], 1, "not empty");
}
