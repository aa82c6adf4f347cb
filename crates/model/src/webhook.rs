//! Webhooks: the registered urls of an account.

use crate::health::Health;
use crate::id::{AccountId, WebhookId};
use crate::name::{EventName, EventNamePattern};
use crate::secret::{SigningSecret, WebhookSecret};
use crate::time::Timestamp;
use crate::url::WebhookUrl;

/// A registered url of an account with its signing secrets.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Whose it is.
    pub account: AccountId,
    /// Where deliveries go.
    pub url: WebhookUrl,
    /// What people say of it.
    pub description: Option<String>,
    /// Where false, no delivery is made for it and its pending ones wait.
    pub is_active: bool,
    /// Which events it wants; none means all.
    pub event_names: Vec<EventNamePattern>,
    /// Its secrets, newest first; several sign while one takes the place of another.
    pub secrets: Vec<WebhookSecret>,
    /// How its receiver has been doing.
    pub health: Health,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed by its owner.
    pub modified_at: Timestamp,
}

impl Webhook {
    /// Whether a delivery is to be made for an event of this name.
    pub fn wants(&self, name: &EventName) -> bool {
        self.is_active && (self.event_names.is_empty() || self.event_names.iter().any(|pattern| pattern.matches(name)))
    }

    /// The secrets that sign at this time, newest first.
    pub fn signing_secrets(&self, now: Timestamp) -> impl Iterator<Item = &SigningSecret> {
        self.secrets
            .iter()
            .filter(move |secret| secret.signs_at(now))
            .map(|secret| &secret.secret)
    }
}

/// What of a webhook is to change; `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct WebhookChange {
    /// A new url.
    pub url: Option<WebhookUrl>,
    /// A new description; `Some(None)` empties it.
    pub description: Option<Option<String>>,
    /// Switch it on or off.
    pub is_active: Option<bool>,
    /// Which events it wants.
    pub event_names: Option<Vec<EventNamePattern>>,
}

impl WebhookChange {
    /// The webhook with the change made at `now`.
    pub fn apply(self, mut webhook: Webhook, now: Timestamp) -> Webhook {
        if let Some(url) = self.url {
            // Another receiver: what was known of the old one says nothing of it.
            if url.as_str() != webhook.url.as_str() {
                webhook.health = Health::Unproven;
            }
            webhook.url = url;
        }
        if let Some(description) = self.description {
            webhook.description = description;
        }
        if let Some(is_active) = self.is_active {
            webhook.is_active = is_active;
        }
        if let Some(event_names) = self.event_names {
            webhook.event_names = event_names;
        }
        webhook.modified_at = now;
        webhook
    }
}

/// A rotation asked for more secrets than a webhook may have at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the webhook has {} secrets that still sign", crate::limits::SECRETS_MAX)]
pub struct TooManySecrets;

/// A new secret for a webhook, and how long the older ones still sign.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The new secret.
    pub secret: SigningSecret,
    /// How long the older ones still sign; zero ends them at once.
    pub grace: std::time::Duration,
}

impl Rotation {
    /// The webhook with its secret rotated at `now`. Secrets that have ended are dropped; those that
    /// sign still end with the new grace, or earlier where they were to end before.
    ///
    /// # Errors
    /// `TooManySecrets` where six would sign at once.
    pub fn apply(self, mut webhook: Webhook, now: Timestamp) -> Result<Webhook, TooManySecrets> {
        let end = now + self.grace;
        webhook.secrets.retain(|secret| secret.signs_at(now) && !self.grace.is_zero());
        if webhook.secrets.len() >= crate::limits::SECRETS_MAX {
            return Err(TooManySecrets);
        }
        for older in &mut webhook.secrets {
            older.expires_at = Some(older.expires_at.map_or(end, |earlier| earlier.min(end)));
        }
        webhook.secrets.insert(
            0,
            WebhookSecret {
                secret: self.secret,
                expires_at: None,
            },
        );
        webhook.modified_at = now;
        Ok(webhook)
    }
}
