//! Pages of lists: walked by their links, without a miss or a repeat.

use postrider_api::ApiOptions;
use serde_json::Value;

use crate::app::{Account, App, OPERATOR, Reply, named};

/// The path in the `Link` of a page.
fn next(reply: &Reply) -> Option<String> {
    let link = reply.headers.get("link")?.to_str().unwrap();
    let (path, rel) = link.strip_prefix('<').unwrap().split_once('>').unwrap();
    assert_eq!(rel, "; rel=\"next\"");
    Some(path.to_owned())
}

fn ids(reply: &Reply) -> Vec<String> {
    let rows = reply.expect(200);
    let id = |row: &Value| row["id"].as_str().unwrap().to_owned();
    rows.as_array().unwrap().iter().map(id).collect()
}

async fn with_webhooks(app: &App, count: usize) -> (Account, Vec<String>) {
    let account = app.account().await;
    let mut made = Vec::new();
    for _ in 0..count {
        made.push(app.webhook(&account).await);
    }
    made.reverse();
    (account, made)
}

#[tokio::test]
async fn all_pages_together_are_the_list_newest_first() {
    let app = App::new().await;
    let (account, made) = with_webhooks(&app, 7).await;
    let mut seen = Vec::new();
    let mut path = Some("/webhooks?limit=3".to_owned());
    while let Some(asked) = path {
        let reply = app.get(&account.token, &asked).await;
        seen.extend(ids(&reply));
        path = next(&reply);
        // What is added meanwhile is not seen, and moves nothing.
        app.webhook(&account).await;
    }
    assert_eq!(seen, made);
}

#[tokio::test]
async fn a_link_keeps_the_other_parameters_and_begins_with_the_public_url() {
    let options = ApiOptions {
        public_url: Some("https://hooks.example.com/".to_owned()),
        ..ApiOptions::default()
    };
    let app = App::with(options, |_| {}).await;
    let (account, _) = with_webhooks(&app, 1).await;
    for _ in 0..3 {
        app.post(&account.token, "/events", &crate::app::event("a")).await.expect(201);
    }
    let first = app
        .get(&account.token, "/deliveries?name=a&limit=1&created%5Bgt%5D=2020-01-01T00:00:00Z")
        .await;
    let link = next(&first).unwrap();
    let prefix = "https://hooks.example.com/deliveries?name=a&limit=1&created%5Bgt%5D=2020-01-01T00:00:00Z&cursor=";
    assert!(link.starts_with(prefix), "{link}");
    let second = app
        .get(&account.token, link.strip_prefix("https://hooks.example.com").unwrap())
        .await;
    assert_ne!(ids(&first), ids(&second));
    assert_eq!(next(&second).unwrap().matches("cursor=").count(), 1);
}

#[tokio::test]
async fn the_last_page_has_no_link() {
    let app = App::new().await;
    let (account, _) = with_webhooks(&app, 2).await;
    assert_eq!(next(&app.get(&account.token, "/webhooks?limit=2").await), None);
    assert!(next(&app.get(&account.token, "/webhooks?limit=1").await).is_some());
}

#[tokio::test]
async fn a_foreign_or_damaged_cursor_is_refused() {
    let app = App::new().await;
    let (account, made) = with_webhooks(&app, 3).await;
    let (other, _) = with_webhooks(&app, 3).await;
    let link = next(&app.get(&account.token, "/webhooks?limit=1").await).unwrap();
    let cursor = link.split_once("cursor=").unwrap().1.to_owned();
    let refused = named(&[("query.cursor", "invalid_cursor")]);
    let flipped: String = cursor.chars().map(|letter| if letter == 'A' { 'B' } else { letter }).collect();
    for damaged in ["", "x", "%00", &flipped, &cursor[1..], &format!("{cursor}AAAA"), &"A".repeat(1_000)] {
        let reply = app.get(&account.token, &format!("/webhooks?cursor={damaged}")).await;
        assert_eq!(reply.params(), refused, "{damaged}");
    }
    let foreign = [
        (&account.token, "/deliveries".to_owned()),
        (&account.token, format!("/webhooks/{}/deliveries", made[0])),
        (&other.token, "/webhooks".to_owned()),
    ];
    for (token, path) in foreign {
        let reply = app.get(token, &format!("{path}?cursor={cursor}")).await;
        assert_eq!(reply.params(), refused, "{path}");
    }
    let reply = app.get(OPERATOR, &format!("/accounts?cursor={cursor}")).await;
    assert_eq!(reply.params(), refused);
    app.get(&account.token, &format!("/webhooks?cursor={cursor}")).await.expect(200);
}

#[tokio::test]
async fn parameters_of_lists_are_checked_together() {
    let app = App::new().await;
    let account = app.account().await;
    for limit in ["0", "201", "-1", "1.5", "many", ""] {
        let reply = app.get(&account.token, &format!("/webhooks?limit={limit}")).await;
        assert_eq!(reply.params(), named(&[("query.limit", "out_of_range")]), "{limit}");
    }
    app.get(&account.token, "/webhooks?limit=200&").await.expect(200);
    let reply = app
        .get(&account.token, "/webhooks?limit=1&limit=2&cursor=x&page=2&%FF=1&a%20b=%FF")
        .await;
    let faults = [
        ("query.%FF", "invalid_encoding"),
        ("query.a%20b", "invalid_encoding"),
        ("query.limit", "duplicate_parameter"),
        ("query.cursor", "invalid_cursor"),
        ("query.page", "unknown_parameter"),
    ];
    assert_eq!(reply.params(), named(&faults));
    let many: String = (0..1_000).map(|index| format!("p{index}=1&")).collect();
    let params = app.get(&account.token, &format!("/webhooks?{many}")).await.params();
    assert_eq!((params.len(), params[0].1.as_str()), (65, "too_many_parameters"));
}

#[tokio::test]
async fn accounts_and_keys_are_paged_too() {
    let app = App::new().await;
    let (one, two) = (app.account().await, app.account().await);
    let first = app.get(OPERATOR, "/accounts?limit=1").await;
    let second = app.get(OPERATOR, &next(&first).unwrap()).await;
    assert_eq!((ids(&first), ids(&second)), (vec![two.id.clone()], vec![one.id.clone()]));
    let keys = format!("/accounts/{}/keys", one.id);
    app.key(&keys, &serde_json::json!({"name": "second"})).await;
    let first = app.get(OPERATOR, &format!("{keys}?limit=1")).await;
    let link = next(&first).unwrap();
    assert_ne!(ids(&first), ids(&app.get(OPERATOR, &link).await));
    let foreign = link.replace(&one.id, &two.id);
    assert_eq!(
        app.get(OPERATOR, &foreign).await.params(),
        named(&[("query.cursor", "invalid_cursor")])
    );
}
