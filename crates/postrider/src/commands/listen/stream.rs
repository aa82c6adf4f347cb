//! The stream of an account's events: read, and taken up again behind the last one where it breaks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use postrider_ports::Clock;

use super::sse::{Message, Parser};
use crate::client::{self, Client, Refused};

/// The server says something at least every 15 s: after so long the connection is dead.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// How long to wait before the first try to connect again; twice as long before each one more.
const BACKOFF_MIN: Duration = Duration::from_millis(250);
/// And at most so long.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// What the stream does next.
pub(super) enum Turn {
    /// An event came.
    Event(Message),
    /// The connection broke, in words; it is made again.
    Broken(String),
}

/// The stream.
pub(super) struct Stream {
    client: Client,
    path: String,
    clock: Arc<dyn Clock>,
    /// None while it is broken.
    body: Option<Incoming>,
    parser: Parser,
    /// What came and was not taken yet: at most what one read brought.
    waiting: VecDeque<Message>,
    last_id: Option<String>,
    backoff: Duration,
}

impl Stream {
    /// Opens it: from now on.
    ///
    /// # Errors
    /// Where the server cannot be reached, or refuses.
    pub(super) async fn open(client: Client, path: String, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let mut stream = Self {
            client,
            path,
            clock,
            body: None,
            parser: Parser::default(),
            waiting: VecDeque::new(),
            last_id: None,
            backoff: BACKOFF_MIN,
        };
        stream.body = Some(stream.connect().await?);
        Ok(stream)
    }

    /// Whom it speaks to.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The next event, or how the connection broke.
    ///
    /// # Errors
    /// Where the server refuses for good.
    pub(super) async fn next(&mut self) -> anyhow::Result<Turn> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                self.last_id = message.id.clone().or(self.last_id.take());
                return Ok(Turn::Event(message));
            }
            let Some(body) = &mut self.body else {
                match self.reconnect().await? {
                    Some(why) => return Ok(Turn::Broken(why)),
                    None => continue,
                }
            };
            let silence = self.clock.sleep_until(self.clock.mono() + SILENCE_MAX);
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = silence => None,
            };
            let data = frame.and_then(Result::ok).and_then(|frame| frame.into_data().ok());
            match data.map(|data| self.parser.push(&data)) {
                Some(Ok(messages)) => {
                    self.backoff = BACKOFF_MIN;
                    self.waiting.extend(messages);
                }
                Some(Err(error)) => return Ok(self.broken(&error.to_string())),
                None => return Ok(self.broken("the stream broke off")),
            }
        }
    }

    fn broken(&mut self, why: &str) -> Turn {
        self.body = None;
        Turn::Broken(format!("{why}: connecting again"))
    }

    /// Waits, and tries once; why it did not work, where the next try may.
    async fn reconnect(&mut self) -> anyhow::Result<Option<String>> {
        let wait = self.parser.retry.unwrap_or_default().clamp(self.backoff, BACKOFF_MAX);
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
        self.clock.sleep_until(self.clock.mono() + wait).await;
        self.parser = Parser::default();
        match self.connect().await {
            Ok(body) => {
                self.body = Some(body);
                Ok(None)
            }
            Err(error) => self.judge(error).map(Some),
        }
    }

    fn judge(&mut self, error: anyhow::Error) -> anyhow::Result<String> {
        let Some(refused) = error.downcast_ref::<Refused>() else {
            return Ok(format!("{error:#}: trying again"));
        };
        let comes_back = refused.status.is_server_error() || refused.status == StatusCode::TOO_MANY_REQUESTS;
        if comes_back {
            return Ok(format!("{error:#}: trying again"));
        }
        if refused.status == StatusCode::BAD_REQUEST && self.last_id.take().is_some() {
            return Ok(format!("{error:#}\nevents may have been missed: going on from now"));
        }
        Err(error)
    }

    async fn connect(&mut self) -> anyhow::Result<Incoming> {
        let mut request = self
            .client
            .request(Method::GET, &self.path)
            .header(header::ACCEPT, "text/event-stream");
        if let Some(id) = &self.last_id {
            request = request.header("last-event-id", id);
        }
        let response = self.client.send(request.body(Full::new(Bytes::new()))?).await?;
        if is_stream(&response) {
            return Ok(response.into_body());
        }
        let is_success = response.status().is_success();
        let answer = client::read(&self.path, response).await?;
        anyhow::ensure!(
            !is_success,
            "the server answers something that is no stream of events: is it older than this command?"
        );
        Err(Refused::new(self.client.server(), &Method::GET, &self.path, answer.status, answer.body).into())
    }
}

fn is_stream(response: &Response<Incoming>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    response.status() == StatusCode::OK && kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}
