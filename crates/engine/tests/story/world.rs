//! An engine, one account, and receivers that do as they are told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use postrider_engine::{Engine, EventIn, IngestError, Ingested, Parts, Settings};
use postrider_model::account::Account;
use postrider_model::attempt::{AttemptError, ErrorKind, LocalFault, Outcome, Outgoing, Response};
use postrider_model::delivery::{DeliveryRecord, Status};
use postrider_model::event::Resource;
use postrider_model::health::Health;
use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::name::{EventName, EventNamePattern};
use postrider_model::secret::{SigningSecret, WebhookSecret};
use postrider_model::time::Timestamp;
use postrider_model::url::{UrlPolicy, WebhookUrl};
use postrider_model::webhook::Webhook;
use postrider_ports::once::{Once, Write, Written};
use postrider_ports::store::Retried;
use postrider_ports::{Clock as _, Sender};
use postrider_testkit::clock::SimClock;
use postrider_testkit::memory_store::MemoryStore;
use postrider_testkit::random::SeededRandom;

pub(crate) const ACCOUNT: AccountId = AccountId::from_u128(1);

/// What a receiver does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Does {
    Succeed,
    Fail,
    FailAskingFor(Duration),
    TakeFor(Duration),
}

pub(crate) struct Receivers {
    clock: SimClock,
    does: Mutex<BTreeMap<WebhookId, Does>>,
    /// When what was sent.
    sent: Mutex<Vec<(Timestamp, Outgoing)>>,
}

#[async_trait]
impl Sender for Receivers {
    async fn send(&self, outgoing: Outgoing) -> Result<Outcome, LocalFault> {
        let (started_at, began) = (self.clock.wall(), self.clock.mono());
        let does = self.does.lock().get(&outgoing.webhook.id).copied().unwrap_or(Does::Succeed);
        self.sent.lock().push((started_at, outgoing));
        if let Does::TakeFor(length) = does {
            self.clock.sleep_until(began + length).await;
        }
        let (status, retry_after) = match does {
            Does::Succeed | Does::TakeFor(_) => (200, None),
            Does::Fail => (500, None),
            Does::FailAskingFor(length) => (503, Some(length)),
        };
        let duration = self.clock.mono().since(began);
        Ok(Outcome {
            started_at,
            duration,
            response: Some(Response {
                status,
                duration,
                headers: None,
                body: None,
                truncated: false,
            }),
            error: (status != 200).then(|| AttemptError {
                kind: ErrorKind::Http,
                message: format!("the receiver answered {status}"),
            }),
            retry_after,
        })
    }
}

pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: SimClock,
    receivers: Arc<Receivers>,
    settings: Settings,
    random: Arc<SeededRandom>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(set: impl FnOnce(&mut Settings)) -> Self {
        let clock = SimClock::new();
        let store = Arc::new(MemoryStore::new());
        let receivers = Arc::new(Receivers {
            clock: clock.clone(),
            does: Mutex::default(),
            sent: Mutex::default(),
        });
        let mut settings = Settings::default();
        set(&mut settings);
        let random = Arc::new(SeededRandom::new(7));
        let parts = Parts {
            store: store.clone(),
            sender: receivers.clone(),
            clock: Arc::new(clock.clone()),
            random: random.clone(),
            nodes: None,
        };
        let engine = Engine::start(parts, settings.clone()).await.unwrap();
        let world = Self {
            engine,
            store,
            clock,
            receivers,
            settings,
            random,
        };
        let now = world.clock.wall();
        let account = Account {
            id: ACCOUNT,
            external_id: None,
            name: "Acme".to_owned(),
            is_active: true,
            created_at: now,
            modified_at: now,
        };
        world.engine.write(Write::CreateAccount(account), None).await.unwrap();
        world
    }

    /// Another engine on the same store; the one before is dropped, as in a crash.
    pub(crate) async fn start_again(&mut self) {
        let parts = Parts {
            store: self.store.clone(),
            sender: self.receivers.clone(),
            clock: Arc::new(self.clock.clone()),
            random: self.random.clone(),
            nodes: None,
        };
        self.engine = Engine::start(parts, self.settings.clone()).await.unwrap();
        self.settle().await;
    }

    pub(crate) async fn webhook(&self, number: u128, names: &[&str]) -> WebhookId {
        let (id, now) = (WebhookId::from_u128(number), self.clock.wall());
        let webhook = Webhook {
            id,
            account: ACCOUNT,
            url: WebhookUrl::parse(&format!("https://h{number}.example.com/"), &UrlPolicy::default()).unwrap(),
            description: None,
            is_active: true,
            event_names: names.iter().map(|name| EventNamePattern::parse(name).unwrap()).collect(),
            secrets: vec![WebhookSecret {
                secret: SigningSecret::from_bytes(&[7; 32]).unwrap(),
                expires_at: None,
            }],
            health: Health::Well,
            created_at: now,
            modified_at: now,
        };
        self.engine.write(Write::CreateWebhook(webhook, 1_000), None).await.unwrap();
        id
    }

    pub(crate) fn let_it(&self, webhook: WebhookId, does: Does) {
        self.receivers.does.lock().insert(webhook, does);
    }

    pub(crate) async fn post(&self, names: &[&str]) -> Result<Vec<Ingested>, IngestError> {
        let entry = self.engine.account(ACCOUNT).await.unwrap().unwrap();
        let event = |name: &&str| EventIn {
            name: EventName::parse(name).unwrap(),
            resource: Resource {
                id: "1".to_owned(),
                resource_type: "order".to_owned(),
            },
            data: "{}",
            id: None,
        };
        let posted = self.engine.ingest(&entry, names.iter().map(event).collect(), None).await;
        self.settle().await;
        posted
    }

    /// Asks for an attempt now; which delivery it is of.
    pub(crate) async fn retry(&self, id: DeliveryId) -> DeliveryId {
        let write = Write::RetryDelivery(self.engine.draft_retry(ACCOUNT, id));
        match self.engine.write(write, None).await {
            Ok(Once::Done(Written::Retried(Retried::Due { queued, .. }))) => queued.delivery,
            other => panic!("{other:?}"),
        }
    }

    /// Lets all tasks do what they can without time.
    pub(crate) async fn settle(&self) {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }

    /// Time passes, and whoever waited for it does what it waited for.
    pub(crate) async fn pass(&self, length: Duration) {
        let end = self.clock.mono() + length;
        while let Some(next) = self.clock.next_deadline().filter(|next| *next <= end) {
            self.clock.advance(next.since(self.clock.mono()));
            for _ in 0..12 {
                tokio::task::yield_now().await;
            }
        }
        self.clock.advance(end.since(self.clock.mono()));
        self.settle().await;
    }

    /// When attempts were sent.
    pub(crate) fn sent_at(&self) -> Vec<Timestamp> {
        self.receivers.sent.lock().iter().map(|(at, _)| *at).collect()
    }

    pub(crate) fn sent(&self) -> Vec<Outgoing> {
        self.receivers.sent.lock().iter().map(|(_, outgoing)| outgoing.clone()).collect()
    }

    /// The one delivery that there is.
    pub(crate) fn delivery(&self) -> DeliveryRecord {
        let mut all = self.store.look_deliveries();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    pub(crate) fn statuses(&self) -> Vec<Status> {
        self.store.look_deliveries().iter().map(|record| record.delivery.status).collect()
    }

    pub(crate) fn succeeded(&self) -> usize {
        let has_succeeded = |status: &&Status| matches!(status, Status::Succeeded { .. });
        self.statuses().iter().filter(has_succeeded).count()
    }
}

pub(crate) const fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3_600)
}
