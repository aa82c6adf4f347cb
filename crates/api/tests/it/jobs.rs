//! Jobs: recovering a webhook, and looking at that.

use std::sync::Arc;
use std::time::Duration;

use postrider_model::id::JobId;
use postrider_model::job::{Job, JobKind, JobStatus, RecoverWhat, Recovery};
use postrider_model::limits::JOBS_RUNNING_MAX;
use postrider_ports::store::JobMade;
use postrider_ports::{Clock as _, Store as _};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::app::{Account, App, Reply, event, named};

const BEGINNING: &str = "2026-01-01T00:00:00Z";

async fn recover(app: &App, account: &Account, webhook: &str, draft: &Value) -> Reply {
    app.post(&account.token, &format!("/webhooks/{webhook}/recover"), draft).await
}

/// Reads a job until it has ended.
async fn ended(app: &App, account: &Account, job: &Value) -> Value {
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    for _ in 0..10_000 {
        let shown = app.get(&account.token, &path).await.expect(200);
        if shown["status"] != "running" {
            return shown;
        }
        app.pass(Duration::from_millis(10)).await;
    }
    panic!("the job never ended");
}

/// A job that was just made.
async fn running(app: &App, account: &Account, webhook: &str) -> Value {
    recover(app, account, webhook, &json!({"since": BEGINNING})).await.expect(202)
}

#[tokio::test]
async fn what_was_never_made_is_made_and_counted() {
    let app = App::new().await;
    let account = app.account().await;
    for _ in 0..3 {
        app.post(&account.token, "/events", &event("order.filled")).await.expect(201);
    }
    let webhook = app.webhook(&account).await;
    app.clock.advance(Duration::from_secs(1));
    let draft = json!({"since": BEGINNING, "status": "missing"});
    let job = recover(&app, &account, &webhook, &draft).await.expect(202);
    let expected = json!({
        "id": job["id"],
        "kind": "recover",
        "webhook": webhook,
        "status": "running",
        "done": 0,
        "total": null,
        "error": null,
        "ended_at": null,
        "created_at": "2026-01-15T10:30:01.000Z",
        "modified_at": "2026-01-15T10:30:01.000Z",
    });
    assert_eq!(job, expected);
    assert!(job["id"].as_str().unwrap().starts_with("job_"));
    let job = ended(&app, &account, &job).await;
    assert_eq!((&job["status"], &job["done"]), (&json!("succeeded"), &json!(3)));
    assert!(job["ended_at"].is_string());
    let deliveries = app.get(&account.token, "/deliveries").await.expect(200);
    assert_eq!(deliveries.as_array().unwrap().len(), 3);
    let listed = app.get(&account.token, "/jobs").await.expect(200);
    assert_eq!(listed, json!([job]));
    let again = recover(&app, &account, &webhook, &draft).await.expect(202);
    assert_eq!(ended(&app, &account, &again).await["done"], 0, "each once");
}

#[tokio::test]
async fn until_is_not_part_of_it_and_now_if_left_out() {
    let app = App::new().await;
    let account = app.account().await;
    app.post(&account.token, "/events", &event("a")).await.expect(201);
    app.clock.advance(Duration::from_secs(1));
    app.post(&account.token, "/events", &event("a")).await.expect(201);
    let webhook = app.webhook(&account).await;
    app.clock.advance(Duration::from_secs(1));
    let second = "2026-01-15T10:30:01.000Z";
    for (since, until, done) in [(second, second, 0), (BEGINNING, second, 1), (second, "2099-01-01T00:00:00Z", 1)] {
        let draft = json!({"since": since, "until": until, "status": "missing"});
        let job = recover(&app, &account, &webhook, &draft).await.expect(202);
        assert_eq!(ended(&app, &account, &job).await["done"], done, "{since} {until}");
    }
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let app = App::new().await;
    let account = app.account().await;
    let webhook = app.webhook(&account).await;
    for (draft, faults) in [
        (json!({}), vec![("body.since", "missing_field")]),
        (
            json!({"since": "now", "until": null, "status": "lost", "x": 1}),
            vec![
                ("body.since", "invalid_timestamp"),
                ("body.until", "null_not_allowed"),
                ("body.status", "unknown_value"),
                ("body.x", "unknown_field"),
            ],
        ),
        (json!({"since": "2026-01-15T10:30:00.001Z"}), vec![("body.since", "after_until")]),
        (
            json!({"since": "2026-01-02T00:00:00Z", "until": BEGINNING}),
            vec![("body.since", "after_until")],
        ),
    ] {
        let reply = recover(&app, &account, &webhook, &draft).await;
        assert_eq!(reply.params(), named(&faults), "{draft}");
    }
    let draft = json!({"since": BEGINNING});
    for webhook in ["none", "wh_00000000000000000000000001"] {
        assert_eq!(recover(&app, &account, webhook, &draft).await.code(404), "webhook_not_found");
    }
}

#[tokio::test]
async fn a_webhook_that_is_not_active_is_not_recovered() {
    let app = App::new().await;
    let account = app.account().await;
    let webhook = app.webhook(&account).await;
    let path = format!("/webhooks/{webhook}");
    app.put(&account.token, &path, &json!({"is_active": false})).await.expect(200);
    let draft = json!({"since": BEGINNING});
    assert_eq!(recover(&app, &account, &webhook, &draft).await.code(409), "webhook_inactive");
    assert_eq!(app.get(&account.token, "/jobs").await.expect(200), json!([]));
}

#[tokio::test]
async fn so_many_jobs_run_and_no_more() {
    let app = App::new().await;
    let account = app.account().await;
    let webhook = app.webhook(&account).await;
    let now = app.clock.wall();
    // The engine is told of none of them: they stand there as those of another node would.
    for number in 1..=JOBS_RUNNING_MAX {
        let job = Job {
            id: JobId::from_u128(number as u128),
            account: account.id.parse().unwrap(),
            kind: JobKind::Recover,
            webhook: webhook.parse().ok(),
            status: JobStatus::Running,
            done: 0,
            total: None,
            error: None,
            ended_at: None,
            created_at: now,
            modified_at: now,
        };
        let recovery = Recovery {
            webhook: webhook.parse().unwrap(),
            since: now,
            until: now,
            what: RecoverWhat::All,
        };
        assert_eq!(app.store.create_job(job, recovery).await, Ok(JobMade::Made));
    }
    let draft = json!({"since": BEGINNING});
    let refused = recover(&app, &account, &webhook, &draft).await;
    assert_eq!(refused.code(409), "too_many_jobs");
    assert_eq!(refused.json()["context"]["jobs_max"], JOBS_RUNNING_MAX);
    let other = app.account().await;
    let webhook_of_other = app.webhook(&other).await;
    recover(&app, &other, &webhook_of_other, &draft).await.expect(202);
    app.delete(&account.token, &format!("/jobs/{}", JobId::from_u128(1)))
        .await
        .expect(200);
    recover(&app, &account, &webhook, &draft).await.expect(202);
}

#[tokio::test]
async fn a_job_is_cancelled_and_one_that_ended_stays_as_it_is() {
    let app = App::new().await;
    let account = app.account().await;
    let webhook = app.webhook(&account).await;
    // With so little to do it would have ended by itself: its next step waits until it is cancelled.
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    app.store.before("step_job", move || {
        let held = Arc::clone(&held);
        async move { drop(held.acquire().await) }
    });
    let job = running(&app, &account, &webhook).await;
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    let cancelled = app.delete(&account.token, &path).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(cancelled["ended_at"], "2026-01-15T10:30:00.000Z");
    gate.close();
    app.pass(Duration::from_secs(1)).await;
    assert_eq!(app.delete(&account.token, &path).await.expect(200), cancelled);
    assert_eq!(app.get(&account.token, &path).await.expect(200), cancelled);
    for method in [http::Method::GET, http::Method::DELETE] {
        for id in ["none", "job_00000000000000000000000001"] {
            let reply = app.ask(method.clone(), &format!("/jobs/{id}")).token(&account.token).send().await;
            assert_eq!(reply.code(404), "job_not_found");
        }
    }
}

#[tokio::test]
async fn jobs_are_listed_in_pages_newest_first() {
    let app = App::new().await;
    let account = app.account().await;
    let webhook = app.webhook(&account).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let job = running(&app, &account, &webhook).await;
        ids.insert(0, job["id"].clone());
        ended(&app, &account, &job).await;
    }
    let mut seen = Vec::new();
    let mut path = "/jobs?limit=2".to_owned();
    loop {
        let reply = app.get(&account.token, &path).await;
        seen.extend(reply.expect(200).as_array().unwrap().iter().map(|job| job["id"].clone()));
        let Some((next, _)) = reply.header("link").split_once('>') else {
            break;
        };
        path = next.trim_start_matches('<').to_owned();
    }
    assert_eq!(seen, ids);
    let other = app.account().await;
    assert_eq!(app.get(&other.token, "/jobs").await.expect(200), json!([]));
    let reply = app.get(&account.token, "/jobs?status=running").await;
    assert_eq!(reply.params(), named(&[("query.status", "unknown_parameter")]));
}
