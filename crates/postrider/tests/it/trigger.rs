//! `postrider trigger`: an event posted by hand, and what came of it.

use std::process::Output;

use serde_json::{Value, json};

use crate::world::{Account, Client, OPERATOR_KEY, Receiver, Server, Site, postrider};

/// An account on a server, and a receiver.
struct Scene {
    server: Server,
    receiver: Receiver,
    account: Account,
}

impl Scene {
    fn new() -> Self {
        let server = Site::new().start(&["--retry-schedule", "1s"]);
        let account = Account::make(server.address);
        Self {
            server,
            receiver: Receiver::start(),
            account,
        }
    }

    fn webhook(&self, event_names: &[&str], url: &str) -> String {
        let body = json!({ "url": url, "event_names": event_names });
        let webhook = self.account.client(self.server.address).post("/webhooks", &body);
        webhook["id"].as_str().unwrap().to_owned()
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = postrider(&[&["trigger"], args].concat());
        command.env("POSTRIDER_SERVER", format!("http://{}", self.server.address));
        command.env("POSTRIDER_KEY", &self.account.token).output().unwrap()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout_json(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn an_event_is_posted_and_what_came_of_it_is_told() {
    let scene = Scene::new();
    scene.webhook(&["order.*"], &scene.receiver.url());
    scene.webhook(&["user.made"], &scene.receiver.url());
    let args = [
        "order.filled",
        "--data",
        "{\"price\": 12.50}",
        "--resource-id",
        "o-7",
        "--yes",
        "--wait",
        "--json",
    ];
    let output = scene.run(&args);
    let told = stdout_json(&output);
    assert!(
        stderr(&output).contains("1 webhook") && stderr(&output).contains("acc_"),
        "{output:?}"
    );
    assert_eq!(told["event"]["resource"], json!({ "id": "o-7", "resource_type": "order" }));
    assert_eq!(told["deliveries"][0]["status"], "succeeded");
    let arrivals = scene.receiver.wait(|arrivals| !arrivals.is_empty());
    assert_eq!(arrivals.len(), 1);
    let body = String::from_utf8(arrivals[0].body.clone()).unwrap();
    assert!(body.contains("\"data\":{\"price\": 12.50}"), "{body}");
    let people = scene.run(&["order.filled", "--yes", "--wait=20s"]);
    let said = String::from_utf8(people.stdout).unwrap();
    assert!(said.contains("succeeded") && said.contains("attempt 1: answered 200"), "{said}");
}

#[test]
fn a_delivery_that_fails_is_told_attempt_by_attempt_and_ends_with_1() {
    let scene = Scene::new();
    scene.webhook(&[], "http://127.0.0.1:1/");
    let output = scene.run(&["order.filled", "--yes", "--wait"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("failed (exhausted)") && said.contains("attempt 2: "), "{said}");
}

#[test]
fn a_test_goes_to_one_webhook_and_is_not_asked_about() {
    let scene = Scene::new();
    let webhook = scene.webhook(&[], &scene.receiver.url());
    scene.webhook(&[], &scene.receiver.url());
    let output = scene.run(&["order.filled", "--webhook", &webhook, "--wait", "--json"]);
    let told = stdout_json(&output);
    assert!(told["event"].is_null());
    assert_eq!(told["deliveries"][0]["status"], "succeeded");
    let arrivals = scene.receiver.wait(|arrivals| !arrivals.is_empty());
    assert_eq!(arrivals.len(), 1);
    assert!(arrivals[0].event["id"].as_str().unwrap().starts_with("evt_test_"));
}

#[test]
fn nothing_is_sent_where_nobody_can_be_asked() {
    let scene = Scene::new();
    scene.webhook(&[], &scene.receiver.url());
    let output = scene.run(&["order.filled"]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    for words in ["--yes", "\"test\"", "1 webhook", "acc_"] {
        assert!(said.contains(words), "no {words} in {said}");
    }
    let deliveries = scene.account.client(scene.server.address).get("/deliveries");
    assert_eq!(deliveries, json!([]));
}

#[test]
fn an_operator_says_for_which_account() {
    let scene = Scene::new();
    let mut operator = Client::connect(scene.server.address, OPERATOR_KEY).unwrap();
    operator.post("/accounts", &json!({ "name": "Corner shop", "external_id": "shop-17" }));
    let without = scene.run(&["order.filled", "--yes", "--key", OPERATOR_KEY]);
    assert_eq!(without.status.code(), Some(2), "{without:?}");
    assert!(stderr(&without).contains("--account"));
    let with = scene.run(&["order.filled", "--yes", "--key", OPERATOR_KEY, "--account", "shop-17", "--json"]);
    assert!(stdout_json(&with)["id"].as_str().unwrap().starts_with("evt_"));
    assert!(
        stderr(&with).contains("Corner shop") && stderr(&with).contains("no webhook"),
        "{with:?}"
    );
}

#[test]
fn wrong_usage_is_named() {
    let scene = Scene::new();
    for (args, code, named) in [
        (&["order..filled", "--yes"][..], 2, "name"),
        (&["order.filled", "--yes", "--data", "[1]"], 2, "--data"),
        (&["order.filled", "--yes", "--data", "@/nowhere"], 2, "/nowhere"),
        (&["order.filled", "--yes", "--wait=soon"], 2, "--wait"),
        (&["order.filled", "--webhook", "wh_1", "--resource-id", "1"], 2, "--resource-id"),
        (&["order.filled", "--webhook", "wh_1"], 1, "webhook_not_found"),
    ] {
        let output = scene.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        assert!(stderr(&output).contains(named), "{args:?}: {output:?}");
    }
}
