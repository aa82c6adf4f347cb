//! Attempts: one HTTP request of a delivery, and what came of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::id::{AttemptId, DeliveryId, EventId};
use crate::time::Timestamp;
use crate::webhook::Webhook;

/// One attempt, ready to be sent. It is signed when it is dispatched, with the time of that moment.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Goes as `Webhook-Id`.
    pub delivery: DeliveryId,
    /// Goes as `Event-Id`; a test delivery has none.
    pub event: Option<EventId>,
    /// Goes as `Webhook-Attempt`; the first is 1.
    pub number: u32,
    /// Where to, and the secrets that sign.
    pub webhook: Arc<Webhook>,
    /// The event as JSON.
    pub body: Bytes,
}

/// Why an attempt failed. The API shows it as `error_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ErrorKind {
    /// Any status but 2xx.
    Http = 1,
    /// A time limit; the message names the phase.
    Timeout = 2,
    /// The name could not be resolved.
    Dns = 3,
    /// The address may not be dialled.
    Blocked = 4,
    /// Refused or unreachable.
    Connect = 5,
    /// The TLS handshake failed.
    Tls = 6,
    /// Reset, closed or garbage after the connection stood.
    Protocol = 7,
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Http,
        Self::Timeout,
        Self::Dns,
        Self::Blocked,
        Self::Connect,
        Self::Tls,
        Self::Protocol,
    ];

    /// As it is written in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::Blocked => "blocked",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Protocol => "protocol",
        }
    }

    /// The kind that a store kept as a number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code)
    }

    /// Whether it says that the receiver is ill: it could not be reached, kept silent until a limit, or broke off. An answer,
    /// however unwelcome, says that it is there; a connection that ends without one does not, or ten thousand receivers that hang
    /// and then close would be taken for proven.
    pub const fn is_illness(self) -> bool {
        !matches!(self, Self::Http)
    }
}

/// Why an attempt failed, in a word and in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptError {
    /// The word.
    pub kind: ErrorKind,
    /// The sentence: what the receiver did, in plain words.
    pub message: String,
}

/// What a receiver answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// From the request being sent to the headers' arrival.
    pub duration: Duration,
    /// Kept for failed attempts only.
    pub headers: Option<Vec<(String, String)>>,
    /// Its first 4 KiB, kept for failed attempts only.
    pub body: Option<Bytes>,
    /// Whether more came than was kept.
    pub truncated: bool,
}

/// What came of one attempt, as the sender saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// When it was dispatched (the signed timestamp, with milliseconds).
    pub started_at: Timestamp,
    /// How long it took in all.
    pub duration: Duration,
    /// The answer, where one came.
    pub response: Option<Response>,
    /// Why it failed; `None` where it was acknowledged.
    pub error: Option<AttemptError>,
    /// The receiver's `Retry-After`, as a length of time from the answer, not cut yet.
    pub retry_after: Option<Duration>,
}

impl Outcome {
    /// Whether it was acknowledged.
    pub const fn is_success(&self) -> bool {
        self.error.is_none()
    }
}

/// A fault on our own side: no attempt was made, none is counted, nothing is recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LocalFault {
    /// What we lack: file handles, local ports, a name server.
    pub message: String,
}

/// One attempt as it is kept and shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// The first of a delivery is 1.
    pub number: u32,
    /// Where it went.
    pub url: Arc<str>,
    /// When it was dispatched.
    pub created_at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// The answer, where one came.
    pub response: Option<Response>,
    /// Why it failed; `None` where it was acknowledged.
    pub error: Option<AttemptError>,
}

impl Attempt {
    /// When it ended.
    pub fn ended_at(&self) -> Timestamp {
        self.created_at + self.duration
    }
}
