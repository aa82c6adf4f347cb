//! What the server counts, and who may read it.

use std::collections::BTreeMap;

use http::Method;
use postrider_api::{ApiOptions, MetricsAccess};

use crate::app::{App, OPERATOR, Reply, event};

/// Every sample of an answer.
fn samples(reply: &Reply) -> BTreeMap<String, u64> {
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = std::str::from_utf8(&reply.body).unwrap();
    assert!(text.ends_with('\n'));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, number) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), number.parse().unwrap())
        })
        .collect()
}

async fn read(app: &App) -> BTreeMap<String, u64> {
    samples(&app.ask(Method::GET, "/metrics").send().await)
}

#[tokio::test]
async fn what_happens_is_counted() {
    let app = App::new().await;
    let account = app.account().await;
    app.webhook(&account).await;
    for _ in 0..3 {
        app.post(&account.token, "/events", &event("order.filled")).await.expect(201);
    }
    app.ask(Method::GET, "/nothing").send().await.expect(404);
    let metrics = read(&app).await;
    assert_eq!(metrics["postrider_events_accepted_total"], 3);
    assert_eq!(metrics["postrider_deliveries_created_total"], 3);
    assert_eq!(
        metrics["postrider_http_requests_total{method=\"POST\",route=\"/events\",status=\"2xx\"}"],
        3
    );
    assert_eq!(metrics["postrider_http_requests_total{method=\"\",route=\"\",status=\"4xx\"}"], 1);
    assert_eq!(metrics["postrider_start_time_seconds"], 1_768_473_000);
    // The receiver hangs: so many are under way as a new webhook may have.
    assert_eq!(metrics["postrider_attempts_in_flight"], 2);
    assert_eq!(metrics["postrider_lanes{state=\"busy\"}"], 1);
}

#[tokio::test]
async fn every_metric_says_what_it_is_and_stands_in_the_reference() {
    let app = App::new().await;
    let reply = app.ask(Method::GET, "/metrics").send().await;
    let text = std::str::from_utf8(&reply.body).unwrap();
    let [.., (_, page)] = postrider_api::reference();
    let mut known = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(page.contains(&format!("| `{name}` | {kind} | ")), "{name}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            known.push(name.to_owned());
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            assert_eq!(
                Some(name),
                known.last().map(String::as_str),
                "each sample stands below its own type"
            );
        }
    }
    assert_eq!(known.len(), page.matches("| `postrider_").count());
}

#[tokio::test]
async fn the_configuration_says_who_may_read_them() {
    let with = |metrics| {
        let options = ApiOptions {
            metrics,
            ..ApiOptions::default()
        };
        App::with(options, |_| {})
    };
    let app = with(MetricsAccess::Off).await;
    assert_eq!(app.get(OPERATOR, "/metrics").await.code(404), "route_not_found");
    let app = with(MetricsAccess::Operator).await;
    let account = app.account().await;
    assert_eq!(app.ask(Method::GET, "/metrics").send().await.code(401), "unauthenticated");
    assert_eq!(app.get(&account.token, "/metrics").await.code(403), "insufficient_scope");
    samples(&app.get(OPERATOR, "/metrics").await);
}
