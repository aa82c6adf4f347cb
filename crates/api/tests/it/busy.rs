//! A server that stops, and an account that is changed faster than its events can be stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use postrider_model::account::AccountChange;
use postrider_ports::Clock as _;
use serde_json::json;

use crate::app::{App, event};

#[tokio::test]
async fn a_server_that_stops_takes_no_events_and_says_when_to_come_again() {
    let app = App::new().await;
    let account = app.account().await;
    app.post(&account.token, "/events", &event("a")).await.expect(201);
    app.engine.shutdown(Duration::ZERO).await;
    app.settle().await;
    let reply = app.post(&account.token, "/events", &event("a")).await;
    assert_eq!((reply.code(503).as_str(), reply.header("retry-after")), ("stopping", "1"));
}

#[tokio::test]
async fn an_account_that_is_changed_all_the_time_is_an_overload_and_stores_nothing() {
    let app = App::new().await;
    let account = app.account().await;
    let id = account.id.parse().unwrap();
    app.get(&account.token, "/me").await.expect(200);
    let (store, clock) = (app.store.unwatched(), app.clock.clone());
    let changes = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&changes);
    app.store.before("commit_events", move || {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        let (store, now) = (Arc::clone(&store), clock.wall());
        async move {
            let change = AccountChange {
                name: Some(format!("Shop {number}")),
                ..AccountChange::default()
            };
            store.change_account(id, change, now).await.unwrap();
        }
    });
    let event = event("a");
    let reply = app.post(&account.token, "/events", &event).await;
    assert_eq!((reply.code(503).as_str(), reply.header("retry-after")), ("overloaded", "1"));
    assert!(changes.load(Ordering::Relaxed) > 1, "it was tried only once");
    app.store.before_nothing();
    assert_eq!(app.get(&account.token, "/events").await.expect(200), json!([]));
    app.post(&account.token, "/events", &event).await.expect(201);
}
