//! One attempt: a connection from the pool or a fresh one, one exchange, one outcome. One deadline stands over all.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use http_body_util::Full;
use hyper::body::Incoming;
use postrider_model::attempt::{AttemptError, ErrorKind, LocalFault, Outcome, Outgoing, Response};
use postrider_model::limits::{ATTEMPT_TIME_MAX, CONNECT_TIME_MAX};
use postrider_model::time::{Monotonic, Now};

use crate::Shared;
use crate::drain::{settle_h1, settle_h2};
use crate::exchange::{Answered, H1, H2Stream, Limits, Paced};
use crate::failure::Failure;
use crate::pool::{Key, Pooled};
use crate::request::Sending;
use crate::response::{ReadBody, kept_headers, read_body, retry_after};
use crate::timer::Timer;

/// An attempt on its way.
pub(crate) struct Attempt<'a> {
    shared: &'a Arc<Shared>,
    outgoing: &'a Outgoing,
    started: Now,
    /// The end of all.
    end: Monotonic,
}

impl<'a> Attempt<'a> {
    pub(crate) fn new(shared: &'a Arc<Shared>, outgoing: &'a Outgoing) -> Self {
        let started = shared.clock.now();
        Self {
            shared,
            outgoing,
            started,
            end: started.mono + ATTEMPT_TIME_MAX,
        }
    }

    /// Makes it.
    pub(crate) async fn run(self) -> Result<Outcome, LocalFault> {
        match self.exchange_once().await {
            Ok(outcome) => Ok(outcome),
            Err(Failure::Receiver(error)) => Ok(self.failed(error)),
            Err(Failure::Local(message)) => Err(LocalFault { message }),
            // Only connections of the pool are stale, and this one was fresh.
            Err(Failure::Stale) => Ok(self.failed(AttemptError {
                kind: ErrorKind::Protocol,
                message: "the receiver closed the connection before it answered".to_owned(),
            })),
        }
    }

    /// A connection of the pool that is still alive.
    async fn pooled(&self) -> Option<Pooled> {
        let key = Key(self.outgoing.webhook.url.clone());
        loop {
            match self.shared.pool.take(&key, self.started.mono)? {
                Pooled::H1(mut connection) => {
                    // Nobody watched it: only now does it hear that the receiver has closed it.
                    let is_alive = poll_fn(|context| {
                        connection.drive(context);
                        Poll::Ready(connection.is_ready())
                    });
                    if is_alive.await {
                        return Some(Pooled::H1(connection));
                    }
                }
                shared => return Some(shared),
            }
        }
    }

    /// One exchange: on a connection of the pool, and where that was stale or there is none, on a fresh one.
    async fn exchange_once(&self) -> Result<Outcome, Failure> {
        let mut pooled = self.pooled().await;
        loop {
            let is_fresh = pooled.is_none();
            let connection = match pooled.take() {
                Some(connection) => connection,
                // Boxed, so that what it takes to connect is given back before the wait for an answer.
                None => Box::pin(self.connect()).await?,
            };
            match self.exchange(connection).await {
                // It is as if it had never been tried: once more, on a connection that is no one's leftover.
                Err(Failure::Stale) if !is_fresh => {}
                result => return result,
            }
        }
    }

    async fn connect(&self) -> Result<Pooled, Failure> {
        let connect_by = self.end.min(self.shared.clock.mono() + CONNECT_TIME_MAX);
        self.shared.connector.connect(&self.outgoing.webhook.url, connect_by).await
    }

    async fn exchange(&self, connection: Pooled) -> Result<Outcome, Failure> {
        let limits = Limits {
            clock: &*self.shared.clock,
            now: self.shared.clock.mono(),
            end: self.end,
        };
        let sending = Sending {
            outgoing: self.outgoing,
            dispatched: self.started.wall,
            user_agent: &self.shared.user_agent,
        };
        match connection {
            Pooled::H1(mut connection) => {
                let answered = connection.exchange(sending.http1(Full::new)?, limits).await?;
                if answered.response.status().is_success() {
                    return Ok(self.acknowledged(answered, |body, at| settle_h1(self.shared, self.key(), connection, body, at)));
                }
                Ok(Box::pin(self.refused_h1(answered, connection)).await)
            }
            Pooled::H2(mut stream) => {
                let clock = Arc::clone(&self.shared.clock);
                let request = sending.http2(|body| Paced::new(body, clock))?;
                let answered = stream.exchange(request, limits).await?;
                if answered.response.status().is_success() {
                    return Ok(self.acknowledged(answered, |body, at| settle_h2(self.shared, stream, body, at)));
                }
                Ok(Box::pin(self.refused_h2(answered, stream)).await)
            }
        }
    }

    fn key(&self) -> Key {
        Key(self.outgoing.webhook.url.clone())
    }

    /// What becomes of the body changes nothing: the outcome stands when the headers are there.
    fn acknowledged(&self, answered: Answered, settle: impl FnOnce(Incoming, Monotonic)) -> Outcome {
        let status = answered.response.status().as_u16();
        settle(answered.response.into_body(), answered.at);
        Outcome {
            started_at: self.started.wall,
            duration: answered.at.since(self.started.mono),
            response: Some(Response {
                status,
                duration: answered.took,
                headers: None,
                body: None,
                truncated: false,
            }),
            error: None,
            retry_after: None,
        }
    }

    async fn refused_h1(&self, answered: Answered, mut connection: Box<H1>) -> Outcome {
        let (parts, body) = answered.response.into_parts();
        let timer = Timer::new(&*self.shared.clock, answered.read_by);
        let read = read_body(Some(&mut connection), body, timer).await;
        if read.is_whole && connection.is_ready() {
            self.shared.pool.put(self.key(), connection, self.shared.clock.mono());
        }
        self.refused(&parts, answered.took, read)
    }

    async fn refused_h2(&self, answered: Answered, stream: H2Stream) -> Outcome {
        let (parts, body) = answered.response.into_parts();
        let timer = Timer::new(&*self.shared.clock, answered.read_by);
        let read = read_body(None, body, timer).await;
        drop(stream);
        self.refused(&parts, answered.took, read)
    }

    fn refused(&self, parts: &http::response::Parts, took: std::time::Duration, read: ReadBody) -> Outcome {
        let now = self.shared.clock.now();
        let status = parts.status;
        let message = match status.canonical_reason() {
            _ if status.is_redirection() => format!("the receiver answered {status}: redirects are not followed"),
            Some(_) => format!("the receiver answered {status}"),
            None => format!("the receiver answered {}", status.as_u16()),
        };
        Outcome {
            started_at: self.started.wall,
            duration: now.mono.since(self.started.mono),
            response: Some(Response {
                status: status.as_u16(),
                duration: took,
                headers: Some(kept_headers(&parts.headers)),
                body: Some(read.kept),
                truncated: read.is_truncated,
            }),
            error: Some(AttemptError {
                kind: ErrorKind::Http,
                message,
            }),
            retry_after: retry_after(&parts.headers, now.wall),
        }
    }

    fn failed(&self, error: AttemptError) -> Outcome {
        Outcome {
            started_at: self.started.wall,
            duration: self.shared.clock.mono().since(self.started.mono),
            response: None,
            error: Some(error),
            retry_after: None,
        }
    }
}
