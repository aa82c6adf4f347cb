//! The faults of the in-memory store. What it must do as a store is the conformance suite's to say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use futures_util::FutureExt as _;
use postrider_model::account::{Account, AccountRef};
use postrider_model::delivery::{Change, Status};
use postrider_model::event::{Event, EventDraft, Resource};
use postrider_model::health::Health;
use postrider_model::id::{AccountId, DeliveryId, EventId, WebhookId};
use postrider_model::name::EventName;
use postrider_model::time::Timestamp;
use postrider_model::url::WebhookUrl;
use postrider_model::webhook::Webhook;
use postrider_ports::store::{DueAsk, NewEvent, OutcomeRecord, Recorded, StoredEvent, Submission, Submitted};
use postrider_ports::{Registry as _, Store as _, StoreError};
use postrider_testkit::memory_store::MemoryStore;

const ACCOUNT: AccountId = AccountId::from_u128(1);
const WEBHOOK: WebhookId = WebhookId::from_u128(2);
const DELIVERY: DeliveryId = DeliveryId::from_u128(3);
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn account() -> Account {
    Account {
        id: ACCOUNT,
        external_id: None,
        name: "Shop".to_owned(),
        is_active: true,
        created_at: NOW,
        modified_at: NOW,
    }
}

fn webhook() -> Webhook {
    Webhook {
        id: WEBHOOK,
        account: ACCOUNT,
        url: WebhookUrl::from_stored("https://receiver.example.com/").unwrap(),
        description: None,
        is_active: true,
        event_names: Vec::new(),
        secrets: Vec::new(),
        health: Health::Unproven,
        created_at: NOW,
        modified_at: NOW,
    }
}

async fn submission(store: &MemoryStore) -> Submission {
    let draft = EventDraft {
        name: EventName::parse("order.filled").unwrap(),
        resource: Resource {
            id: "1".to_owned(),
            resource_type: "order".to_owned(),
        },
        data: "{}",
    };
    let snapshot = store.account_snapshot(ACCOUNT).await.unwrap().unwrap();
    Submission {
        account: ACCOUNT,
        version: snapshot.version,
        events: vec![NewEvent {
            event: Arc::new(Event::new(ACCOUNT, EventId::own("first").unwrap(), draft, NOW)),
            deliveries: vec![(DELIVERY, WEBHOOK)],
        }],
        keep: None,
    }
}

async fn store() -> MemoryStore {
    let store = MemoryStore::new();
    store.create_account(account()).await.unwrap();
    store.create_webhook(webhook(), 10).await.unwrap();
    store
}

async fn is_stored(store: &MemoryStore) -> bool {
    store.delivery(ACCOUNT, DELIVERY).await.unwrap().is_some()
}

#[tokio::test]
async fn a_refused_write_keeps_nothing() {
    let store = store().await;
    let submission = submission(&store).await;
    store.refuse_writes(2);
    for _ in 0..2 {
        let answer = store.commit_events(vec![submission.clone()]).await;
        assert!(matches!(answer, Err(StoreError::Unavailable { .. })));
        assert!(!is_stored(&store).await);
    }
    assert!(store.commit_events(vec![submission]).await.is_ok());
    assert!(is_stored(&store).await);
}

#[tokio::test]
async fn a_lost_answer_is_kept_all_the_same() {
    let store = store().await;
    let submission = submission(&store).await;
    store.lose_answers(1);
    let answer = store.commit_events(vec![submission.clone()]).await;
    assert!(matches!(answer, Err(StoreError::Unknown { .. })));
    assert!(is_stored(&store).await);
    let again = store.commit_events(vec![submission]).await.unwrap();
    assert!(matches!(&again[..], [Submitted::Stored(events)] if matches!(events[..], [StoredEvent::Repeated(_)])));
}

#[tokio::test]
async fn a_refused_read_is_refused_once() {
    let store = store().await;
    store.refuse_reads(1);
    assert!(store.account(AccountRef::Id(ACCOUNT)).await.is_err());
    assert!(store.account(AccountRef::Id(ACCOUNT)).await.is_ok());
}

#[tokio::test]
async fn a_frozen_store_answers_when_it_thaws() {
    let store = store().await;
    store.freeze();
    let mut check = Box::pin(store.check());
    for _ in 0..10 {
        assert!(check.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    store.thaw();
    assert_eq!(check.await, Ok(()));
}

#[tokio::test]
async fn what_was_scripted_can_be_forgotten() {
    let store = store().await;
    store.refuse_writes(100);
    store.freeze();
    store.heal();
    assert_eq!(store.check().await, Ok(()));
}

#[tokio::test]
async fn it_keeps_what_it_holds_when_its_users_go() {
    let store = Arc::new(store().await);
    {
        let engine = Arc::clone(&store);
        engine.commit_events(vec![submission(&engine).await]).await.unwrap();
    }
    let ask = DueAsk {
        account: ACCOUNT,
        webhook: WEBHOOK,
        rows_max: 10,
        bytes_max: 1_000,
        known: Vec::new(),
        tests_only: false,
    };
    let due = store.fetch_due(vec![ask.clone()], NOW).await.unwrap();
    assert_eq!(due[0].rows[0].delivery, DELIVERY);
    let outcome = OutcomeRecord {
        account: ACCOUNT,
        delivery: DELIVERY,
        change: Change::Succeeded { number: 1 },
        attempt: None,
        at: NOW,
    };
    let recorded = store.record_outcomes(vec![outcome.clone(), outcome]).await.unwrap();
    assert_eq!(recorded, [Recorded::Applied, Recorded::Superseded]);
    assert!(store.fetch_due(vec![ask], NOW).await.unwrap()[0].rows.is_empty());
    assert!(
        store
            .waiting(postrider_ports::store::WaitingAsk::first(10))
            .await
            .unwrap()
            .is_empty()
    );
    let record = store.delivery(ACCOUNT, DELIVERY).await.unwrap().unwrap();
    assert_eq!(record.delivery.status, Status::Succeeded { at: NOW });
}
