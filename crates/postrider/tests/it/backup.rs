//! `postrider backup`: a copy of a store under load, and a server started from it.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::world::{Account, Receiver, Site};

fn event(number: usize) -> Value {
    json!({ "name": "order.filled", "resource": { "id": "1", "resource_type": "order" }, "data": { "n": number } })
}

#[test]
fn what_was_answered_before_a_backup_began_is_there_when_it_is_restored() {
    const BEFORE: usize = 300;
    let (site, receiver) = (Site::new(), Receiver::start());
    let server = site.start(&[]);
    let account = Account::make(server.address);
    let webhook = account.client(server.address).post("/webhooks", &json!({ "url": receiver.url() }));
    let mut client = account.client(server.address);
    let ids: Vec<String> = (0..BEFORE)
        .map(|number| client.post("/events", &event(number))["id"].as_str().unwrap().to_owned())
        .collect();
    let restored = Site::new();
    let copy = restored.path("postrider.db").display().to_string();
    let is_over = AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut client = account.client(server.address);
                let mut number = BEFORE;
                while !is_over.load(Ordering::Relaxed) {
                    client.post("/events", &event(number));
                    number += 1;
                }
            });
        }
        let output = site.run(&["backup", "--store", &site.store(), "--json", &copy]);
        is_over.store(true, Ordering::Relaxed);
        output
    });
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(made["path"], copy.as_str());
    assert_eq!(made["bytes"], std::fs::metadata(&copy).unwrap().len());
    let key = made["secret_key_file"].as_str().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains(&format!("--secret-key-file {key}")) && std::path::Path::new(key).is_absolute(),
        "{told}"
    );
    server.kill();

    let server = restored.start(&["--secret-key-file", key]);
    let mut client = account.client(server.address);
    for id in &ids {
        assert_eq!(client.get(&format!("/events/{id}"))["id"], id.as_str());
    }
    // The secret of the webhook is of use again: what is posted now arrives, signed.
    let last = client.post("/events", &event(0));
    let arrivals = receiver.wait(|arrivals| arrivals.iter().any(|arrival| arrival.event["id"] == last["id"]));
    let arrival = arrivals.iter().find(|arrival| arrival.event["id"] == last["id"]).unwrap();
    std::fs::write(site.path("body"), &arrival.body).unwrap();
    let verdict = site.run(&[
        "verify",
        "--secret",
        webhook["secret"].as_str().unwrap(),
        "--id",
        &arrival.delivery,
        "--timestamp",
        arrival.head.get("webhook-timestamp"),
        "--signature",
        arrival.head.get("webhook-signature"),
        "body",
    ]);
    assert_eq!(verdict.status.code(), Some(0), "{verdict:?}");
}

#[test]
fn nothing_is_written_over_and_what_is_no_store_is_named() {
    let site = Site::new();
    site.start(&[]).terminate();
    let refused = |args: &[&str], code: i32| {
        let output = site.run(&[&["backup"], args].concat());
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        assert!(output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    };
    std::fs::write(site.path("taken.db"), "mine").unwrap();
    assert!(refused(&["--store", &site.store(), "taken.db"], 1).contains("taken.db"));
    assert_eq!(std::fs::read_to_string(site.path("taken.db")).unwrap(), "mine");
    assert!(refused(&["--store", "sqlite:nowhere.db", "copy.db"], 1).contains("nowhere.db"));
    assert!(refused(&["--store", &site.store(), "no/such/folder/copy.db"], 1).contains("no/such/folder"));
    assert!(refused(&[], 2).contains("<TO>"));
    assert!(refused(&["--store", "nonsense", "copy.db"], 2).contains("--store"));
    assert!(!site.path("copy.db").exists());
}
