//! Tests of a webhook that is switched off: sent, retried and found after a restart, ahead of all that waits for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use postrider_engine::{Engine, EventIn, Parts, Settings};
use postrider_model::account::Account;
use postrider_model::attempt::{AttemptError, ErrorKind, LocalFault, Outcome, Outgoing};
use postrider_model::delivery::Status;
use postrider_model::event::Resource;
use postrider_model::health::Health;
use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::name::EventName;
use postrider_model::secret::{SigningSecret, WebhookSecret};
use postrider_model::url::{UrlPolicy, WebhookUrl};
use postrider_model::webhook::{Webhook, WebhookChange};
use postrider_ports::once::{Once, Write, Written};
use postrider_ports::registry::{WebhookEdit, WebhookEdited};
use postrider_ports::{Clock, Sender, Store as _};
use postrider_testkit::clock::SimClock;
use postrider_testkit::memory_store::MemoryStore;
use postrider_testkit::random::SeededRandom;

const ACCOUNT: AccountId = AccountId::from_u128(1);
const WEBHOOK: WebhookId = WebhookId::from_u128(2);
/// Deliveries that wait for the webhook beside its tests: more than a refill brings.
const WAITING: usize = 2_000;

/// Fails the first attempts of each delivery.
struct Receiver {
    clock: SimClock,
    failures: u32,
    attempts: Mutex<BTreeMap<DeliveryId, u32>>,
}

#[async_trait]
impl Sender for Receiver {
    async fn send(&self, outgoing: Outgoing) -> Result<Outcome, LocalFault> {
        self.attempts.lock().insert(outgoing.delivery, outgoing.number);
        let error = (outgoing.number <= self.failures).then(|| AttemptError {
            kind: ErrorKind::Connect,
            message: "as scripted".to_owned(),
        });
        Ok(Outcome {
            started_at: self.clock.wall(),
            duration: Duration::from_millis(3),
            response: None,
            error,
            retry_after: None,
        })
    }
}

struct World {
    engine: Engine,
    store: Arc<MemoryStore>,
    receiver: Arc<Receiver>,
    clock: SimClock,
}

impl World {
    /// A webhook that is switched off while much waits for it.
    async fn paused() -> Self {
        let clock = SimClock::new();
        let store = Arc::new(MemoryStore::new());
        let receiver = Arc::new(Receiver {
            clock: clock.clone(),
            failures: 3,
            attempts: Mutex::default(),
        });
        let engine = start(&store, &receiver, &clock).await;
        let world = Self {
            engine,
            store,
            receiver,
            clock,
        };
        let (account, webhook) = (account(&world.clock), webhook(&world.clock));
        world.engine.write(Write::CreateAccount(account), None).await.unwrap();
        world.engine.write(Write::CreateWebhook(webhook, 1), None).await.unwrap();
        // Few of them have been tried when it is switched off.
        let entry = world.engine.account(ACCOUNT).await.unwrap().unwrap();
        for _ in 0..WAITING / 500 {
            world.engine.ingest(&entry, vec![event(); 500], None).await.unwrap();
        }
        world.switch(false).await;
        world
    }

    async fn switch(&self, is_active: bool) {
        let change = WebhookChange {
            is_active: Some(is_active),
            ..WebhookChange::default()
        };
        let edited = self.engine.edit_webhook(ACCOUNT, WEBHOOK, WebhookEdit::Change(change)).await;
        assert!(matches!(edited, Ok(WebhookEdited::Edited(_))));
        self.pass(Duration::ZERO).await;
    }

    async fn test(&self) -> DeliveryId {
        let name = EventName::parse("test.sent").unwrap();
        let test = self.engine.draft_test(ACCOUNT, WEBHOOK, name, "{}");
        let write = Write::CreateTest(test.delivery.clone(), test.payload);
        let made = self.engine.write(write, None).await;
        assert!(matches!(made, Ok(Once::Done(Written::Test(true)))));
        self.pass(Duration::ZERO).await;
        test.delivery.id
    }

    /// Time passes, and all that is to be done by then is.
    async fn pass(&self, length: Duration) {
        for _ in 0..100 {
            self.clock.advance(length / 100);
            for _ in 0..30 {
                tokio::task::yield_now().await;
            }
        }
    }

    async fn status(&self, delivery: DeliveryId) -> Status {
        self.store.delivery(ACCOUNT, delivery).await.unwrap().unwrap().delivery.status
    }

    fn attempted(&self) -> usize {
        self.receiver.attempts.lock().len()
    }
}

async fn start(store: &Arc<MemoryStore>, receiver: &Arc<Receiver>, clock: &SimClock) -> Engine {
    let parts = Parts {
        store: store.clone(),
        sender: receiver.clone(),
        clock: Arc::new(clock.clone()),
        random: Arc::new(SeededRandom::new(1)),
        nodes: None,
    };
    Engine::start(parts, Settings::default()).await.unwrap()
}

fn account(clock: &SimClock) -> Account {
    Account {
        id: ACCOUNT,
        external_id: None,
        name: "Acme".to_owned(),
        is_active: true,
        created_at: clock.wall(),
        modified_at: clock.wall(),
    }
}

fn webhook(clock: &SimClock) -> Webhook {
    Webhook {
        id: WEBHOOK,
        account: ACCOUNT,
        url: WebhookUrl::parse("https://hooks.example.com/a", &UrlPolicy::default()).unwrap(),
        description: None,
        is_active: true,
        event_names: Vec::new(),
        secrets: vec![WebhookSecret {
            secret: SigningSecret::from_bytes(&[7; 32]).unwrap(),
            expires_at: None,
        }],
        health: Health::Unproven,
        created_at: clock.wall(),
        modified_at: clock.wall(),
    }
}

fn event() -> EventIn<'static> {
    EventIn {
        name: EventName::parse("order.filled").unwrap(),
        resource: Resource {
            id: "1".to_owned(),
            resource_type: "order".to_owned(),
        },
        data: "{}",
        id: None,
    }
}

#[tokio::test]
async fn a_test_of_a_paused_webhook_is_retried_until_it_arrives() {
    let world = World::paused().await;
    let before = world.attempted();
    let test = world.test().await;
    assert!(
        matches!(world.status(test).await, Status::Pending { .. }),
        "its first attempt failed"
    );
    world.pass(Duration::from_secs(3_600)).await;
    assert!(matches!(world.status(test).await, Status::Succeeded { .. }));
    assert_eq!(world.receiver.attempts.lock()[&test], 4);
    assert_eq!(world.attempted(), before + 1, "nothing else is sent");
    world.switch(true).await;
    world.pass(Duration::from_secs(10)).await;
    assert!(world.attempted() > before + 1, "and the others go on when it is switched on");
}

#[tokio::test]
async fn a_restart_finds_the_tests_of_a_paused_webhook() {
    let mut world = World::paused().await;
    let before = world.attempted();
    let test = world.test().await;
    assert!(world.engine.shutdown(Duration::from_secs(30)).await);
    world.engine = start(&world.store, &world.receiver, &world.clock).await;
    world.pass(Duration::from_secs(3_600)).await;
    assert!(matches!(world.status(test).await, Status::Succeeded { .. }));
    assert_eq!(world.attempted(), before + 1, "nothing else is sent");
}
