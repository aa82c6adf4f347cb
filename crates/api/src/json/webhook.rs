//! A webhook as it is shown.

use postrider_model::id::WebhookId;
use postrider_model::name::EventNamePattern;
use postrider_model::time::Timestamp;
use postrider_model::webhook::Webhook;
use schemars::JsonSchema;
use serde::Serialize;

use crate::description::schema::field;

/// A registered url of an account, to which events are delivered.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Webhook")]
pub(crate) struct WebhookJson<'a> {
    /// Its id.
    #[schemars(schema_with = "field::webhook_id")]
    id: WebhookId,
    /// Where deliveries go, as it was given.
    #[schemars(extend("examples" = ["https://example.com/hooks"]))]
    url: &'a str,
    /// Whether deliveries are made for it and go out.
    is_active: bool,
    /// What people say of it.
    #[schemars(extend("examples" = ["Orders to the warehouse"]))]
    description: Option<&'a str>,
    /// The names of the events that it wants, such as `order.filled`, or `order.*` for all below `order.`. None: all events.
    #[schemars(extend("examples" = [["order.*"]]))]
    event_names: Vec<&'a str>,
    /// When it was made.
    #[schemars(schema_with = "field::moment")]
    created_at: Timestamp,
    /// When it last changed.
    #[schemars(schema_with = "field::moment")]
    modified_at: Timestamp,
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
        }
    }
}

/// A webhook that was just made or rotated, with its secret.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WebhookWithSecret")]
pub(crate) struct WebhookWithSecretJson<'a> {
    #[serde(flatten)]
    webhook: WebhookJson<'a>,
    /// What signs its deliveries: `whsec_` and the base64 of the key. Shown this once.
    #[schemars(extend("examples" = ["whsec_…"]))]
    secret: &'a str,
}

impl<'a> WebhookWithSecretJson<'a> {
    pub(crate) fn new(webhook: &'a Webhook, secret: &'a str) -> Self {
        Self {
            webhook: WebhookJson::from(webhook),
            secret,
        }
    }
}
