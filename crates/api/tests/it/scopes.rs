//! Scopes, for every route of the table.

use http::Method;
use postrider_api::{RouteLine, routes};
use postrider_model::key::Scope;
use serde_json::{Value, json};

use crate::app::{Account, App, OPERATOR};
use crate::things::Things;

/// The route's path with ids that nothing has.
fn path(route: &RouteLine, account: &Account) -> String {
    let id = if route.path.starts_with("/accounts") {
        account.id.as_str()
    } else {
        "none"
    };
    route.path.replace("{id}", id).replace("{key}", "none")
}

async fn ask(app: &App, route: &RouteLine, account: &Account, token: &str) -> crate::app::Reply {
    let ask = app.ask(route.method.clone(), &path(route, account)).token(token);
    let ask = if token.starts_with("ptrop_") {
        ask.header("account-id", &account.id)
    } else {
        ask
    };
    if route.method == Method::POST || route.method == Method::PUT {
        ask.text("[]").send().await
    } else {
        ask.send().await
    }
}

/// A key of each kind that has every scope but this.
async fn keys_without(app: &App, account: &Account, scope: Scope) -> Vec<String> {
    let others = |of_operator: bool| {
        let kind = Scope::ALL.into_iter().filter(|other| of_operator || *other != Scope::AccountsAdmin);
        kind.filter(|other| *other != scope).map(Scope::as_str).collect::<Vec<_>>()
    };
    let of_account = format!("/accounts/{}/keys", account.id);
    vec![
        app.key(&of_account, &json!({"name": "k", "scopes": others(false)})).await,
        app.key("/keys", &json!({"name": "k", "scopes": others(true)})).await,
    ]
}

#[tokio::test]
async fn each_route_is_closed_to_keys_without_its_scope_and_open_to_one_with_nothing_else() {
    let app = App::new().await;
    let account = app.account().await;
    let of_account = format!("/accounts/{}/keys", account.id);
    for route in routes().filter(|route| route.needs_token) {
        let Some(scope) = route.scope else { continue };
        for token in keys_without(&app, &account, scope).await {
            let reply = ask(&app, &route, &account, &token).await;
            assert_eq!(reply.code(403), "insufficient_scope", "{route:?}");
            assert_eq!(reply.json()["context"]["missing_scope"], scope.as_str());
        }
        let owner = if scope == Scope::AccountsAdmin { "/keys" } else { &of_account };
        let only = app.key(owner, &json!({"name": "k", "scopes": [scope.as_str()]})).await;
        // Deleting the account would take the ground from under the rest.
        if (route.method.clone(), route.path) != (Method::DELETE, "/accounts/{id}") {
            let status = ask(&app, &route, &account, &only).await.status.as_u16();
            assert!([200, 400, 404].contains(&status), "{route:?}: {status}");
        }
    }
}

#[tokio::test]
async fn each_route_with_a_token_refuses_those_without() {
    let app = App::new().await;
    let account = app.account().await;
    for route in routes() {
        let reply = app.ask(route.method.clone(), &path(&route, &account)).send().await;
        assert_eq!(reply.status.as_u16() == 401, route.needs_token, "{route:?}");
    }
}

#[tokio::test]
async fn objects_of_another_account_are_404_on_every_route() {
    let app = App::new().await;
    let (things, other) = (Things::new(&app).await, app.account().await);
    // The job is under way until it waits for time.
    app.settle().await;
    let before = snapshot(&app, &things.account).await;
    let of_account = |route: &RouteLine| !route.args.is_empty() && route.scope.is_some_and(|scope| scope != Scope::AccountsAdmin);
    let mut seen = 0;
    for route in routes().filter(of_account) {
        let ask = app.ask(route.method.clone(), &things.path(&route)).token(&other.token);
        let reply = match &route.body {
            Some(body) => ask.json(body).send().await,
            None => ask.send().await,
        };
        assert!(reply.code(404).ends_with("_not_found"), "{route:?}");
        seen += 1;
    }
    assert!(seen >= 9, "only {seen} routes were tried");
    assert_eq!(snapshot(&app, &things.account).await, before);
    assert_eq!(app.get(&other.token, "/deliveries").await.expect(200), json!([]));
    assert_eq!(app.get(&other.token, "/webhooks").await.expect(200), json!([]));
}

/// All that lists show of an account.
async fn snapshot(app: &App, account: &Account) -> Vec<Value> {
    let mut lists = Vec::new();
    for route in routes().filter(|route| route.method == Method::GET && route.args.is_empty()) {
        if route.scope.is_some_and(|scope| scope != Scope::AccountsAdmin) {
            lists.push(app.get(&account.token, route.path).await.expect(200));
        }
    }
    lists
}

#[tokio::test]
async fn an_account_key_never_administers() {
    let app = App::new().await;
    let account = app.account().await;
    for path in ["/accounts", "/keys"] {
        assert_eq!(app.get(&account.token, path).await.code(403), "insufficient_scope");
    }
    let draft = json!({"name": "k", "scopes": ["accounts:admin"]});
    let reply = app.post(OPERATOR, &format!("/accounts/{}/keys", account.id), &draft).await;
    assert_eq!(reply.params(), crate::app::named(&[("body.scopes[0]", "scope_not_allowed")]));
}
