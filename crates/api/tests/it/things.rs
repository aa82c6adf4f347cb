//! One of each kind, for tests that walk over all routes.

use postrider_api::{PathArg, RouteLine};
use serde_json::json;

use crate::app::{Account, App, OPERATOR, event};

/// One of each kind, all of one account.
pub(crate) struct Things {
    pub(crate) account: Account,
    key: String,
    operator_key: String,
    webhook: String,
    event: String,
    delivery: String,
    job: String,
}

impl Things {
    pub(crate) async fn new(app: &App) -> Self {
        let account = app.account().await;
        let webhook = app.webhook(&account).await;
        let event = app.post(&account.token, "/events", &event("order.filled")).await.expect(201);
        let delivery = app.get(&account.token, "/deliveries").await.expect(200)[0]["id"].clone();
        let id = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let of_account = format!("/accounts/{}/keys", account.id);
        let key = app.post(OPERATOR, &of_account, &json!({"name": "k"})).await.expect(201);
        let operator_key = app.post(OPERATOR, "/keys", &json!({"name": "k"})).await.expect(201);
        let since = json!({"since": "2026-01-01T00:00:00Z"});
        let path = format!("/webhooks/{webhook}/recover");
        let job = app.post(&account.token, &path, &since).await.expect(202);
        Self {
            job: id(&job["id"]),
            key: id(&key["id"]),
            operator_key: id(&operator_key["id"]),
            event: id(&event["id"]),
            delivery: id(&delivery),
            account,
            webhook,
        }
    }

    /// The route's path with the ids of these.
    pub(crate) fn path(&self, route: &RouteLine) -> String {
        let mut args = route.args.iter();
        let segments = route.path.split('/').map(|segment| match segment {
            _ if !segment.starts_with('{') => segment,
            _ => match args.next().unwrap() {
                PathArg::Account => &self.account.id,
                PathArg::Key if route.path.starts_with("/accounts") => &self.key,
                PathArg::Key => &self.operator_key,
                PathArg::Webhook => &self.webhook,
                PathArg::Event => &self.event,
                PathArg::Delivery => &self.delivery,
                PathArg::Job => &self.job,
            },
        });
        segments.collect::<Vec<_>>().join("/")
    }
}
