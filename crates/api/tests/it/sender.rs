//! A sender that does as it was told.

use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use postrider_model::attempt::{AttemptError, ErrorKind, LocalFault, Outcome, Outgoing, Response};
use postrider_model::time::Timestamp;
use postrider_ports::Sender;

/// What comes of the next attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// They never end.
    Hang,
    /// They are acknowledged.
    Succeed,
    /// The receiver answers 500.
    Fail,
}

/// Follows its script, and keeps what was sent.
pub(crate) struct ScriptedSender {
    script: Mutex<Script>,
    sent: Mutex<Vec<Outgoing>>,
}

impl ScriptedSender {
    pub(crate) fn new(script: Script) -> Self {
        Self {
            script: Mutex::new(script),
            sent: Mutex::default(),
        }
    }

    pub(crate) fn follow(&self, script: Script) {
        *self.script.lock() = script;
    }

    pub(crate) fn sent(&self) -> Vec<Outgoing> {
        self.sent.lock().clone()
    }
}

#[async_trait]
impl Sender for ScriptedSender {
    async fn send(&self, outgoing: Outgoing) -> Result<Outcome, LocalFault> {
        self.sent.lock().push(outgoing);
        let script = *self.script.lock();
        if script == Script::Hang {
            std::future::pending::<()>().await;
        }
        let has_failed = script == Script::Fail;
        let kept = |text: &str| (text.to_owned(), "1".to_owned());
        Ok(Outcome {
            started_at: Timestamp::from_millis(1_768_473_000_000),
            duration: Duration::from_millis(40),
            response: Some(Response {
                status: if has_failed { 500 } else { 200 },
                duration: Duration::from_millis(30),
                headers: has_failed.then(|| vec![kept("x-one"), kept("x-two"), kept("x-one")]),
                body: has_failed.then(|| "oh \u{fffd} no".into()),
                truncated: false,
            }),
            error: has_failed.then(|| AttemptError {
                kind: ErrorKind::Http,
                message: "the receiver answered 500".to_owned(),
            }),
            retry_after: None,
        })
    }
}
