//! A server that stops, and an account that is changed faster than its events can be stored.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
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
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let reply = app.post(&account.token, "/events", &event("a")).await;
    assert_eq!((reply.code(503).as_str(), reply.header("retry-after")), ("stopping", "1"));
}

#[tokio::test]
async fn an_account_that_is_changed_all_the_time_is_an_overload_and_stores_nothing() {
    let app = App::new().await;
    let account = app.account().await;
    let id = account.id.parse().unwrap();
    app.get(&account.token, "/me").await.expect(200);
    let changes = async {
        for number in 0.. {
            let change = AccountChange {
                name: Some(format!("Shop {number}")),
                ..AccountChange::default()
            };
            app.store.change_account(id, change, app.clock.wall()).await.unwrap();
        }
    };
    let event = event("a");
    let reply = match select(pin!(app.post(&account.token, "/events", &event)), pin!(changes)).await {
        Either::Left((reply, _)) => reply,
        Either::Right(_) => panic!("the changes ended"),
    };
    assert_eq!((reply.code(503).as_str(), reply.header("retry-after")), ("overloaded", "1"));
    assert_eq!(app.get(&account.token, "/events").await.expect(200), json!([]));
    app.post(&account.token, "/events", &event).await.expect(201);
}
