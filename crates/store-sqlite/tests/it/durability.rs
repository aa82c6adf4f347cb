//! What was acknowledged is there again, and only that.

use crate::support::{Folder, Sender};
use postrider_model::limits::TRANSACTION_ROWS_MAX;
use postrider_ports::store::{DeliveryFilter, Recorded, StoredEvent, Submitted, WaitingAsk};
use postrider_ports::{PageAsk, Registry as _, Store as _, StoreError};
use postrider_store_sqlite::{OpenOptions, SqliteStore, Synchronous};

#[tokio::test]
async fn a_reopened_store_knows_everything() {
    let folder = Folder::new();
    let options = || OpenOptions {
        synchronous: Synchronous::Full,
        ..folder.options("postrider.db")
    };
    let store = SqliteStore::open(options()).unwrap();
    let sender = Sender::new(&store).await;
    let (event, ended) = sender.deliver(&store).await;
    let (_, waits) = sender.deliver(&store).await;
    let recorded = store.record_outcomes(vec![sender.acknowledged(ended)]).await;
    assert_eq!(recorded, Ok(vec![Recorded::Applied]));
    let before = store.delivery(sender.account, ended).await.unwrap();
    let secrets = store
        .webhook(sender.account, sender.webhook)
        .await
        .unwrap()
        .unwrap()
        .secrets
        .clone();
    drop(store);

    let store = SqliteStore::open(options()).unwrap();
    assert_eq!(store.event(sender.account, event.id.clone()).await, Ok(Some(event)));
    assert_eq!(store.delivery(sender.account, ended).await, Ok(before));
    assert_eq!(sender.due(&store).await, [waits]);
    assert_eq!(store.waiting(WaitingAsk::first(10)).await.unwrap().len(), 1);
    let again = store.webhook(sender.account, sender.webhook).await.unwrap().unwrap();
    assert_eq!(again.secrets, secrets);
}

#[tokio::test]
async fn positions_go_on_after_a_restart() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let position = async |store: &SqliteStore| match &store.commit_events(vec![sender.request(1, 1)]).await.unwrap()[0] {
        Submitted::Stored(stored) => match stored[0] {
            StoredEvent::New { position, .. } => position,
            StoredEvent::Repeated(_) => panic!("it is new"),
        },
        other => panic!("{other:?}"),
    };
    let first = position(&store).await;
    drop(store);
    let store = folder.open();
    assert!(position(&store).await > first);
    // Up to the end of a segment of the history, when nothing is left of what arrived.
    store.commit_events(vec![sender.request(1, 4_200)]).await.unwrap();
    let before = position(&store).await;
    drop(store);
    let store = folder.open();
    assert!(position(&store).await > before);
}

#[tokio::test]
async fn a_fan_out_under_way_goes_on_after_a_restart() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let request = sender.request(1, TRANSACTION_ROWS_MAX + 1);
    let mut expected: Vec<_> = request.events[0].deliveries.iter().map(|(id, _)| *id).collect();
    store.commit_events(vec![request]).await.unwrap();
    assert!(store.expand_fanouts(1_500).await.unwrap().more);
    drop(store);
    let store = folder.open();
    while store.expand_fanouts(1_500).await.unwrap().more {}
    let mut found = sender.due(&store).await;
    found.sort();
    expected.sort();
    assert!(found == expected, "each once");
}

#[tokio::test]
async fn a_full_disk_acknowledges_nothing_and_loses_nothing() {
    let folder = Folder::new();
    let store = SqliteStore::open(OpenOptions {
        file_bytes_max: Some(1 << 20),
        ..folder.options("postrider.db")
    })
    .unwrap();
    let sender = Sender::new(&store).await;
    let mut kept = Vec::new();
    let lost = loop {
        let request = sender.request(10_000, 1);
        let event = request.events[0].event.id.clone();
        match store.commit_events(vec![request]).await {
            Ok(answers) => {
                assert!(matches!(answers[..], [Submitted::Stored(_)]), "{answers:?}");
                kept.push(event);
            }
            Err(error) => {
                assert!(
                    matches!(&error, StoreError::Unavailable { reason, .. } if reason.contains("full")),
                    "{error:?}"
                );
                break event;
            }
        }
        assert!(kept.len() < 1_000, "the limit holds");
    };
    assert!(kept.len() > 10);
    assert_eq!(store.event(sender.account, lost.clone()).await, Ok(None));
    drop(store);

    let store = folder.open();
    for event in kept {
        assert!(store.event(sender.account, event).await.unwrap().is_some());
    }
    assert_eq!(store.event(sender.account, lost).await, Ok(None));
    sender.deliver(&store).await;
}

#[tokio::test]
async fn lists_are_whole_across_segments_and_restarts() {
    let folder = Folder::new();
    let store = folder.open();
    let sender = Sender::new(&store).await;
    let other = Sender::new(&store).await;
    let mut expected = Vec::new();
    for _ in 0..6 {
        let request = sender.request(1, 1_500);
        expected.extend(request.events[0].deliveries.iter().map(|(id, _)| *id));
        store.commit_events(vec![request, other.request(1, 100)]).await.unwrap();
    }
    drop(store);
    let store = folder.open();
    expected.reverse();
    for webhook in [None, Some(sender.webhook)] {
        let filter = DeliveryFilter {
            webhook,
            ..DeliveryFilter::default()
        };
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let ask = PageAsk { limit: 200, after };
            let page = store.list_deliveries(sender.account, filter.clone(), ask).await.unwrap();
            found.extend(page.rows.iter().map(|row| row.delivery.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(found == expected, "{} of {}", found.len(), expected.len());
    }
}
