//! Nodes: what is told of them, and those that only send.

use http::Method;
use postrider_api::{ApiOptions, routes};
use postrider_ports::nodes::Roles;

use crate::app::{App, OPERATOR, event};

async fn of_duty(api: bool, dispatch: bool) -> App {
    App::with(ApiOptions::default(), |settings| {
        settings.node.name = "web-1".to_owned();
        settings.node.roles = Roles { api, dispatch };
    })
    .await
}

#[tokio::test]
async fn a_node_alone_owns_every_slot_and_says_what_it_has_to_do() {
    let app = of_duty(true, true).await;
    let account = app.account().await;
    app.webhook(&account).await;
    app.post(&account.token, "/events", &event("a")).await.expect(201);
    let nodes = app.get(OPERATOR, "/nodes").await.expect(200);
    let [node] = nodes.as_array().unwrap().as_slice() else {
        panic!("it is alone: {nodes}")
    };
    assert_eq!(node["name"], "web-1");
    assert_eq!(node["roles"], serde_json::json!(["api", "dispatch"]));
    assert_eq!((&node["is_this"], &node["status"]), (&true.into(), &"alive".into()));
    assert_eq!(node["slots"], 1_024);
    // The receiver hangs.
    assert_eq!(node["lag"]["in_flight"], 1);
    let again = app.get(OPERATOR, "/nodes").await.expect(200);
    assert_eq!(again[0]["id"], node["id"], "one run has one id");
    let metrics = app.get(OPERATOR, "/metrics").await;
    let metrics = std::str::from_utf8(&metrics.body).unwrap();
    assert!(metrics.contains("\npostrider_slots_owned 1024\n") && metrics.contains("\npostrider_slot_owners 1\n"));
    assert!(!metrics.contains("\npostrider_lease_seconds "), "a node alone has no lease");
    assert_eq!(app.get(&account.token, "/nodes").await.code(403), "insufficient_scope");
}

#[tokio::test]
async fn a_node_that_only_sends_answers_what_is_asked_of_it_alone() {
    let app = of_duty(false, true).await;
    for path in ["/healthz", "/readyz", "/nodes"] {
        app.get(OPERATOR, path).await.expect(200);
    }
    assert_eq!(app.get(OPERATOR, "/metrics").await.status, 200);
    let here = ["/healthz", "/readyz", "/nodes", "/metrics"];
    for route in routes().filter(|route| !here.contains(&route.path)) {
        let path = route.path.replace("{id}", "x").replace("{key}", "x");
        let reply = app.ask(route.method.clone(), &path).token(OPERATOR).send().await;
        assert_eq!(reply.code(503), "dispatch_only", "{route:?}");
        assert!(!reply.header("retry-after").is_empty(), "{route:?}");
    }
    assert_eq!(app.ask(Method::GET, "/nowhere").send().await.code(404), "route_not_found");
}

#[tokio::test]
async fn a_node_that_only_takes_in_answers_everything() {
    let app = of_duty(true, false).await;
    let account = app.account().await;
    app.post(&account.token, "/events", &event("a")).await.expect(201);
    let nodes = app.get(OPERATOR, "/nodes").await.expect(200);
    assert_eq!(nodes[0]["roles"], serde_json::json!(["api"]));
}
