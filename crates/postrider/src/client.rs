//! A client of the HTTP API, as small as the commands need it: one connection, one request at a time, JSON in and out.

use std::net::SocketAddr;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A connection to a server, and the token that it speaks with.
pub(crate) struct Client {
    requests: SendRequest<Full<Bytes>>,
    server: SocketAddr,
    token: String,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The body; null where there is none.
    pub(crate) body: Value,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Where nothing listens there.
    pub(crate) async fn connect(server: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(server)
            .await
            .with_context(|| format!("nothing answers at {server}"))?;
        stream.set_nodelay(true)?;
        let (requests, connection) = handshake(TokioIo::new(stream)).await?;
        // An end of the connection shows as an error of the next request.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self {
            requests,
            server,
            token: token.to_owned(),
        })
    }

    /// Asks, and takes whatever is answered.
    ///
    /// # Errors
    /// Where the connection breaks, or the answer is no JSON.
    pub(crate) async fn ask(&mut self, method: Method, path: &str, body: Option<String>) -> anyhow::Result<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.server.to_string())
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
        self.requests.ready().await?;
        let response = self.requests.send_request(request).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).with_context(|| format!("{path} answered {status} with something that is no JSON"))?
        };
        Ok(Answer { status, body })
    }

    /// Posts, and expects a success.
    ///
    /// # Errors
    /// Where anything else is answered: then it is in the message.
    pub(crate) async fn post(&mut self, path: &str, body: String) -> anyhow::Result<Value> {
        let answer = self.ask(Method::POST, path, Some(body)).await?;
        anyhow::ensure!(
            answer.status.is_success(),
            "POST {path} answered {}: {}",
            answer.status,
            answer.body
        );
        Ok(answer.body)
    }
}

/// A text of a JSON object.
///
/// # Errors
/// Where it is missing.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> anyhow::Result<&'a str> {
    value
        .get(key)
        .and_then(Value::as_str)
        .with_context(|| format!("the server's answer has no {key:?}"))
}
