//! How many webhooks an event will reach.

use std::fmt;

use http::StatusCode;
use postrider_model::name::{EventName, EventNamePattern};
use serde_json::Value;

use crate::client::{Client, Refused};

/// Most webhooks that are looked at; more of them than that are "at least".
const WEBHOOKS_MAX: usize = 20_000;

/// Which webhooks want an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// So many.
    Exactly(usize),
    /// So many of those that were looked at.
    AtLeast(usize),
    /// The key may not read webhooks.
    Unknown,
}

impl Reach {
    /// How many deliveries to expect at least.
    pub(super) fn count(self) -> usize {
        match self {
            Self::Exactly(count) | Self::AtLeast(count) => count,
            Self::Unknown => 0,
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(0) => out.write_str("no webhook: none of the active ones wants it"),
            Self::Exactly(1) => out.write_str("1 webhook"),
            Self::Exactly(count) => write!(out, "{count} webhooks"),
            Self::AtLeast(count) => write!(out, "at least {count} webhooks"),
            Self::Unknown => out.write_str("webhooks that this key may not count (it lacks webhooks:read)"),
        }
    }
}

/// Counts the webhooks of the account that want the event.
pub(super) async fn of(client: &mut Client, name: &EventName) -> anyhow::Result<Reach> {
    let webhooks = match client.list("/webhooks", WEBHOOKS_MAX).await {
        Err(error)
            if error
                .downcast_ref::<Refused>()
                .is_some_and(|refused| refused.status == StatusCode::FORBIDDEN) =>
        {
            return Ok(Reach::Unknown);
        }
        listed => listed?,
    };
    let (webhooks, has_more) = webhooks;
    let count = webhooks.iter().filter(|webhook| wants(webhook, name)).count();
    Ok(if has_more { Reach::AtLeast(count) } else { Reach::Exactly(count) })
}

fn wants(webhook: &Value, name: &EventName) -> bool {
    let mut patterns = webhook
        .get("event_names")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .peekable();
    let is_active = webhook.get("is_active").and_then(Value::as_bool).unwrap_or(false);
    is_active
        && (patterns.peek().is_none()
            || patterns.any(|pattern| EventNamePattern::parse(pattern).is_ok_and(|pattern| pattern.matches(name))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_active_webhooks_that_want_it_count() {
        let name = EventName::parse("order.filled").unwrap();
        for (webhook, expected) in [
            (json!({ "is_active": true, "event_names": [] }), true),
            (json!({ "is_active": true, "event_names": ["user.made", "order.*"] }), true),
            (json!({ "is_active": true, "event_names": ["order.filled"] }), true),
            (json!({ "is_active": true, "event_names": ["order"] }), false),
            (json!({ "is_active": false, "event_names": [] }), false),
        ] {
            assert_eq!(wants(&webhook, &name), expected, "{webhook}");
        }
    }
}
