//! A client of the HTTP API.

use std::io::{self, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::{OPERATOR_KEY, PATIENCE, http};

/// A connection with a token.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    token: String,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The status line and the headers.
    pub(crate) head: http::Head,
    /// The body.
    pub(crate) body: Value,
}

impl Client {
    /// Connects.
    pub(crate) fn connect(server: SocketAddr, token: &str) -> io::Result<Self> {
        Self::connect_within(server, token, PATIENCE)
    }

    /// The same, and no answer is waited for longer than this.
    pub(crate) fn connect_within(server: SocketAddr, token: &str, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&server, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        Ok(Self {
            stream: BufReader::new(stream),
            token: token.to_owned(),
        })
    }

    /// Asks, and takes whatever is answered.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Answer> {
        self.ask_with(method, path, "", body)
    }

    /// The same with more headers, each with its line end.
    pub(crate) fn ask_with(&mut self, method: &str, path: &str, headers: &str, body: Option<&Value>) -> io::Result<Answer> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/json\r\n"
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\n{headers}{kind}Content-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (head, body) = http::read(&mut self.stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Answer {
            status: head.word(1).parse().unwrap_or(0),
            body: serde_json::from_slice(&body).unwrap_or_default(),
            head,
        })
    }

    /// Posts, and expects to be told yes.
    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Value {
        let answer = self.ask("POST", path, Some(body)).unwrap();
        assert!((200..300).contains(&answer.status), "POST {path}: {answer:?}");
        answer.body
    }

    /// Reads.
    pub(crate) fn get(&mut self, path: &str) -> Value {
        let answer = self.ask("GET", path, None).unwrap();
        assert_eq!(answer.status, 200, "GET {path}: {answer:?}");
        answer.body
    }
}

/// An account, by the token of its key.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// The token.
    pub(crate) token: String,
}

impl Account {
    /// Makes one.
    pub(crate) fn make(server: SocketAddr) -> Self {
        let mut operator = Client::connect(server, OPERATOR_KEY).unwrap();
        let account = operator.post("/accounts", &json!({ "name": "test" }));
        let path = format!("/accounts/{}/keys", account["id"].as_str().unwrap());
        let key = operator.post(&path, &json!({ "name": "test" }));
        Self {
            token: key["token"].as_str().unwrap().to_owned(),
        }
    }

    /// A connection of its own.
    pub(crate) fn client(&self, server: SocketAddr) -> Client {
        Client::connect(server, &self.token).unwrap()
    }

    /// Registers a webhook; its id.
    pub(crate) fn webhook(&self, server: SocketAddr, url: &str) -> String {
        let webhook = self.client(server).post("/webhooks", &json!({ "url": url }));
        webhook["id"].as_str().unwrap().to_owned()
    }
}
