//! The whole way in earnest: the server without `--dev`, real HTTPS, and a receiver in another language whose public library judges
//! each delivery.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver as Lines, sync_channel};

use postrider_testkit::ca::{Leaf, TestCa};
use serde_json::{Value, json};

use crate::world::{Account, PATIENCE, Server, Site};

/// Set by `./test` to an interpreter that has the library.
const PYTHON: &str = "POSTRIDER_TEST_PYTHON";
/// Names below localhost are loopback wherever names are looked up (RFC 6761 §6.3).
const HOST: &str = "receiver.localhost";
/// Lines of the receiver that nobody has asked for yet, at most.
const LINES_MAX: usize = 100;

/// `tests/receiver.py` as a process.
struct PythonReceiver {
    port: u64,
    child: Child,
    stdin: ChildStdin,
    lines: Lines<Value>,
}

impl PythonReceiver {
    fn start(site: &Site, ca: &TestCa) -> Self {
        let python = std::env::var_os(PYTHON).unwrap_or_else(|| {
            panic!(
                "{PYTHON} is not set: run ./test in the root of the repository, which installs the Python library below target/ and sets it"
            )
        });
        let pem = site.path("receiver.pem");
        std::fs::write(&pem, ca.leaf_pem(&Leaf::of(&[HOST]))).unwrap();
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/receiver.py"))
            .arg(pem)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = sync_channel(LINES_MAX);
        std::thread::spawn(move || {
            let mut lines = stdout.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap());
            // It ends with the receiver, or with the test.
            while lines.next().is_some_and(|line| sender.send(line).is_ok()) {}
        });
        let mut receiver = Self {
            port: 0,
            child,
            stdin,
            lines,
        };
        receiver.port = receiver.next()["port"].as_u64().unwrap();
        receiver
    }

    fn url(&self, path: &str) -> String {
        format!("https://{HOST}:{}{path}", self.port)
    }

    /// The next line that it says.
    fn next(&self) -> Value {
        self.lines.recv_timeout(PATIENCE).expect("the receiver says something")
    }

    /// From now on it judges by this secret too.
    fn learn(&mut self, name: &str, secret: &Value) {
        writeln!(self.stdin, "{}", json!({ "name": name, "secret": secret })).unwrap();
        assert_eq!(self.next(), json!({ "knows": name }));
    }
}

impl Drop for PythonReceiver {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server in earnest, an account, and a receiver that knows a secret which has signed nothing.
struct Stage {
    receiver: PythonReceiver,
    server: Server,
    account: Account,
    _site: Site,
}

impl Stage {
    fn new() -> Self {
        let (site, ca) = (Site::new(), TestCa::new());
        let mut receiver = PythonReceiver::start(&site, &ca);
        receiver.learn("stranger", &json!("whsec_c3RyYW5nZXJzdHJhbmdlcnN0cmFuZ2VyIQ=="));
        let ca_file = site.path("ca.pem");
        std::fs::write(&ca_file, ca.root_pem()).unwrap();
        let server = site.start_strict(&[
            "--ca-file",
            ca_file.to_str().unwrap(),
            "--allow-network",
            "127.0.0.0/8",
            "--allow-host-suffix",
            ".localhost",
            "--retry-schedule",
            "1s,1s",
        ]);
        Self {
            account: Account::make(server.address),
            receiver,
            server,
            _site: site,
        }
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.account.client(self.server.address).post(path, body)
    }

    /// Registers a webhook whose secret the receiver knows as `first`.
    fn webhook(&mut self, path: &str) -> String {
        let webhook = self.post("/webhooks", &json!({ "url": self.receiver.url(path) }));
        self.receiver.learn("first", &webhook["secret"]);
        webhook["id"].as_str().unwrap().to_owned()
    }

    /// Rotates the secret, which the receiver then knows as `name`.
    fn rotate(&mut self, webhook: &str, name: &str, body: &Value) {
        let rotated = self.post(&format!("/webhooks/{webhook}/secret/rotate"), body);
        self.receiver.learn(name, &rotated["secret"]);
    }

    /// Posts an event, and waits for its delivery.
    fn deliver(&self) -> (Value, Value) {
        let event = self.post("/events", &order());
        (event, self.receiver.next())
    }
}

fn order() -> Value {
    json!({
        "name": "order.filled",
        "resource": { "id": "o-1", "resource_type": "order" },
        "data": { "quantity": 10, "customer": "Zoë \"Ω\" 🐎 \\ \u{7}" },
    })
}

/// What holds for every genuine delivery: who verifies it, and that no change of it is verified by anybody.
fn assert_genuine(arrival: &Value, secrets: &[&str]) {
    assert_eq!(arrival["verified_by"], json!(secrets), "{arrival}");
    assert_eq!(
        arrival["tampered_verified_by"],
        json!({ "body": [], "id": [], "timestamp": [] }),
        "{arrival}"
    );
    assert_eq!(arrival["tls"], "TLSv1.3", "{arrival}");
}

#[test]
fn the_public_library_verifies_every_delivery_and_refuses_what_was_tampered_with() {
    let mut stage = Stage::new();
    stage.webhook("/hooks?of=acme");
    let mut ids = HashSet::new();
    for _ in 0..5 {
        let (event, arrival) = stage.deliver();
        assert_genuine(&arrival, &["first"]);
        assert_eq!(arrival["path"], "/hooks?of=acme");
        let header = |name: &str| arrival["headers"][name].as_str().unwrap_or_default();
        assert_eq!(header("event-id"), event["id"]);
        assert_eq!(header("webhook-attempt"), "1");
        assert_eq!(header("content-type"), "application/json");
        assert_eq!(header("host"), format!("{HOST}:{}", stage.receiver.port));
        assert_eq!(header("user-agent"), concat!("Postrider/", env!("CARGO_PKG_VERSION")));
        assert!(header("webhook-id").starts_with("whd_"), "{arrival}");
        let body: Value = serde_json::from_str(arrival["body"].as_str().unwrap()).unwrap();
        assert_eq!(body, event, "the body is the event as the producer was told");
        assert!(ids.insert(header("webhook-id").to_owned()), "an id came twice: {arrival}");
    }
}

#[test]
fn a_retry_is_the_same_delivery_and_verifies_too() {
    let mut stage = Stage::new();
    stage.webhook("/flaky");
    let (event, first) = stage.deliver();
    let second = stage.receiver.next();
    assert_eq!((&first["status"], &second["status"]), (&json!(500), &json!(204)));
    for (arrival, attempt) in [(&first, "1"), (&second, "2")] {
        assert_genuine(arrival, &["first"]);
        assert_eq!(arrival["headers"]["webhook-attempt"], attempt);
        assert_eq!(arrival["headers"]["event-id"], event["id"]);
    }
    assert_eq!(first["body"], second["body"]);
    assert_eq!(first["headers"]["webhook-id"], second["headers"]["webhook-id"]);
}

#[test]
fn while_a_secret_rotates_old_and_new_verify_and_afterwards_only_the_new() {
    let mut stage = Stage::new();
    let webhook = stage.webhook("/");
    assert_genuine(&stage.deliver().1, &["first"]);
    stage.rotate(&webhook, "second", &json!({ "grace_seconds": 3_600 }));
    assert_genuine(&stage.deliver().1, &["first", "second"]);
    stage.rotate(&webhook, "third", &json!({ "grace_seconds": 0 }));
    assert_genuine(&stage.deliver().1, &["third"]);
}

#[test]
fn a_test_delivery_verifies_and_names_no_event() {
    let mut stage = Stage::new();
    let webhook = stage.webhook("/");
    let body = json!({ "event": { "name": "order.filled", "data": { "quantity": 10 } } });
    let delivery = stage.post(&format!("/webhooks/{webhook}/test"), &body);
    let arrival = stage.receiver.next();
    assert_genuine(&arrival, &["first"]);
    assert_eq!(arrival["headers"]["event-id"], Value::Null);
    assert_eq!(arrival["headers"]["webhook-id"], delivery["id"]);
    let body: Value = serde_json::from_str(arrival["body"].as_str().unwrap()).unwrap();
    assert!(body["id"].as_str().unwrap().starts_with("evt_test_"), "{body}");
}
