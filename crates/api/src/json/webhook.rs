//! A webhook as it is shown.

use postrider_model::id::WebhookId;
use postrider_model::name::EventNamePattern;
use postrider_model::time::Timestamp;
use postrider_model::webhook::Webhook;
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct WebhookJson<'a> {
    id: WebhookId,
    url: &'a str,
    is_active: bool,
    description: Option<&'a str>,
    event_names: Vec<&'a str>,
    created_at: Timestamp,
    modified_at: Timestamp,
    /// Shown once, when it is made or rotated.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

impl<'a> From<&'a Webhook> for WebhookJson<'a> {
    fn from(webhook: &'a Webhook) -> Self {
        Self {
            id: webhook.id,
            url: webhook.url.as_str(),
            is_active: webhook.is_active,
            description: webhook.description.as_deref(),
            event_names: webhook.event_names.iter().map(EventNamePattern::as_str).collect(),
            created_at: webhook.created_at,
            modified_at: webhook.modified_at,
            secret: None,
        }
    }
}

impl<'a> WebhookJson<'a> {
    pub(crate) fn with_secret(mut self, secret: &'a str) -> Self {
        self.secret = Some(secret);
        self
    }
}
