//! What the outside may rely on, row by row: each test is named after what it holds the server to. The binary runs as a process, receivers
//! are real.

mod codes;
mod commands;
mod conventions;
mod deliveries;
mod events;
mod idempotency;
mod isolation;
mod jobs;
mod operator;
mod resources;
mod routes;
mod tokens;
mod urls;
mod wire;

use serde_json::{Value, json};

use crate::world::{Account, Answer, Client, OPERATOR_KEY, PATIENCE, Receiver, Server, Site};

/// How often a resource is read again until it is as it should be: with nothing else to do, far longer than that takes.
const READS_MAX: usize = 50_000;
const FAILS: &str = "HTTP/1.1 500 Oh\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nnope";

/// A server with an account, and a receiver for it.
struct World {
    site: Site,
    server: Server,
    account: Account,
    receiver: Receiver,
}

impl World {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(args: &[&str]) -> Self {
        let site = Site::new();
        let server = site.start(args);
        let account = Account::make(server.address);
        Self {
            site,
            server,
            account,
            receiver: Receiver::start(),
        }
    }

    /// Asks with this token, on a connection of its own.
    fn ask_as(&self, token: &str, line: &str, headers: &str, body: Option<&Value>) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let mut client = Client::connect(self.server.address, token).unwrap();
        client.ask_with(method, path, headers, body).unwrap()
    }

    /// Asks as the account: `GET /webhooks`.
    fn ask(&self, line: &str, body: Option<&Value>) -> Answer {
        self.ask_as(&self.account.token, line, "", body)
    }

    /// Asks as the operator.
    fn operator(&self, line: &str, body: Option<&Value>) -> Answer {
        self.ask_as(OPERATOR_KEY, line, "", body)
    }

    /// The body of an answer to the account that must have this status.
    fn expect(&self, status: u16, line: &str, body: Option<&Value>) -> Value {
        expect(status, line, self.ask(line, body))
    }

    /// The code of an error.
    fn refused(&self, status: u16, line: &str, body: Option<&Value>) -> String {
        code(&self.expect(status, line, body))
    }

    /// Registers the receiver; the webhook as it was answered.
    fn webhook(&self) -> Value {
        self.expect(201, "POST /webhooks", Some(&json!({ "url": self.receiver.url() })))
    }

    /// Posts an event of this name.
    fn event(&self, name: &str) -> Value {
        self.expect(201, "POST /events", Some(&event(name)))
    }

    /// The account's own id.
    fn account_id(&self) -> String {
        id(&self.expect(200, "GET /me", None)["account"])
    }

    /// The id of the account's key.
    fn key_id(&self) -> String {
        id(&self.expect(200, "GET /me", None)["key"])
    }

    /// The same after the server was killed and has been started again.
    fn after_a_crash(self, args: &[&str]) -> Self {
        self.server.kill();
        Self {
            server: self.site.start(args),
            ..self
        }
    }

    /// Reads a resource until it is as it should be.
    fn until(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let mut client = self.account.client(self.server.address);
        for _ in 0..READS_MAX {
            let found = client.get(path);
            if is_so(&found) {
                return found;
            }
        }
        panic!(
            "{path} never became what it should be within {PATIENCE:?} or so: {}",
            client.get(path)
        );
    }

    /// The one delivery of the account, as soon as it has this status.
    fn delivery(&self, status: &str) -> Value {
        let list = self.until("/deliveries", |list| {
            list.as_array().unwrap().iter().any(|row| row["status"] == status)
        });
        list.as_array().unwrap().iter().find(|row| row["status"] == status).unwrap().clone()
    }
}

fn expect(status: u16, line: &str, answer: Answer) -> Value {
    assert_eq!(answer.status, status, "{line}: {answer:?}");
    answer.body
}

fn code(error: &Value) -> String {
    error["code"].as_str().unwrap_or_default().to_owned()
}

fn id(resource: &Value) -> String {
    resource["id"].as_str().unwrap_or_else(|| panic!("no id: {resource}")).to_owned()
}

fn event(name: &str) -> Value {
    json!({ "name": name, "resource": { "id": "ord_1", "resource_type": "order" }, "data": { "total": 12 } })
}

/// The names of an object's members.
fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// `(path, code)` of every parameter that an error names.
fn params(error: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let params = error["params"].as_array().unwrap_or_else(|| panic!("no params: {error}"));
    params.iter().map(|param| (text(&param["path"]), text(&param["code"]))).collect()
}

/// RFC 3339 in UTC with milliseconds.
fn is_timestamp(value: &Value) -> bool {
    let shape: String = value
        .as_str()
        .unwrap_or_default()
        .chars()
        .map(|letter| if letter.is_ascii_digit() { '0' } else { letter })
        .collect();
    shape == "0000-00-00T00:00:00.000Z"
}
