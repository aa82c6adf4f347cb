//! Outcomes on PostgreSQL beside those of the store in memory, where `Delivery::apply` alone judges: whatever comes, both say the same.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider_model::account::Account;
use postrider_model::attempt::{Attempt, AttemptError, ErrorKind, Response};
use postrider_model::delivery::Change;
use postrider_model::event::Event;
use postrider_model::health::Health;
use postrider_model::id::{AccountId, AttemptId, DeliveryId, EventId, WebhookId};
use postrider_model::secret::{SigningSecret, WebhookSecret};
use postrider_model::time::Timestamp;
use postrider_model::url::{UrlPolicy, WebhookUrl};
use postrider_model::webhook::Webhook;
use postrider_ports::Store;
use postrider_ports::registry::{AccountMade, WebhookMade};
use postrider_ports::store::{NewEvent, OutcomeRecord, Recorded, RetryAsk, Submission, Submitted};
use postrider_testkit::memory_store::MemoryStore;
use postrider_testkit::random::SeededRandom;

use crate::pair::{START, event_of};
use crate::support::Fresh;

const DELIVERIES: usize = 12;
const GROUPS: usize = 60;

/// A story that both stores live through.
struct Story {
    random: SeededRandom,
    account: AccountId,
    webhook: WebhookId,
    made: Vec<(Arc<Event>, DeliveryId)>,
}

impl Story {
    fn new(seed: u64) -> Self {
        let mut story = Self {
            random: SeededRandom::new(seed),
            account: AccountId::from_u128(0),
            webhook: WebhookId::from_u128(0),
            made: Vec::new(),
        };
        story.account = AccountId::new(START, story.bits());
        story.webhook = WebhookId::new(START, story.bits());
        for _ in 0..DELIVERIES {
            let event = event_of(story.account, EventId::new(START, story.bits()));
            let delivery = DeliveryId::new(START, story.bits());
            story.made.push((Arc::new(event), delivery));
        }
        story
    }

    fn bits(&self) -> u128 {
        u128::from(self.random.next_u64()) << 64 | u128::from(self.random.next_u64())
    }

    fn below(&self, end: u64) -> u64 {
        self.random.below(end)
    }

    async fn begin(&self, store: &dyn Store) {
        let account = Account {
            id: self.account,
            external_id: None,
            name: "one".to_owned(),
            is_active: true,
            created_at: START,
            modified_at: START,
        };
        assert_eq!(store.create_account(account).await, Ok(AccountMade::Made));
        let webhook = Webhook {
            id: self.webhook,
            account: self.account,
            url: WebhookUrl::parse("https://hooks.example.com/", &UrlPolicy::default()).unwrap(),
            description: None,
            is_active: true,
            event_names: Vec::new(),
            secrets: vec![WebhookSecret {
                secret: SigningSecret::from_bytes(&[7; 32]).unwrap(),
                expires_at: None,
            }],
            health: Health::Unproven,
            created_at: START,
            modified_at: START,
        };
        assert_eq!(store.create_webhook(webhook, 10).await, Ok(WebhookMade::Made));
        let version = store.account_snapshot(self.account).await.unwrap().unwrap().version;
        let new = |(event, delivery): &(Arc<Event>, DeliveryId)| NewEvent {
            event: Arc::clone(event),
            deliveries: vec![(*delivery, self.webhook)],
        };
        let submission = Submission {
            account: self.account,
            version,
            events: self.made.iter().map(new).collect(),
            keep: None,
        };
        let answers = store.commit_events(vec![submission]).await.unwrap();
        assert!(matches!(answers[..], [Submitted::Stored(_)]), "{answers:?}");
    }

    /// Outcomes of a few deliveries: many successes, some of what is over or was never there, some twice.
    fn group(&self, turn: usize) -> Vec<OutcomeRecord> {
        let outcomes = 1 + self.below(6);
        (0..outcomes)
            .map(|_| self.outcome(START + Duration::from_secs(turn as u64)))
            .collect()
    }

    fn outcome(&self, at: Timestamp) -> OutcomeRecord {
        let number = 1 + u32::try_from(self.below(3)).unwrap();
        let next = (self.below(3) > 0).then(|| at + Duration::from_secs(self.below(100)));
        let change = match self.below(10) {
            0..4 => Change::Succeeded { number },
            4..8 => Change::AttemptFailed { number, next },
            8 => Change::Expired,
            _ => Change::WebhookDeleted,
        };
        let delivery = match self.below(20) {
            0 => DeliveryId::new(START, self.bits()),
            _ => self.made[usize::try_from(self.below(DELIVERIES as u64)).unwrap()].1,
        };
        OutcomeRecord {
            account: if self.below(30) == 0 {
                AccountId::from_u128(7)
            } else {
                self.account
            },
            delivery,
            change,
            attempt: self.attempt(change, at),
            at,
        }
    }

    fn attempt(&self, change: Change, at: Timestamp) -> Option<Attempt> {
        let (number, fails) = match change {
            Change::Succeeded { number } => (number, false),
            Change::AttemptFailed { number, .. } => (number, true),
            _ => return None,
        };
        Some(Attempt {
            id: AttemptId::new(at, self.bits()),
            number,
            url: Arc::from("https://hooks.example.com/"),
            created_at: at,
            duration: Duration::from_millis(self.below(1_000)),
            response: Some(Response {
                status: if fails { 500 } else { 204 },
                duration: Duration::from_millis(3),
                headers: None,
                body: fails.then(|| Bytes::from_static(b"no")),
                truncated: false,
            }),
            error: fails.then(|| AttemptError {
                kind: ErrorKind::Http,
                message: "the receiver answered 500".to_owned(),
            }),
        })
    }
}

#[tokio::test]
async fn outcomes_are_judged_as_they_are_in_memory() {
    let fresh = Fresh::empty().await;
    for seed in 1..=8 {
        let story = Story::new(seed);
        let memory = MemoryStore::new();
        story.begin(&memory).await;
        story.begin(&*fresh).await;
        for turn in 0..GROUPS {
            let group = story.group(turn);
            let expected = memory.record_outcomes(group.clone()).await.unwrap();
            let recorded = fresh.record_outcomes(group.clone()).await.unwrap();
            assert_eq!(recorded, expected, "seed {seed}, turn {turn}: {group:#?}");
            if turn % 4 == 3 {
                let retry = RetryAsk {
                    account: story.account,
                    delivery: story.made[turn % DELIVERIES].1,
                    fresh: DeliveryId::new(START, story.bits()),
                    now: START + Duration::from_secs(turn as u64),
                };
                memory.retry_delivery(retry).await.unwrap();
                fresh.retry_delivery(retry).await.unwrap();
            }
        }
        for (_, delivery) in &story.made {
            let expected = memory.delivery(story.account, *delivery).await.unwrap();
            let shown = fresh.delivery(story.account, *delivery).await.unwrap();
            assert_eq!(shown, expected, "seed {seed}");
        }
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_written_holds_up_no_other() {
    let fresh = Fresh::empty().await;
    let story = Story::new(9);
    story.begin(&*fresh).await;
    let group: Vec<OutcomeRecord> = story.made.iter().map(|(_, delivery)| succeeded(&story, *delivery)).collect();
    // One has ended already, as its row in the history says; and still is in the queue, which can never be.
    let poisoned = uuid::Uuid::from_u128(story.made[5].1.as_u128());
    fresh.database.psql(&format!(
        "INSERT INTO postrider.deliveries (account, id, webhook, event, major, minor, status, ended_at, attempts, schedule_base,
                                           schedule_began_at, is_later, created_at, modified_at)
         SELECT account, delivery, webhook, event, major, minor, 1, 0, 1, 0, 0, false, 0, 0 FROM postrider.queue
         WHERE delivery = '{poisoned}'"
    ));
    let recorded = fresh.record_outcomes(group).await.unwrap();
    let applied = |place: usize| if place == 5 { Recorded::Refused } else { Recorded::Applied };
    assert_eq!(recorded, (0..DELIVERIES).map(applied).collect::<Vec<_>>());
}

#[tokio::test]
async fn outcomes_recorded_twice_at_once_are_applied_once() {
    let fresh = Fresh::empty().await;
    let story = Story::new(10);
    story.begin(&*fresh).await;
    let group: Vec<OutcomeRecord> = story.made.iter().map(|(_, delivery)| succeeded(&story, *delivery)).collect();
    let backwards: Vec<OutcomeRecord> = group.iter().rev().cloned().collect();
    let (one, mut other) = tokio::join!(fresh.record_outcomes(group), fresh.record_outcomes(backwards));
    other.as_mut().unwrap().reverse();
    for (one, other) in one.unwrap().into_iter().zip(other.unwrap()) {
        assert_ne!(one, other, "one of the two has recorded it");
    }
}

fn succeeded(story: &Story, delivery: DeliveryId) -> OutcomeRecord {
    let change = Change::Succeeded { number: 1 };
    OutcomeRecord {
        account: story.account,
        delivery,
        change,
        attempt: story.attempt(change, START),
        at: START,
    }
}
