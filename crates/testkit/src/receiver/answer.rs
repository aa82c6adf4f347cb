//! What a scripted receiver answers.

use bytes::Bytes;
use tokio::sync::watch;

/// Something that a test gives when it wants a receiver to go on. Clones are the same signal.
#[derive(Clone, Debug)]
pub struct Signal(watch::Sender<bool>);

impl Default for Signal {
    fn default() -> Self {
        Self::new()
    }
}

impl Signal {
    /// A signal that is not given yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Gives it, for good.
    pub fn give(&self) {
        self.0.send_replace(true);
    }

    /// Ends when it has been given.
    pub async fn given(&self) {
        // It fails only where the signal is gone, and `self` holds it.
        let _ = self.0.subscribe().wait_for(|given| *given).await;
    }
}

/// One step of an answer, byte for byte. For HTTP/1.1.
#[derive(Clone, Debug)]
pub enum Step {
    /// Writes these bytes.
    Write(Bytes),
    /// Writes these bytes again and again, until the other side closes.
    Flood(Bytes),
    /// Waits for a signal.
    Wait(Signal),
    /// Does nothing more, and keeps the connection open.
    Hang,
    /// Closes the connection.
    Close,
    /// Resets the connection (RST).
    Reset,
}

/// What to answer.
#[derive(Clone, Debug)]
pub struct Answer(pub(super) Kind);

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Response {
        status: u16,
        headers: Vec<(String, String)>,
        body: Bytes,
        after: Option<Signal>,
    },
    Steps(Vec<Step>),
    Hang,
    Reset,
    Close,
    /// HTTP/2: answer, but take no more requests on this connection.
    GoAway,
}

impl Answer {
    /// A status without headers or body.
    pub fn status(status: u16) -> Self {
        Self(Kind::Response {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
            after: None,
        })
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Kind::Response { headers, .. } = &mut self.0 {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, text: impl Into<Bytes>) -> Self {
        if let Kind::Response { body, .. } = &mut self.0 {
            *body = text.into();
        }
        self
    }

    /// Only when the signal is given.
    #[must_use]
    pub fn after(mut self, signal: &Signal) -> Self {
        if let Kind::Response { after, .. } = &mut self.0 {
            *after = Some(signal.clone());
        }
        self
    }

    /// These steps. Over HTTP/2 it is as `hang`.
    pub fn steps(steps: impl IntoIterator<Item = Step>) -> Self {
        Self(Kind::Steps(steps.into_iter().collect()))
    }

    /// These bytes, then whatever comes next on the connection.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self::steps([Step::Write(bytes.into())])
    }

    /// Takes the request and keeps silent.
    pub fn hang() -> Self {
        Self(Kind::Hang)
    }

    /// Takes the request and resets the connection; over HTTP/2, the stream.
    pub fn reset() -> Self {
        Self(Kind::Reset)
    }

    /// Takes the request and closes the connection.
    pub fn close() -> Self {
        Self(Kind::Close)
    }

    /// HTTP/2: refuses this request and says GOAWAY. Over HTTP/1.1 it is as `close`.
    pub fn go_away() -> Self {
        Self(Kind::GoAway)
    }
}
