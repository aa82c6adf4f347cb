//! What the tests of the store share.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use postrider_model::account::Account;
use postrider_model::delivery::Change;
use postrider_model::event::{Event, EventDraft, Resource};
use postrider_model::health::Health;
use postrider_model::id::{AccountId, DeliveryId, EventId, WebhookId};
use postrider_model::name::EventName;
use postrider_model::secret::{SigningSecret, WebhookSecret};
use postrider_model::time::Timestamp;
use postrider_model::url::WebhookUrl;
use postrider_model::webhook::Webhook;
use postrider_ports::registry::AccountVersion;
use postrider_ports::store::{DueAsk, NewEvent, OutcomeRecord, Submission, Submitted};
use postrider_ports::{Registry as _, Store as _, StoreError};
use postrider_store_sqlite::{OpenOptions, SqliteStore, Synchronous};
use postrider_testkit::clock::SimClock;
use postrider_testkit::random::SeededRandom;
use tempfile::TempDir;

/// A folder that vanishes, with stores in it.
pub(crate) struct Folder {
    folder: TempDir,
    pub(crate) clock: SimClock,
    random: Arc<SeededRandom>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            clock: SimClock::new(),
            random: Arc::new(SeededRandom::new(7)),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// How the tests open a store: nothing waits for the disk, for no test cuts the power.
    pub(crate) fn options(&self, name: &str) -> OpenOptions {
        OpenOptions {
            synchronous: Synchronous::Off,
            ..OpenOptions::new(self.path(name), Arc::clone(&self.random) as _, Arc::new(self.clock.clone()))
        }
    }

    pub(crate) fn open_as(&self, name: &str) -> SqliteStore {
        SqliteStore::open(self.options(name)).unwrap()
    }

    pub(crate) fn open(&self) -> SqliteStore {
        self.open_as("postrider.db")
    }

    /// Why a store cannot be opened.
    pub(crate) fn refusal(&self, options: OpenOptions) -> StoreError {
        SqliteStore::open(options).err().expect("it cannot be opened")
    }
}

/// An account with a webhook, and what is made of them.
pub(crate) struct Sender {
    pub(crate) account: AccountId,
    pub(crate) webhook: WebhookId,
    pub(crate) version: AccountVersion,
}

/// The moment at which all that the tests store is made.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_768_473_000_000);

/// Bits that never come twice.
pub(crate) fn bits() -> u128 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    u128::from(NEXT.fetch_add(1, Ordering::Relaxed)).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

pub(crate) fn new_account() -> Account {
    Account {
        id: AccountId::new(NOW, bits()),
        external_id: None,
        name: "Acme".to_owned(),
        is_active: true,
        created_at: NOW,
        modified_at: NOW,
    }
}

/// A webhook with these bytes as its secret.
pub(crate) fn new_webhook(account: AccountId, secret: &[u8]) -> Webhook {
    Webhook {
        id: WebhookId::new(NOW, bits()),
        account,
        url: WebhookUrl::from_stored("https://hooks.example.com/").unwrap(),
        description: None,
        is_active: true,
        event_names: Vec::new(),
        secrets: vec![WebhookSecret {
            secret: SigningSecret::from_bytes(secret).unwrap(),
            expires_at: None,
        }],
        health: Health::Unproven,
        created_at: NOW,
        modified_at: NOW,
    }
}

impl Sender {
    pub(crate) async fn new(store: &SqliteStore) -> Self {
        let account = new_account();
        let id = account.id;
        store.create_account(account).await.unwrap();
        let webhook = new_webhook(id, &[7; 32]);
        let webhook_id = webhook.id;
        store.create_webhook(webhook, 10).await.unwrap();
        Self {
            account: id,
            webhook: webhook_id,
            version: store.account_snapshot(id).await.unwrap().unwrap().version,
        }
    }

    /// A request of one event of about `bytes`, with `count` deliveries.
    pub(crate) fn request(&self, bytes: usize, count: usize) -> Submission {
        let draft = EventDraft {
            name: EventName::parse("order.created").unwrap(),
            resource: Resource {
                id: "ord_1".to_owned(),
                resource_type: "order".to_owned(),
            },
            data: &format!("{{\"text\":\"{}\"}}", "x".repeat(bytes)),
        };
        Submission {
            account: self.account,
            version: self.version,
            events: vec![NewEvent {
                event: Arc::new(Event::new(self.account, EventId::new(NOW, bits()), draft, NOW)),
                deliveries: (0..count).map(|_| (DeliveryId::new(NOW, bits()), self.webhook)).collect(),
            }],
            keep: None,
        }
    }

    /// Stores a request, and tells its event and its first delivery.
    pub(crate) async fn deliver(&self, store: &SqliteStore) -> (Arc<Event>, DeliveryId) {
        let request = self.request(10, 1);
        let (event, delivery) = (Arc::clone(&request.events[0].event), request.events[0].deliveries[0].0);
        let answer = store.commit_events(vec![request]).await.unwrap();
        assert!(matches!(answer[..], [Submitted::Stored(_)]), "{answer:?}");
        (event, delivery)
    }

    /// The ids of all that is due.
    pub(crate) async fn due(&self, store: &SqliteStore) -> Vec<DeliveryId> {
        let ask = DueAsk {
            account: self.account,
            webhook: self.webhook,
            rows_max: 100_000,
            bytes_max: usize::MAX,
            known: Vec::new(),
            tests_only: false,
        };
        let mut answers = store.fetch_due(vec![ask], NOW).await.unwrap();
        answers.remove(0).rows.into_iter().map(|row| row.delivery).collect()
    }

    /// The outcome of an acknowledged first attempt.
    pub(crate) fn acknowledged(&self, delivery: DeliveryId) -> OutcomeRecord {
        OutcomeRecord {
            account: self.account,
            delivery,
            change: Change::Succeeded { number: 1 },
            attempt: None,
            at: NOW,
        }
    }
}
