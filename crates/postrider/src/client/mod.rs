//! A client of the HTTP API, as small as the commands need it: one connection, one request at a time, JSON in and out.

mod refused;
mod server;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use postrider_ports::Clock as _;
use serde_json::Value;

pub(crate) use self::refused::Refused;
pub(crate) use self::server::ServerUrl;
use crate::clock::SystemClock;

/// Largest answer that is read: a page of a list has at most 4 MiB of payloads, and attempts beside.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Most rows that one page is asked for.
const PAGE_ROWS_MAX: usize = 200;
/// How long a request may take until its answer has come.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// Who asks whom.
#[derive(Clone)]
pub(crate) struct Target {
    /// The server.
    pub(crate) server: ServerUrl,
    /// What it is asked with.
    pub(crate) token: String,
    /// For which account, where that is not the key's own.
    pub(crate) account: Option<String>,
    /// Certificates (PEM) that the server may have beside those that the system trusts.
    pub(crate) ca_pem: Option<Vec<u8>>,
}

/// A connection to a server, and the token that it speaks with.
pub(crate) struct Client {
    target: Target,
    requests: SendRequest<Full<Bytes>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The body; null where there is none.
    pub(crate) body: Value,
    /// The cursor of the next page, where there is one.
    next: Option<String>,
}

impl Client {
    /// Connects to a server on this machine.
    ///
    /// # Errors
    /// Where nothing listens there.
    pub(crate) async fn connect(server: SocketAddr, token: &str) -> anyhow::Result<Self> {
        Self::open(Target {
            server: ServerUrl::plain(server),
            token: token.to_owned(),
            account: None,
            ca_pem: None,
        })
        .await
    }

    /// Connects.
    ///
    /// # Errors
    /// Where nothing listens there, or it is not trusted.
    pub(crate) async fn open(target: Target) -> anyhow::Result<Self> {
        let requests = connect(&target).await?;
        Ok(Self { target, requests })
    }

    /// Where it speaks to.
    pub(crate) fn server(&self) -> &ServerUrl {
        &self.target.server
    }

    /// Certificates that are trusted beside those of the system.
    pub(crate) fn ca_pem(&self) -> Option<&[u8]> {
        self.target.ca_pem.as_deref()
    }

    /// Asks, and takes whatever is answered.
    ///
    /// # Errors
    /// Where the connection breaks, or the answer is no JSON.
    pub(crate) async fn ask(&mut self, method: Method, path: &str, body: Option<String>) -> anyhow::Result<Answer> {
        let clock = SystemClock::new();
        tokio::select! {
            answer = self.ask_patiently(method, path, body) => answer,
            () = clock.sleep_until(clock.mono() + ANSWER_TIME_MAX) => {
                anyhow::bail!("{} did not answer within {} s", self.target.server, ANSWER_TIME_MAX.as_secs())
            }
        }
    }

    async fn ask_patiently(&mut self, method: Method, path: &str, body: Option<String>) -> anyhow::Result<Answer> {
        let mut request = self.request(method, path);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let response = self.send(request.body(Full::new(Bytes::from(body.unwrap_or_default())))?).await?;
        read(path, response).await
    }

    /// A request to be sent, with all that every request says.
    pub(crate) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let server = &self.target.server;
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", server.prefix()))
            .header(header::HOST, server.authority())
            .header(header::USER_AGENT, concat!("postrider/", env!("CARGO_PKG_VERSION")))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.target.token));
        match &self.target.account {
            Some(account) => request.header("account-id", account),
            None => request,
        }
    }

    /// Sends a request, and takes the head of the answer.
    ///
    /// # Errors
    /// Where the connection breaks.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Incoming>> {
        // A server closes what was idle for long, such as while a person was asked.
        if self.requests.ready().await.is_err() {
            self.requests = connect(&self.target).await?;
            self.requests.ready().await?;
        }
        let sent = self.requests.send_request(request).await;
        sent.with_context(|| format!("the connection to {} broke", self.target.server))
    }

    /// Asks, and expects a success.
    ///
    /// # Errors
    /// `Refused` where anything else is answered.
    pub(crate) async fn call(&mut self, method: Method, path: &str, body: Option<String>) -> anyhow::Result<Value> {
        let answer = self.ask(method.clone(), path, body).await?;
        self.expect_success(&method, path, answer).map(|answer| answer.body)
    }

    /// Posts, and expects a success.
    ///
    /// # Errors
    /// `Refused` where anything else is answered.
    pub(crate) async fn post(&mut self, path: &str, body: String) -> anyhow::Result<Value> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Reads, and expects a success.
    ///
    /// # Errors
    /// `Refused` where anything else is answered.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, None).await
    }

    /// Reads at most so many rows of a list, page by page, and says whether there are more.
    ///
    /// # Errors
    /// `Refused` where anything but pages is answered.
    pub(crate) async fn list(&mut self, path: &str, rows_max: usize) -> anyhow::Result<(Vec<Value>, bool)> {
        let mut rows = Vec::new();
        let mut cursor = None;
        let sign = if path.contains('?') { '&' } else { '?' };
        loop {
            let page_max = rows_max.saturating_sub(rows.len()).min(PAGE_ROWS_MAX);
            let after = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let page = format!("{path}{sign}limit={page_max}{after}");
            let answer = self.ask(Method::GET, &page, None).await?;
            let answer = self.expect_success(&Method::GET, path, answer)?;
            let Value::Array(page) = answer.body else {
                anyhow::bail!("GET {path} answered something that is no list");
            };
            rows.extend(page);
            cursor = answer.next;
            if cursor.is_none() || rows.len() >= rows_max {
                return Ok((rows, cursor.is_some()));
            }
        }
    }

    fn expect_success(&self, method: &Method, path: &str, answer: Answer) -> anyhow::Result<Answer> {
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(Refused::new(&self.target.server, method, path, answer.status, answer.body).into())
    }
}

async fn connect(target: &Target) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = target.server.connect(target.ca_pem.as_deref()).await?;
    let (requests, connection) = handshake(TokioIo::new(stream)).await?;
    // An end of the connection shows as an error of the next request.
    tokio::spawn(async move { drop(connection.await) });
    Ok(requests)
}

/// Reads all of an answer.
///
/// # Errors
/// Where the connection breaks, or it is no JSON.
pub(crate) async fn read(path: &str, response: Response<Incoming>) -> anyhow::Result<Answer> {
    let status = response.status();
    let link = response.headers().get(header::LINK).and_then(|link| link.to_str().ok());
    let next = link.and_then(next_cursor).map(str::to_owned);
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    let bytes = body
        .map_err(|error| anyhow::anyhow!("the answer to {path} broke off: {error}"))?
        .to_bytes();
    let body = if bytes.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&bytes)
            .with_context(|| format!("{path} answered {status} with something that is no JSON: is a Postrider server there?"))?
    };
    Ok(Answer { status, body, next })
}

/// The cursor of `<…?limit=50&cursor=X>; rel="next"` (RFC 8288). The rest of the target is where others reach the server, and no
/// place to send a token to.
fn next_cursor(link: &str) -> Option<&str> {
    let (target, parameters) = link.strip_prefix('<')?.split_once('>')?;
    let (_, query) = target.split_once('?')?;
    let cursor = query.split('&').find_map(|pair| pair.strip_prefix("cursor="));
    cursor.filter(|_| parameters.contains("rel=\"next\""))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_link_only_the_cursor_is_followed() {
        assert_eq!(next_cursor("</accounts?limit=2&cursor=abc>; rel=\"next\""), Some("abc"));
        assert_eq!(next_cursor("<https://evil.example/steal?cursor=abc>; rel=\"next\""), Some("abc"));
        assert_eq!(next_cursor("</accounts?cursor=abc>; rel=\"prev\""), None);
        assert_eq!(next_cursor("nonsense"), None);
    }
}
