//! `GET /events`: pages in both orders.

use serde_json::{Value, json};

use crate::app::{Account, App, event, named};

async fn post(app: &App, account: &Account, name: &str) -> String {
    let event = app.post(&account.token, "/events", &event(name)).await.expect(201);
    event["id"].as_str().unwrap().to_owned()
}

fn ids(page: &Value) -> Vec<String> {
    let events = page.as_array().unwrap().iter();
    events.map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

/// Where `Link` says that the list goes on.
fn next(link: &str) -> Option<String> {
    let (path, _) = link.strip_prefix('<')?.split_once('>')?;
    Some(path.to_owned())
}

#[tokio::test]
async fn the_newest_come_first_in_pages_that_end() {
    let app = App::new().await;
    let account = app.account().await;
    let mut posted = Vec::new();
    for _ in 0..5 {
        posted.push(post(&app, &account, "order.filled").await);
    }
    posted.reverse();
    let first = app.get(&account.token, "/events?limit=3").await;
    assert_eq!(ids(&first.expect(200)), posted[..3]);
    post(&app, &account, "order.filled").await;
    let second = app.get(&account.token, &next(first.header("link")).unwrap()).await;
    assert_eq!(ids(&second.expect(200)), posted[3..]);
    assert_eq!(second.header("link"), "");
}

#[tokio::test]
async fn a_poller_misses_nothing() {
    let app = App::new().await;
    let account = app.account().await;
    let (mut posted, mut seen) = (Vec::new(), Vec::new());
    let mut path = "/events?order=asc&limit=2&name=order.*".to_owned();
    for round in 0..12 {
        if round % 2 == 0 {
            posted.push(post(&app, &account, "order.filled").await);
            post(&app, &account, "user.made").await;
        }
        let page = app.get(&account.token, &path).await;
        seen.extend(ids(&page.expect(200)));
        path = next(page.header("link")).expect("a next always comes");
    }
    assert_eq!(seen, posted);
}

#[tokio::test]
async fn a_cursor_of_one_order_is_none_of_the_other() {
    let app = App::new().await;
    let account = app.account().await;
    post(&app, &account, "order.filled").await;
    let page = app.get(&account.token, "/events?order=asc").await;
    let path = next(page.header("link")).unwrap().replace("order=asc&", "");
    assert_eq!(
        app.get(&account.token, &path).await.params(),
        named(&[("query.cursor", "invalid_cursor")])
    );
    let wrong = app.get(&account.token, "/events?order=up&limit=0&nope=1").await;
    let wrong = wrong.params();
    assert_eq!(
        wrong,
        named(&[
            ("query.order", "unknown_value"),
            ("query.limit", "out_of_range"),
            ("query.nope", "unknown_parameter")
        ])
    );
}

#[tokio::test]
async fn filters_hold_together_and_data_stays_as_it_was_written() {
    let app = App::new().await;
    let account = app.account().await;
    let draft = r#"{"name":"user.made","resource":{"id":"u1","resource_type":"user"},"data":{"b":1.500,"a":12345678901234567890123}}"#;
    let made = app
        .ask(http::Method::POST, "/events")
        .token(&account.token)
        .text(draft)
        .send()
        .await;
    post(&app, &account, "user.made").await;
    let path = "/events?resource%5Btype%5D=user&resource%5Bid%5D=u1&name=user.*&created%5Bgte%5D=2026-01-15T10:30:00Z";
    let page = app.get(&account.token, path).await;
    assert_eq!(page.expect(200), json!([made.expect(201)]));
    assert!(String::from_utf8_lossy(&page.body).contains(r#""data":{"b":1.500,"a":12345678901234567890123}"#));
    let none = app.get(&account.token, "/events?created%5Blt%5D=2026-01-15T10:30:00Z").await;
    assert_eq!(none.expect(200), json!([]));
}
