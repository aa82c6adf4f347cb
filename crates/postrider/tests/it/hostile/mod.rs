//! Hostile clients against a real server: each gets the documented answer or is cut off, and whatever they do, nothing panics, nothing is
//! half done, and the next good request is answered.

mod crowd;
mod framing;
mod http2;
mod json;
mod targets;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use postrider_api::Code;
use serde_json::{Value, json};

use crate::world::{Account, Client, OPERATOR_KEY, PATIENCE, Receiver, Server, Site};

/// A server with an account, whose webhook wants every event.
struct Stand {
    site: Site,
    server: Server,
    account: Account,
    receiver: Receiver,
    webhook: String,
}

/// One answer, read off the wire.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Stand {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(args: &[&str]) -> Self {
        let site = Site::new();
        let receiver = Receiver::start();
        let server = site.start_watched(args);
        let account = Account::make(server.address);
        let webhook = account.webhook(server.address, &receiver.url());
        Self {
            site,
            server,
            account,
            receiver,
            webhook,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.server.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A head with our token, which asks to close behind the answer.
    fn head(&self, line: &str, headers: &str) -> String {
        let token = &self.account.token;
        format!("{line}\r\nHost: test\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{headers}\r\n")
    }

    /// A POST of these bytes, declared as JSON.
    fn post(&self, path: &str, body: &[u8]) -> Vec<u8> {
        let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        let mut bytes = self.head(&format!("POST {path} HTTP/1.1"), &headers).into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }

    /// Sends the bytes on a connection of their own, and takes all answers until the server closes it.
    fn exchange(&self, bytes: &[u8]) -> Vec<Reply> {
        let mut stream = self.connect();
        // A server that has heard enough closes while the rest is written.
        let _ = stream.write_all(bytes);
        replies(&read_to_end(&mut stream))
    }

    /// The same, and then says that nothing more will come.
    fn exchange_and_leave(&self, bytes: &[u8]) -> Vec<Reply> {
        let mut stream = self.connect();
        // As above, and then there is nothing to shut down either.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        replies(&read_to_end(&mut stream))
    }

    /// The one answer to these bytes.
    fn answer(&self, bytes: &[u8]) -> Reply {
        let mut replies = self.exchange(bytes);
        assert_eq!(replies.len(), 1, "{replies:?} to {}", shown(bytes));
        replies.remove(0)
    }

    /// Everything that there is, as the API shows it.
    fn everything(&self) -> Value {
        let mut client = self.account.client(self.server.address);
        let mut operator = Client::connect(self.server.address, OPERATOR_KEY).unwrap();
        let ids = |list: Value| -> Vec<Value> { list.as_array().unwrap().iter().map(|row| row["id"].clone()).collect() };
        json!({
            "webhooks": client.get("/webhooks"),
            "deliveries": ids(client.get("/deliveries?limit=200")),
            "accounts": operator.get("/accounts"),
            "operator_keys": ids(operator.get("/keys")),
        })
    }

    /// An event is still taken in and delivered, and nobody panicked.
    fn is_well(&self) {
        let before = self.receiver.wait(|_| true).len();
        let event = json!({ "name": "still.well", "resource": { "id": "1", "resource_type": "test" } });
        self.account.client(self.server.address).post("/events", &event);
        let is_it = |arrival: &crate::world::Arrival| arrival.event["name"] == "still.well";
        self.receiver.wait(|arrivals| arrivals.iter().skip(before).any(is_it));
        let said = self.site.said();
        assert!(!said.contains("panicked"), "the server said: {said}");
    }

    /// Does it, and sees that nothing came of it.
    fn unchanged(&self, hostility: impl FnOnce(&Self)) {
        let before = self.everything();
        hostility(self);
        assert_eq!(self.everything(), before, "something was half done");
        self.is_well();
    }
}

/// Reads until the server closes; a reset is an end too.
fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return bytes,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("neither answered nor closed: {}", shown(&bytes));
            }
            Err(_) => return bytes,
        }
    }
}

/// All answers in these bytes.
fn replies(mut bytes: &[u8]) -> Vec<Reply> {
    let mut replies = Vec::new();
    while let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        bytes = &bytes[end + 4..];
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        let (body, rest) = bytes.split_at(length.min(bytes.len()));
        bytes = rest;
        let body = body.to_vec();
        replies.push(Reply { status, head, body });
    }
    replies
}

/// Whether an answer to a bad request is one of those that the documentation knows: the error body, or a bare refusal of a head.
fn assert_documented(reply: &Reply, what: &str) {
    if reply.body.is_empty() {
        assert!(matches!(reply.status, 400 | 414 | 431), "{what}: {reply:?}");
        return;
    }
    let code = Code::ALL.into_iter().find(|code| code.as_str() == reply.code());
    let code = code.unwrap_or_else(|| panic!("{what}: a code that nobody knows: {reply:?}"));
    assert_eq!(reply.status, code.status().as_u16(), "{what}: {reply:?}");
    assert!(!reply.json()["detail"].as_str().unwrap().is_empty(), "{what}: {reply:?}");
    assert!(reply.head.contains("\r\nrequest-id: req_"), "{what}: {reply:?}");
    assert!(reply.head.contains("\r\ncontent-type: application/json"), "{what}: {reply:?}");
}

/// Bytes as they can be read in a message of a test.
fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned()
}
