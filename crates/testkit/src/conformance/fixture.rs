//! What the promises are tried with.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use postrider_model::account::Account;
use postrider_model::attempt::{Attempt, AttemptError, ErrorKind, Response};
use postrider_model::delivery::{Change, Delivery, DeliveryRecord, Progress, Status};
use postrider_model::event::{Event, EventDraft, Resource};
use postrider_model::health::Health;
use postrider_model::id::{AccountId, AttemptId, DeliveryId, EventId, WebhookId};
use postrider_model::name::EventName;
use postrider_model::secret::{SigningSecret, WebhookSecret};
use postrider_model::time::Timestamp;
use postrider_model::url::{UrlPolicy, WebhookUrl};
use postrider_model::webhook::{Webhook, WebhookChange};
use postrider_ports::Store;
use postrider_ports::page::PageAsk;
use postrider_ports::registry::{AccountMade, AccountVersion, WebhookEdit, WebhookMade};
use postrider_ports::store::{DeliveryFilter, DueAnswer, DueAsk, NewEvent, OutcomeRecord, Recorded, StoredEvent, Submission, Submitted};

/// When the story of each promise begins.
pub(super) const START: Timestamp = Timestamp::from_millis(1_760_000_000_000);

/// So many seconds after the beginning.
pub(super) fn at(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

/// Bits that never come twice, spread over the whole number.
pub(super) fn bits() -> u128 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    u128::from(NEXT.fetch_add(1, Ordering::Relaxed)).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

/// A page of so many rows behind a place.
pub(super) const fn page(limit: usize, after: Option<postrider_model::queue::Position>) -> PageAsk {
    PageAsk { limit, after }
}

/// An account that is not stored yet.
pub(super) fn new_account(external_id: Option<&str>) -> Account {
    Account {
        id: AccountId::new(START, bits()),
        external_id: external_id.map(str::to_owned),
        name: "Acme".to_owned(),
        is_active: true,
        created_at: START,
        modified_at: START,
    }
}

/// An account of the store.
pub(super) async fn account(store: &dyn Store) -> AccountId {
    let account = new_account(None);
    let id = account.id;
    assert_eq!(store.create_account(account).await, Ok(AccountMade::Made));
    id
}

/// The version that an account has now.
pub(super) async fn version(store: &dyn Store, account: AccountId) -> AccountVersion {
    store
        .account_snapshot(account)
        .await
        .unwrap()
        .expect("the account is there")
        .version
}

/// A webhook that is not stored yet.
pub(super) fn new_webhook(account: AccountId) -> Webhook {
    let id = WebhookId::new(START, bits());
    Webhook {
        id,
        account,
        url: WebhookUrl::parse("https://hooks.example.com/a?b=c", &UrlPolicy::default()).unwrap(),
        description: Some("the first".to_owned()),
        is_active: true,
        event_names: Vec::new(),
        secrets: vec![WebhookSecret {
            secret: SigningSecret::from_bytes(&id.as_u128().to_be_bytes().repeat(2)).unwrap(),
            expires_at: None,
        }],
        health: Health::Unproven,
        created_at: START,
        modified_at: START,
    }
}

/// A webhook of the store.
pub(super) async fn webhook(store: &dyn Store, account: AccountId) -> WebhookId {
    let webhook = new_webhook(account);
    let id = webhook.id;
    assert_eq!(store.create_webhook(webhook, 1_000).await, Ok(WebhookMade::Made));
    id
}

/// An account with a webhook.
pub(super) async fn sender(store: &dyn Store) -> (AccountId, WebhookId) {
    let account = account(store).await;
    (account, webhook(store, account).await)
}

/// An event with an id of ours.
pub(super) fn event(account: AccountId, created_at: Timestamp) -> Arc<Event> {
    event_like(
        account,
        EventId::new(created_at, bits()),
        ("order.created", "ord_1", "{\"n\":1}"),
        created_at,
    )
}

/// An event with a caller's own id.
pub(super) fn own_event(account: AccountId, id: &str, data: &str) -> Arc<Event> {
    event_like(account, EventId::own(id).unwrap(), ("order.created", "ord_1", data), START)
}

/// An event of this name, resource and data.
pub(super) fn event_like(account: AccountId, id: EventId, (name, resource, data): (&str, &str, &str), created_at: Timestamp) -> Arc<Event> {
    let draft = EventDraft {
        name: EventName::parse(name).unwrap(),
        resource: Resource {
            id: resource.to_owned(),
            resource_type: "order".to_owned(),
        },
        data,
    };
    Arc::new(Event::new(account, id, draft, created_at))
}

/// An event to be stored, with a delivery for each webhook.
pub(super) fn to(event: &Arc<Event>, webhooks: &[WebhookId]) -> NewEvent {
    NewEvent {
        event: Arc::clone(event),
        deliveries: webhooks
            .iter()
            .map(|webhook| (DeliveryId::new(event.created_at, bits()), *webhook))
            .collect(),
    }
}

/// A request of these events, fanned out with the account's version of now.
pub(super) async fn submission(store: &dyn Store, account: AccountId, events: Vec<NewEvent>) -> Submission {
    Submission {
        account,
        version: version(store, account).await,
        events,
        keep: None,
    }
}

/// Commits one request.
pub(super) async fn commit(store: &dyn Store, account: AccountId, events: Vec<NewEvent>) -> Submitted {
    let submission = submission(store, account, events).await;
    let mut answers = store.commit_events(vec![submission]).await.unwrap();
    assert_eq!(answers.len(), 1, "one answer for one request");
    answers.remove(0)
}

/// Commits one request that is stored.
pub(super) async fn stored(store: &dyn Store, account: AccountId, events: Vec<NewEvent>) -> Vec<StoredEvent> {
    match commit(store, account, events).await {
        Submitted::Stored(stored) => stored,
        other => panic!("not stored: {other:?}"),
    }
}

/// Stores an event with one delivery to a webhook.
pub(super) async fn deliver(store: &dyn Store, account: AccountId, webhook: WebhookId, created_at: Timestamp) -> (Arc<Event>, DeliveryId) {
    let event = event(account, created_at);
    let new = to(&event, &[webhook]);
    let delivery = new.deliveries[0].0;
    stored(store, account, vec![new]).await;
    (event, delivery)
}

/// A wish for all that is due.
pub(super) const fn ask(account: AccountId, webhook: WebhookId) -> DueAsk {
    DueAsk {
        account,
        webhook,
        rows_max: 1_000,
        bytes_max: 1 << 20,
        known: Vec::new(),
        tests_only: false,
    }
}

/// All that is due for a webhook.
pub(super) async fn due(store: &dyn Store, account: AccountId, webhook: WebhookId, now: Timestamp) -> DueAnswer {
    let mut answers = store.fetch_due(vec![ask(account, webhook)], now).await.unwrap();
    assert_eq!(answers.len(), 1, "one answer for one ask");
    answers.remove(0)
}

/// The ids of what is due for a webhook.
pub(super) async fn due_ids(store: &dyn Store, account: AccountId, webhook: WebhookId, now: Timestamp) -> Vec<DeliveryId> {
    due(store, account, webhook, now)
        .await
        .rows
        .iter()
        .map(|row| row.delivery)
        .collect()
}

/// A delivery that is there.
pub(super) async fn shown(store: &dyn Store, account: AccountId, delivery: DeliveryId) -> DeliveryRecord {
    store.delivery(account, delivery).await.unwrap().expect("the delivery is there")
}

/// An acknowledged attempt, as little as is kept of most.
pub(super) fn acknowledged(number: u32) -> Attempt {
    Attempt {
        id: AttemptId::new(START, bits()),
        number,
        url: Arc::from("https://hooks.example.com/a?b=c"),
        created_at: at(u64::from(number)),
        duration: Duration::from_millis(41),
        response: Some(Response {
            status: 204,
            duration: Duration::from_millis(40),
            headers: None,
            body: None,
            truncated: false,
        }),
        error: None,
    }
}

/// A refused attempt, with all that can be kept of one.
pub(super) fn refused(number: u32) -> Attempt {
    Attempt {
        response: Some(Response {
            status: 503,
            duration: Duration::from_millis(7),
            headers: Some(vec![
                ("retry-after".to_owned(), "5".to_owned()),
                ("x-empty".to_owned(), String::new()),
            ]),
            body: Some(Bytes::from_static(b"busy\0\xff")),
            truncated: true,
        }),
        error: Some(AttemptError {
            kind: ErrorKind::Http,
            message: "the receiver answered 503".to_owned(),
        }),
        ..acknowledged(number)
    }
}

/// Records one outcome.
pub(super) async fn record(
    store: &dyn Store,
    (account, delivery): (AccountId, DeliveryId),
    change: Change,
    attempt: Option<Attempt>,
    when: Timestamp,
) -> Recorded {
    let outcome = OutcomeRecord {
        account,
        delivery,
        change,
        attempt,
        at: when,
    };
    let answers = store.record_outcomes(vec![outcome]).await.unwrap();
    assert_eq!(answers.len(), 1, "one answer for one outcome");
    answers[0]
}

/// Has attempt `number` acknowledged.
pub(super) async fn succeed(store: &dyn Store, of: (AccountId, DeliveryId), number: u32, when: Timestamp) -> Recorded {
    record(store, of, Change::Succeeded { number }, Some(acknowledged(number)), when).await
}

/// Has attempt `number` fail.
pub(super) async fn fail(
    store: &dyn Store,
    of: (AccountId, DeliveryId),
    number: u32,
    when: Timestamp,
    next: Option<Timestamp>,
) -> Recorded {
    record(store, of, Change::AttemptFailed { number, next }, Some(refused(number)), when).await
}

/// All deliveries that a filter chooses, page by page.
pub(super) async fn listed(store: &dyn Store, account: AccountId, filter: &DeliveryFilter, limit: usize) -> Vec<DeliveryId> {
    let mut found = Vec::new();
    let mut after = None;
    for _ in 0..10_000 {
        let answer = store.list_deliveries(account, filter.clone(), page(limit, after)).await.unwrap();
        assert!(answer.rows.len() <= limit, "a page holds more than was asked for");
        found.extend(answer.rows.iter().map(|record| record.delivery.id));
        let Some(next) = answer.next else { return found };
        assert_ne!(Some(next), after, "a page leads to itself");
        after = Some(next);
    }
    panic!("the pages have no end");
}

/// A test delivery that is not stored yet.
pub(super) fn test_of(account: AccountId, webhook: WebhookId) -> Delivery {
    Delivery {
        id: DeliveryId::new(START, bits()),
        account,
        webhook,
        event: None,
        status: Status::Pending { due: START },
        progress: Progress::new(START),
        created_at: START,
        modified_at: START,
    }
}

/// Switches a webhook on or off.
pub(super) async fn switch(store: &dyn Store, account: AccountId, webhook: WebhookId, is_active: bool) {
    let change = WebhookChange {
        is_active: Some(is_active),
        ..WebhookChange::default()
    };
    store
        .edit_webhook(account, webhook, WebhookEdit::Change(change), at(1))
        .await
        .unwrap();
}

/// Ids for deliveries that a store makes.
pub(super) fn fresh_ids(now: Timestamp, count: usize) -> Vec<DeliveryId> {
    (0..count).map(|_| DeliveryId::new(now, bits())).collect()
}
