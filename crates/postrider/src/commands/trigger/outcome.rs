//! What came of the deliveries of an event, or of a test.

use std::time::Duration;

use postrider_ports::Clock as _;
use serde_json::Value;

use crate::client::{Client, text};
use crate::clock::SystemClock;
use crate::commands::output::{self, cell, visible};

/// How often the server is asked.
const INTERVAL: Duration = Duration::from_millis(250);
/// Most deliveries that are watched.
const DELIVERIES_MAX: usize = 1_000;

/// What was posted, and what is known of its deliveries.
pub(super) struct Watch {
    /// The event; `None` for a test.
    pub(super) event: Option<Value>,
    /// Its deliveries as they were seen last.
    pub(super) deliveries: Vec<Value>,
    /// How many are to be seen at least.
    expected: usize,
}

impl Watch {
    /// Of an event.
    pub(super) fn event(event: Value, expected: usize) -> Self {
        Self {
            event: Some(event),
            deliveries: Vec::new(),
            expected: expected.min(DELIVERIES_MAX),
        }
    }

    /// Of a test.
    pub(super) fn test(delivery: Value) -> Self {
        Self {
            event: None,
            deliveries: vec![delivery],
            expected: 1,
        }
    }

    /// Asks until all have ended, or the time is over.
    ///
    /// # Errors
    /// Where the server refuses.
    pub(super) async fn follow(&mut self, client: &mut Client, patience: Duration) -> anyhow::Result<()> {
        let clock = SystemClock::new();
        let deadline = clock.mono() + patience;
        loop {
            self.deliveries = self.look(client).await?;
            let have_ended = self.deliveries.len() >= self.expected && self.deliveries.iter().all(has_ended);
            if have_ended || clock.mono() >= deadline {
                return Ok(());
            }
            clock.sleep_until(deadline.min(clock.mono() + INTERVAL)).await;
        }
    }

    async fn look(&self, client: &mut Client) -> anyhow::Result<Vec<Value>> {
        if let Some(event) = &self.event {
            let path = format!("/deliveries?event={}", crate::commands::api::segment(text(event, "id")?));
            return Ok(client.list(&path, DELIVERIES_MAX).await?.0);
        }
        let mut seen = Vec::new();
        for delivery in &self.deliveries {
            seen.push(client.get(&format!("/deliveries/{}", text(delivery, "id")?)).await?);
        }
        Ok(seen)
    }

    /// Whether each has succeeded.
    pub(super) fn has_succeeded(&self) -> bool {
        self.deliveries.len() >= self.expected && self.deliveries.iter().all(|delivery| delivery["status"] == "succeeded")
    }

    /// Says of each delivery what came of it, attempt by attempt.
    ///
    /// # Errors
    /// Where stdout is closed.
    pub(super) fn tell_deliveries(&self) -> anyhow::Result<()> {
        for delivery in &self.deliveries {
            output::line(&format!(
                "{}  {}  to {}",
                cell(&delivery["id"]),
                state(delivery),
                cell(&delivery["webhook"])
            ))?;
            for attempt in delivery["attempts"].as_array().into_iter().flatten() {
                output::line(&format!("  attempt {}: {}", cell(&attempt["number"]), what_came(attempt)))?;
            }
        }
        if self.deliveries.is_empty() {
            output::line("no deliveries")?;
        }
        Ok(())
    }
}

fn has_ended(delivery: &Value) -> bool {
    matches!(delivery["status"].as_str(), Some("succeeded" | "failed"))
}

fn state(delivery: &Value) -> String {
    let status = cell(&delivery["status"]);
    match (&delivery["failed_reason"], &delivery["next_attempt_at"]) {
        (Value::String(reason), _) => format!("{status} ({})", visible(reason)),
        (_, Value::String(next)) => format!("{status}, next attempt at {}", visible(next)),
        _ => status,
    }
}

/// An attempt in words: `answered 500, 12 ms`, `timeout: …, 5000 ms`.
fn what_came(attempt: &Value) -> String {
    let millis = cell(&attempt["duration"]);
    let answered = attempt
        .pointer("/response/status")
        .map(|status| format!("answered {}", cell(status)));
    let error = attempt.pointer("/error/message").map(cell);
    let words = answered.or(error).unwrap_or_else(|| cell(&attempt["outcome"]));
    format!("{words}, {millis} ms")
}
