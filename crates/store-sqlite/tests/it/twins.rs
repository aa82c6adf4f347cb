//! The store in memory and the one on a file are led through the same story, chosen by chance: in the end they must show the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use postrider_model::delivery::{Change, Status};
use postrider_model::event::{Event, EventDraft, Resource};
use postrider_model::id::{AccountId, DeliveryId, EventId, JobId, WebhookId};
use postrider_model::job::{Job, JobKind, JobStatus, RecoverWhat, Recovery};
use postrider_model::name::EventName;
use postrider_model::time::Timestamp;
use postrider_model::webhook::WebhookChange;
use postrider_ports::registry::WebhookEdit;
use postrider_ports::store::{DeliveryFilter, DueAsk, JobNext, JobStep, NewEvent, OutcomeRecord, Retire, Submission, WaitingAsk};
use postrider_ports::{PageAsk, Random as _, Store};
use postrider_testkit::memory_store::MemoryStore;
use postrider_testkit::random::SeededRandom;

use crate::support::{Folder, NOW, bits, new_account, new_webhook};

const HOUR: Duration = Duration::from_secs(3600);
const SEEDS: u64 = 12;
const CHANGES: usize = 120;

/// Two stores that are told the same, and what chance needs to know of them.
struct Twins {
    stores: [Arc<dyn Store>; 2],
    random: SeededRandom,
    account: AccountId,
    webhooks: Vec<WebhookId>,
    now: Timestamp,
    /// Events before this are past their time. Recoveries begin here, as the engine has no older events to offer.
    before: Timestamp,
}

impl Twins {
    async fn new(stores: [Arc<dyn Store>; 2], seed: u64) -> Self {
        let account = new_account();
        let webhooks: Vec<_> = (0..3).map(|_| new_webhook(account.id, &[7; 32])).collect();
        for store in &stores {
            store.create_account(account.clone()).await.unwrap();
            for webhook in &webhooks {
                store.create_webhook(webhook.clone(), 10).await.unwrap();
            }
        }
        Self {
            stores,
            random: SeededRandom::new(seed),
            account: account.id,
            webhooks: webhooks.iter().map(|webhook| webhook.id).collect(),
            now: NOW,
            before: NOW,
        }
    }

    fn below(&self, end: usize) -> usize {
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes);
        usize::try_from(u64::from_le_bytes(bytes) % end as u64).unwrap()
    }

    fn webhook(&self) -> WebhookId {
        self.webhooks[self.below(self.webhooks.len())]
    }

    async fn change(&mut self) {
        self.now = self.now + HOUR;
        match self.below(10) {
            0..4 => self.take_in().await,
            4..7 => self.attempt().await,
            7 => self.switch().await,
            8 => self.recover().await,
            _ => self.retire().await,
        }
    }

    async fn take_in(&self) {
        let draft = EventDraft {
            name: EventName::parse("order.created").unwrap(),
            resource: Resource {
                id: "ord_1".to_owned(),
                resource_type: "order".to_owned(),
            },
            data: "{}",
        };
        let event = Arc::new(Event::new(self.account, EventId::new(self.now, bits()), draft, self.now));
        let wanting = self.webhooks.iter().filter(|_| self.below(3) > 0);
        let deliveries: Vec<_> = wanting.map(|webhook| (DeliveryId::new(self.now, bits()), *webhook)).collect();
        for store in &self.stores {
            let request = Submission {
                account: self.account,
                version: store.account_snapshot(self.account).await.unwrap().unwrap().version,
                events: vec![NewEvent {
                    event: Arc::clone(&event),
                    deliveries: deliveries.clone(),
                }],
                keep: None,
            };
            store.commit_events(vec![request]).await.unwrap();
        }
    }

    /// All that is due for a webhook ends one way or the other.
    async fn attempt(&self) {
        let webhook = self.webhook();
        let is_well = self.below(2) == 0;
        for store in &self.stores {
            let ask = DueAsk {
                account: self.account,
                webhook,
                rows_max: 10_000,
                bytes_max: usize::MAX,
                known: Vec::new(),
                tests_only: false,
            };
            let due = store.fetch_due(vec![ask], self.now).await.unwrap().remove(0).rows;
            let outcomes = due.iter().map(|row| {
                let number = row.progress.attempts + 1;
                OutcomeRecord {
                    account: self.account,
                    delivery: row.delivery,
                    change: match is_well {
                        true => Change::Succeeded { number },
                        false => Change::AttemptFailed { number, next: None },
                    },
                    attempt: None,
                    at: self.now,
                }
            });
            store.record_outcomes(outcomes.collect()).await.unwrap();
        }
    }

    async fn switch(&self) {
        let webhook = self.webhook();
        let change = WebhookChange {
            is_active: Some(self.below(3) > 0),
            ..WebhookChange::default()
        };
        for store in &self.stores {
            let edit = WebhookEdit::Change(change.clone());
            store.edit_webhook(self.account, webhook, edit, self.now).await.unwrap();
        }
    }

    async fn recover(&self) {
        let recovery = Recovery {
            webhook: self.webhook(),
            since: self.before,
            until: self.now,
            what: RecoverWhat::ALL[self.below(3)],
        };
        let job = Job {
            id: JobId::new(self.now, bits()),
            account: self.account,
            kind: JobKind::Recover,
            webhook: Some(recovery.webhook),
            status: JobStatus::Running,
            done: 0,
            total: None,
            error: None,
            ended_at: None,
            created_at: self.now,
            modified_at: self.now,
        };
        let rows_max = 1 + self.below(20);
        let mut ended = Vec::new();
        for store in &self.stores {
            let made = store.create_job(job.clone(), recovery).await.unwrap();
            loop {
                let step = JobStep {
                    job: job.id,
                    rows_max,
                    fresh: (0..rows_max).map(|_| DeliveryId::new(self.now, bits())).collect(),
                    now: self.now,
                };
                if store.step_job(step).await.unwrap().next != JobNext::More {
                    break;
                }
            }
            store.cancel_job(self.account, job.id, self.now).await.unwrap();
            ended.push((made, store.job(self.account, job.id).await.unwrap()));
        }
        assert_eq!(ended[0], ended[1], "both did as much");
    }

    async fn retire(&mut self) {
        self.before = self
            .before
            .max(NOW + HOUR * u32::try_from(self.below(CHANGES)).unwrap().min(self.hours()));
        let rows_max = 1 + self.below(40);
        for store in &self.stores {
            let step = Retire {
                before: self.before,
                now: self.now,
                rows_max,
            };
            while store.retire(step).await.unwrap().has_more {}
        }
    }

    fn hours(&self) -> u32 {
        u32::try_from((self.now.as_millis() - NOW.as_millis()) / 3_600_000).unwrap()
    }

    /// Whatever was passed over is looked at again.
    async fn settle(&mut self) {
        self.now = self.now + 24 * HOUR;
        for store in &self.stores {
            let step = Retire {
                before: self.before,
                now: self.now,
                rows_max: 100,
            };
            while store.retire(step).await.unwrap().has_more {}
        }
    }
}

/// All deliveries, by their event and webhook: new ones have ids of their own in each store.
async fn shown(store: &dyn Store, account: AccountId) -> BTreeMap<(Option<EventId>, WebhookId), Vec<Status>> {
    let mut found: BTreeMap<_, Vec<Status>> = BTreeMap::new();
    let mut after = None;
    loop {
        let ask = PageAsk { limit: 200, after };
        let page = store.list_deliveries(account, DeliveryFilter::default(), ask).await.unwrap();
        for row in page.rows {
            let key = (row.delivery.event.clone(), row.delivery.webhook);
            found.entry(key).or_default().push(row.delivery.status);
        }
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn both_stores_show_the_same_after_any_story() {
    for seed in 1..=SEEDS {
        let folder = Folder::new();
        let stores: [Arc<dyn Store>; 2] = [Arc::new(MemoryStore::new()), Arc::new(folder.open())];
        let mut twins = Twins::new(stores, seed).await;
        for round in 0..3 {
            for _ in 0..CHANGES / 3 {
                twins.change().await;
            }
            twins.settle().await;
            let [memory, file] = [&twins.stores[0], &twins.stores[1]];
            let expected = shown(&**memory, twins.account).await;
            assert_eq!(shown(&**file, twins.account).await, expected, "seed {seed}, round {round}");
            let waiting = memory.waiting(WaitingAsk::first(10)).await.unwrap();
            assert_eq!(
                file.waiting(WaitingAsk::first(10)).await.unwrap(),
                waiting,
                "seed {seed}, round {round}"
            );
        }
    }
}
