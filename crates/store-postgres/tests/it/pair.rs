//! Two nodes at one database.

use std::sync::Arc;
use std::time::Duration;

use postrider_model::account::Account;
use postrider_model::attempt::{Attempt, AttemptError, ErrorKind, Response};
use postrider_model::delivery::{Change, Delivery, Progress, Status};
use postrider_model::event::{Event, EventDraft, Resource};
use postrider_model::health::Health;
use postrider_model::id::{AccountId, AttemptId, DeliveryId, EventId, JobId, WebhookId};
use postrider_model::job::{Job, JobKind, JobStatus, RecoverWhat, Recovery};
use postrider_model::name::EventName;
use postrider_model::time::Timestamp;
use postrider_model::url::{UrlPolicy, WebhookUrl};
use postrider_model::webhook::Webhook;
use postrider_ports::Store as _;
use postrider_ports::registry::{AccountMade, Registry as _, WebhookMade};
use postrider_ports::store::{JobMade, JobNext, JobStep, NewEvent, OutcomeRecord, Recorded, Retried, RetryAsk, Submission, Submitted};
use postrider_store_postgres::{PostgresStore, connect};
use tokio_postgres::{Client, NoTls};

use crate::support::{Fresh, bits, options};

pub(crate) const START: Timestamp = Timestamp::from_millis(1_760_000_000_000);
/// Rows of one step.
pub(crate) const STEP_ROWS: usize = 7;

pub(crate) fn at(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

/// An account with a webhook, seen by two nodes.
pub(crate) struct Pair {
    pub(crate) one: PostgresStore,
    pub(crate) two: PostgresStore,
    pub(crate) account: AccountId,
    pub(crate) webhook: WebhookId,
    fresh: Fresh,
}

impl Pair {
    pub(crate) async fn new() -> Self {
        let fresh = Fresh::empty().await;
        let one = connect(options(fresh.database.url())).await.unwrap();
        let two = connect(options(fresh.database.url())).await.unwrap();
        let account = Account {
            id: AccountId::new(START, bits()),
            external_id: None,
            name: "Acme".to_owned(),
            is_active: true,
            created_at: START,
            modified_at: START,
        };
        let id = account.id;
        assert_eq!(one.create_account(account).await, Ok(AccountMade::Made));
        let webhook = webhook_of(id, WebhookId::new(START, bits()));
        let its = webhook.id;
        assert_eq!(one.create_webhook(webhook, 10).await, Ok(WebhookMade::Made));
        Self {
            one,
            two,
            account: id,
            webhook: its,
            fresh,
        }
    }

    /// Stores so many events in one request; each has so many deliveries to the webhook.
    pub(crate) async fn store(&self, count: usize, deliveries: usize) -> Vec<(EventId, Option<DeliveryId>)> {
        let new = |_| self.new_event(EventId::new(START, bits()), deliveries);
        let events: Vec<NewEvent> = (0..count).map(new).collect();
        let made = events
            .iter()
            .map(|new| (new.event.id.clone(), new.deliveries.first().map(|(id, _)| *id)))
            .collect();
        let submission = self.submission(events).await;
        let answers = self.one.commit_events(vec![submission]).await.unwrap();
        assert!(matches!(&answers[0], Submitted::Stored(_)), "{answers:?}");
        made
    }

    /// A request with these, by the account as it is now.
    pub(crate) async fn submission(&self, events: Vec<NewEvent>) -> Submission {
        Submission {
            account: self.account,
            version: self.one.account_snapshot(self.account).await.unwrap().unwrap().version,
            events,
            keep: None,
        }
    }

    /// An event that is not stored yet, with so many deliveries to the webhook.
    pub(crate) fn new_event(&self, id: EventId, deliveries: usize) -> NewEvent {
        let delivery = || (DeliveryId::new(START, bits()), self.webhook);
        NewEvent {
            event: Arc::new(event_of(self.account, id)),
            deliveries: (0..deliveries).map(|_| delivery()).collect(),
        }
    }

    pub(crate) async fn deliver(&self, count: usize) -> Vec<DeliveryId> {
        self.store(count, 1).await.into_iter().filter_map(|(_, id)| id).collect()
    }

    pub(crate) fn new_test(&self) -> Delivery {
        Delivery {
            id: DeliveryId::new(START, bits()),
            account: self.account,
            webhook: self.webhook,
            event: None,
            status: Status::Pending { due: START },
            progress: Progress::new(START),
            created_at: START,
            modified_at: START,
        }
    }

    pub(crate) async fn record(&self, store: &PostgresStore, delivery: DeliveryId, change: Change) -> Recorded {
        let number = match change {
            Change::Succeeded { number } | Change::AttemptFailed { number, .. } => number,
            _ => panic!("no outcome"),
        };
        let is_success = matches!(change, Change::Succeeded { .. });
        let response = Response {
            status: 204,
            duration: Duration::from_millis(4),
            headers: None,
            body: None,
            truncated: false,
        };
        let error = AttemptError {
            kind: ErrorKind::Connect,
            message: "refused".to_owned(),
        };
        let attempt = Attempt {
            id: AttemptId::new(START, bits()),
            number,
            url: Arc::from("https://hooks.example.com/a"),
            created_at: at(1),
            duration: Duration::from_millis(5),
            response: is_success.then_some(response),
            error: (!is_success).then_some(error),
        };
        let outcome = OutcomeRecord {
            account: self.account,
            delivery,
            change,
            attempt: Some(attempt),
            at: at(2),
        };
        store.record_outcomes(vec![outcome]).await.unwrap().remove(0)
    }

    /// Makes deliveries whose only attempt failed.
    pub(crate) async fn failed(&self, count: usize) -> Vec<DeliveryId> {
        let made = self.deliver(count).await;
        for id in &made {
            let exhausted = Change::AttemptFailed { number: 1, next: None };
            assert_eq!(self.record(&self.one, *id, exhausted).await, Recorded::Applied);
        }
        made
    }

    pub(crate) async fn retry(&self, store: &PostgresStore, delivery: DeliveryId) -> Retried {
        let ask = RetryAsk {
            account: self.account,
            delivery,
            fresh: DeliveryId::new(at(3), bits()),
            now: at(3),
        };
        store.retry_delivery(ask).await.unwrap()
    }

    pub(crate) async fn job(&self, what: RecoverWhat) -> JobId {
        let job = new_job(self.account, self.webhook);
        let id = job.id;
        let recovery = Recovery {
            webhook: self.webhook,
            since: START,
            until: at(100),
            what,
        };
        assert_eq!(self.one.create_job(job, recovery).await, Ok(JobMade::Made));
        id
    }

    /// One column of what the database says.
    pub(crate) fn number(&self, sql: &str) -> u64 {
        self.fresh.database.psql(sql).parse().unwrap()
    }

    /// A third node, which waits for no lock for long.
    pub(crate) async fn impatient(&self) -> PostgresStore {
        let mut options = options(self.fresh.database.url());
        options.lock_time_max = Duration::from_millis(300);
        connect(options).await.unwrap()
    }

    /// A node that waits long for locks, and for some seconds before it has the server look whether that is in vain.
    pub(crate) async fn patient(&self) -> PostgresStore {
        let patience = "?options=-c%20deadlock_timeout%3D5s%20-c%20lock_timeout%3D60s";
        connect(options(format!("{}{patience}", self.fresh.database.url()))).await.unwrap()
    }

    /// A session of its own, which does what no store does.
    pub(crate) async fn session(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.fresh.database.url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

/// An event that is not stored yet.
pub(crate) fn event_of(account: AccountId, id: EventId) -> Event {
    let draft = EventDraft {
        name: EventName::parse("order.created").unwrap(),
        resource: Resource {
            id: "ord_1".to_owned(),
            resource_type: "order".to_owned(),
        },
        data: "{}",
    };
    Event::new(account, id, draft, START)
}

/// A webhook that is not stored yet.
pub(crate) fn webhook_of(account: AccountId, id: WebhookId) -> Webhook {
    Webhook {
        id,
        account,
        url: WebhookUrl::parse("https://hooks.example.com/a", &UrlPolicy::default()).unwrap(),
        description: None,
        is_active: true,
        event_names: Vec::new(),
        secrets: Vec::new(),
        health: Health::Unproven,
        created_at: START,
        modified_at: START,
    }
}

/// A job that is not stored yet.
pub(crate) fn new_job(account: AccountId, webhook: WebhookId) -> Job {
    Job {
        id: JobId::new(START, bits()),
        account,
        kind: JobKind::Recover,
        webhook: Some(webhook),
        status: JobStatus::Running,
        done: 0,
        total: None,
        error: None,
        ended_at: None,
        created_at: at(100),
        modified_at: at(100),
    }
}

/// Steps a job until it has ended.
pub(crate) async fn step_to_end(store: &PostgresStore, job: JobId) {
    for _ in 0..10_000 {
        if step(store, job).await == JobNext::Ended {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the job has no end");
}

pub(crate) async fn step(store: &PostgresStore, job: JobId) -> JobNext {
    let fresh = (0..STEP_ROWS).map(|_| DeliveryId::new(at(200), bits())).collect();
    let step = JobStep {
        job,
        rows_max: STEP_ROWS,
        fresh,
        now: at(200),
    };
    store.step_job(step).await.unwrap().next
}
