//! The log of failed attempts: one line for each, in plain words, written once its outcome is durable. Nothing is written of attempts
//! that succeed. No payload, no header, no path or query of a url: any of them may hold a secret.

use std::fmt;
use std::time::Duration;

use postrider_model::attempt::{Attempt, AttemptError, ErrorKind};
use postrider_model::delivery::{Change, FailedReason};
use postrider_model::id::WebhookId;
use postrider_model::time::{Monotonic, Timestamp};
use postrider_ports::store::{OutcomeRecord, Recorded};

/// What the lines stand under, for a filter of the log.
const TARGET: &str = "postrider::attempts";
/// Lines of one second, of each level. Ten thousand receivers that hang make 400 a second, so nothing of that is left out; what is over
/// it says nothing new, costs the machine more than the deliveries do, and can be read in the API all the same.
const LINES_MAX: u32 = 1_000;

/// Writes the lines. Held by the recorder alone.
#[derive(Default)]
pub(crate) struct Failures {
    /// Of attempts that are followed by others.
    retries: Budget,
    /// Of deliveries that have failed for good: no storm of retries takes their room.
    ends: Budget,
}

impl Failures {
    /// Writes a line for each failed attempt of a group, and for each delivery that failed without one.
    pub(crate) fn tell<'a>(&mut self, now: Monotonic, group: impl Iterator<Item = (WebhookId, &'a OutcomeRecord, Recorded)>) {
        self.retries.turn(now);
        self.ends.turn(now);
        for (webhook, outcome, recorded) in group {
            if let Some(line) = Line::of(webhook, outcome, recorded) {
                let budget = if line.is_end() { &mut self.ends } else { &mut self.retries };
                if budget.take() {
                    line.write();
                }
            }
        }
    }
}

/// What may still be written in this second.
#[derive(Default)]
struct Budget {
    second: u64,
    written: u32,
    left_out: u64,
}

impl Budget {
    /// Begins a new second where one has passed, and says what was left out of the last.
    fn turn(&mut self, now: Monotonic) {
        let second = now.as_nanos() / 1_000_000_000;
        if second == self.second {
            return;
        }
        if self.left_out > 0 {
            tracing::warn!(
                target: TARGET,
                left_out = self.left_out,
                "more attempts failed than are logged in a second; the API shows them all"
            );
        }
        *self = Self { second, ..Self::default() };
    }

    fn take(&mut self) -> bool {
        if self.written < LINES_MAX {
            self.written += 1;
            return true;
        }
        if self.left_out == 0 {
            tracing::warn!(
                target: TARGET,
                lines_max = LINES_MAX,
                "many attempts fail: the rest of this second is not logged"
            );
        }
        self.left_out += 1;
        false
    }
}

/// What one line says.
struct Line<'a> {
    webhook: WebhookId,
    outcome: &'a OutcomeRecord,
    attempt: Option<&'a Attempt>,
    next: Next,
}

/// What comes after a failed attempt.
#[derive(Clone, Copy)]
enum Next {
    /// Another one.
    Attempt(Timestamp),
    /// Nothing: the delivery has failed.
    Failed(FailedReason),
    /// The delivery went another way meanwhile.
    MovedOn,
    /// The same once more: the store did not take the outcome.
    Again,
}

impl<'a> Line<'a> {
    fn of(webhook: WebhookId, outcome: &'a OutcomeRecord, recorded: Recorded) -> Option<Self> {
        let attempt = outcome.attempt.as_ref().filter(|attempt| attempt.error.is_some());
        let next = match (recorded, outcome.change) {
            (_, Change::Succeeded { .. } | Change::WebhookDeleted | Change::Retried) => return None,
            (Recorded::Superseded | Recorded::Refused, _) if attempt.is_none() => return None,
            // It is recorded again, and told of then.
            (Recorded::Locked, _) => return None,
            (Recorded::Superseded, _) => Next::MovedOn,
            (Recorded::Refused, _) => Next::Again,
            (Recorded::Applied, Change::AttemptFailed { next: Some(due), .. }) => Next::Attempt(due),
            (Recorded::Applied, Change::AttemptFailed { next: None, .. }) => Next::Failed(FailedReason::Exhausted),
            (Recorded::Applied, Change::Expired) => Next::Failed(FailedReason::Expired),
        };
        Some(Self {
            webhook,
            outcome,
            attempt,
            next,
        })
    }

    const fn is_end(&self) -> bool {
        matches!(self.next, Next::Failed(_))
    }

    fn write(&self) {
        let (delivery, webhook, account) = (self.outcome.delivery, self.webhook, self.outcome.account);
        let host = self.attempt.map(|attempt| host(&attempt.url));
        let attempt = self.attempt.map(|attempt| attempt.number);
        let status = self.attempt.and_then(|attempt| Some(attempt.response.as_ref()?.status));
        let error_type = self.error().map(|error| error.kind.as_str());
        let next_attempt_at = self.next_due().map(tracing::field::display);
        // The level of a line is a constant of its macro.
        if self.is_end() {
            tracing::warn!(target: TARGET, %delivery, %webhook, %account, host, attempt, error_type, status, next_attempt_at, "{self}");
        } else {
            tracing::info!(target: TARGET, %delivery, %webhook, %account, host, attempt, error_type, status, next_attempt_at, "{self}");
        }
    }

    fn error(&self) -> Option<&'a AttemptError> {
        self.attempt?.error.as_ref()
    }

    const fn next_due(&self) -> Option<Timestamp> {
        match self.next {
            Next::Attempt(due) => Some(due),
            Next::Failed(_) | Next::MovedOn | Next::Again => None,
        }
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(attempt), Some(error)) = (self.attempt, self.error()) {
            out.write_str(&error.message)?;
            match (error.kind, &attempt.response) {
                (ErrorKind::Http, Some(response)) => write!(out, " after {}; ", Length(response.duration))?,
                // A sentence on a time limit names it.
                (ErrorKind::Timeout, _) => out.write_str("; ")?,
                _ => write!(out, " ({}); ", Length(attempt.duration))?,
            }
        }
        match self.next {
            Next::Attempt(due) => write!(out, "next attempt in {}", Length(due.since(self.outcome.at))),
            Next::Failed(FailedReason::Expired) => out.write_str("its turn came too late: the delivery has expired"),
            Next::Failed(_) => out.write_str("that was the last attempt: the delivery has failed"),
            Next::MovedOn => out.write_str("the delivery has gone another way meanwhile"),
            Next::Again => out.write_str("the store does not take this outcome: the attempt is made again"),
        }
    }
}

/// A length of time as people say it.
struct Length(Duration);

impl fmt::Display for Length {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (millis, seconds) = (self.0.as_millis(), self.0.as_secs_f64());
        match millis {
            0..1_000 => write!(out, "{millis} ms"),
            1_000..10_000 => write!(out, "{seconds:.1} s"),
            10_000..120_000 => write!(out, "{seconds:.0} s"),
            120_000..7_200_000 => write!(out, "{:.0} min", seconds / 60.0),
            _ => write!(out, "{:.0} h", seconds / 3_600.0),
        }
    }
}

/// Host and port of a url that was registered: what stands between the scheme and the path. (Such urls have no userinfo.)
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
