//! A sender on a simulated clock, and webhooks to send to.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider_model::address::AddressPolicy;
use postrider_model::attempt::{AttemptError, ErrorKind, LocalFault, Outcome, Outgoing};
use postrider_model::health::Health;
use postrider_model::id::{AccountId, DeliveryId, EventId, WebhookId};
use postrider_model::secret::{SigningSecret, WebhookSecret};
use postrider_model::url::WebhookUrl;
use postrider_model::webhook::Webhook;
use postrider_ports::{Clock as _, Sender as _};
use postrider_sender::{HttpSender, SenderOptions, StaticResolver};
use postrider_testkit::clock::SimClock;

/// A sender and its clock.
pub(crate) struct World {
    pub(crate) clock: SimClock,
    pub(crate) sender: HttpSender,
}

impl World {
    /// Everything may be dialled; names are not known.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// With options changed.
    pub(crate) fn with(change: impl FnOnce(&mut SenderOptions)) -> Self {
        Self::by(StaticResolver::new(), change)
    }

    /// With these names, and everything may be dialled.
    pub(crate) fn by(names: StaticResolver, change: impl FnOnce(&mut SenderOptions)) -> Self {
        Self::at(SimClock::new(), names, change)
    }

    /// The same by this clock.
    pub(crate) fn at(clock: SimClock, names: StaticResolver, change: impl FnOnce(&mut SenderOptions)) -> Self {
        let mut options = SenderOptions::new(Arc::new(clock.clone()), Arc::new(names));
        options.version = "1.2.3".to_owned();
        options.address_policy = AddressPolicy {
            dev: true,
            networks: Vec::new(),
        };
        change(&mut options);
        let sender = HttpSender::new(options).unwrap();
        Self { clock, sender }
    }

    /// One attempt.
    pub(crate) async fn send(&self, outgoing: Outgoing) -> Outcome {
        self.try_send(outgoing).await.unwrap()
    }

    /// One attempt, or a fault of our own.
    pub(crate) async fn try_send(&self, outgoing: Outgoing) -> Result<Outcome, LocalFault> {
        self.sender.send(outgoing).await
    }

    /// One attempt on a task of its own.
    pub(crate) fn start(&self, outgoing: Outgoing) -> tokio::task::JoinHandle<Result<Outcome, LocalFault>> {
        let sender = self.sender.clone();
        tokio::spawn(async move { sender.send(outgoing).await })
    }

    /// Waits until the attempt waits for time alone, and moves the clock to where its limit ends.
    pub(crate) async fn let_limit_pass(&self) -> Duration {
        self.clock.wait_for_sleepers(1).await;
        self.clock.advance_to_next().unwrap()
    }
}

/// The secret that webhooks of tests sign with.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub(crate) fn secret(text: &str) -> WebhookSecret {
    WebhookSecret {
        secret: SigningSecret::parse(text).unwrap(),
        expires_at: None,
    }
}

/// A webhook with this url.
pub(crate) fn webhook(url: &str) -> Webhook {
    let now = SimClock::new().wall();
    Webhook {
        id: WebhookId::from_u128(1),
        account: AccountId::from_u128(1),
        url: WebhookUrl::from_stored(url).unwrap(),
        description: None,
        is_active: true,
        event_names: Vec::new(),
        secrets: vec![secret(SECRET)],
        health: Health::Unproven,
        created_at: now,
        modified_at: now,
    }
}

/// An attempt to this webhook.
pub(crate) fn outgoing_to(webhook: Webhook) -> Outgoing {
    Outgoing {
        delivery: DeliveryId::from_u128(42),
        event: Some(EventId::own("order-17").unwrap()),
        number: 3,
        webhook: Arc::new(webhook),
        body: Bytes::from_static(br#"{"id":"order-17","name":"order.filled","resource":{},"data":{"n":1.0},"created_at":""}"#),
    }
}

/// An attempt to this url.
pub(crate) fn outgoing(url: &str) -> Outgoing {
    outgoing_to(webhook(url))
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Why an attempt failed.
pub(crate) fn error(outcome: &Outcome) -> (ErrorKind, &str) {
    let AttemptError { kind, message } = outcome.error.as_ref().expect("a failed attempt");
    (*kind, message)
}
