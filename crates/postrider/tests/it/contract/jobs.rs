//! Recovering a webhook in the background, and jobs.

use serde_json::{Value, json};

use super::{FAILS, World, event, fields, id, is_timestamp};

fn recover(world: &World, webhook: &str, draft: &Value) -> Value {
    let job = world.expect(202, &format!("POST /webhooks/{webhook}/recover"), Some(draft));
    world.until(&format!("/jobs/{}", id(&job)), |job| job["status"] != "running")
}

const SINCE: &str = "2020-01-01T00:00:00Z";

#[test]
fn recover_failed_sends_again_what_failed_and_is_the_default() {
    let world = World::with(&["--retry-schedule", "10ms"]);
    let webhook = id(&world.webhook());
    world.event("fine");
    world.delivery("succeeded");
    world.receiver.answer(FAILS);
    world.receiver.answer(FAILS);
    world.event("failing");
    let failed = world.delivery("failed");
    let job = recover(&world, &webhook, &json!({ "since": SINCE }));
    assert_eq!((&job["status"], &job["done"]), (&json!("succeeded"), &json!(1)), "{job}");
    let done = world.until(&format!("/deliveries/{}", id(&failed)), |delivery| {
        delivery["status"] == "succeeded"
    });
    assert_eq!(done["attempts"].as_array().unwrap().len(), 3);
}

#[test]
fn recover_missing_makes_what_was_never_made() {
    let world = World::new();
    let early = world.event("early");
    let webhook = id(&world.webhook());
    let job = recover(&world, &webhook, &json!({ "since": SINCE, "status": "missing" }));
    assert_eq!(job["done"], 1, "{job}");
    let arrivals = world.receiver.wait(|arrivals| arrivals.len() == 1);
    assert_eq!(arrivals[0].event, early);
}

#[test]
fn recover_all_sends_what_succeeded_as_new_deliveries() {
    let world = World::new();
    let webhook = id(&world.webhook());
    world.event("a");
    let first = world.delivery("succeeded");
    recover(&world, &webhook, &json!({ "since": SINCE, "status": "all" }));
    let arrivals = world.receiver.wait(|arrivals| arrivals.len() == 2);
    assert_eq!(arrivals[0].body, arrivals[1].body);
    assert_ne!(arrivals[1].delivery, id(&first));
}

#[test]
fn recover_goes_by_created_at_from_since_to_before_until() {
    let world = World::new();
    let events: Vec<Value> = (0..3)
        .map(|number| {
            let made = world.event(&format!("n{number}"));
            // The next is made in another millisecond.
            while world.event("filler")["created_at"] == made["created_at"] {}
            made
        })
        .collect();
    let mut draft = json!({ "event_names": ["n0", "n1", "n2"] });
    draft["url"] = json!(world.receiver.url());
    let webhook = id(&world.expect(201, "POST /webhooks", Some(&draft)));
    let draft = json!({ "since": events[1]["created_at"], "until": events[2]["created_at"], "status": "missing" });
    recover(&world, &webhook, &draft);
    let arrivals = world.receiver.wait(|arrivals| !arrivals.is_empty());
    assert_eq!(arrivals[0].event["name"], "n1");
    assert_eq!(world.expect(200, "GET /deliveries", None).as_array().unwrap().len(), 1);
}

#[test]
fn recover_refuses_since_after_until_and_inactive_webhooks() {
    let world = World::new();
    let webhook = id(&world.webhook());
    let path = format!("POST /webhooks/{webhook}/recover");
    for draft in [
        json!({}),
        json!({ "since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z" }),
        json!({ "since": "9999-01-01T00:00:00Z" }),
        json!({ "since": "yesterday" }),
        json!({ "since": SINCE, "status": "pending" }),
    ] {
        assert_eq!(world.refused(400, &path, Some(&draft)), "invalid_request", "{draft}");
    }
    world.expect(200, &format!("PUT /webhooks/{webhook}"), Some(&json!({ "is_active": false })));
    assert_eq!(world.refused(409, &path, Some(&json!({ "since": SINCE }))), "webhook_inactive");
}

#[test]
fn recover_never_sends_tests_again() {
    let world = World::new();
    let webhook = id(&world.webhook());
    let test = json!({ "event": { "name": "a" } });
    world.expect(202, &format!("POST /webhooks/{webhook}/test"), Some(&test));
    world.delivery("succeeded");
    let job = recover(&world, &webhook, &json!({ "since": SINCE, "status": "all" }));
    assert_eq!(job["done"], 0, "{job}");
}

#[test]
fn jobs_are_listed_shown_and_cancelled_also_after_their_end() {
    let world = World::new();
    let webhook = id(&world.webhook());
    world.expect(201, "POST /events", Some(&event("a")));
    let job = recover(&world, &webhook, &json!({ "since": SINCE }));
    assert_eq!(
        fields(&job),
        [
            "created_at",
            "done",
            "ended_at",
            "error",
            "id",
            "kind",
            "modified_at",
            "status",
            "total",
            "webhook"
        ]
    );
    assert!(id(&job).starts_with("job_") && is_timestamp(&job["ended_at"]) && job["error"].is_null());
    assert_eq!(job["webhook"], webhook);
    assert_eq!(world.expect(200, "GET /jobs", None), json!([job]));
    assert_eq!(
        world.expect(200, &format!("DELETE /jobs/{}", id(&job)), None),
        job,
        "ended already: unchanged"
    );
    assert_eq!(
        world.refused(404, "GET /jobs/job_00000000000000000000000000", None),
        "job_not_found"
    );
}
