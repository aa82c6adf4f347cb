//! The rows of the table of routes that speak of deliveries.

use serde_json::{Value, json};

use super::{FAILS, World, event, id};

#[test]
fn lists_of_deliveries_are_filtered() {
    let world = World::with(&["--retry-schedule", "1h"]);
    let webhook = id(&world.webhook());
    let good = world.event("order.filled");
    let succeeded = world.delivery("succeeded");
    world.receiver.answer(FAILS);
    let mut other = event("invoice.paid");
    other["resource"]["id"] = json!("inv_1");
    world.expect(201, "POST /events", Some(&other));
    let pending = world.delivery("pending");
    let moment = succeeded["created_at"].as_str().unwrap();
    let (good, good_id) = (id(&succeeded), id(&good));
    let both = vec![id(&pending), good.clone()];
    for (query, wanted) in [
        (String::new(), both.clone()),
        ("status=succeeded".to_owned(), vec![good.clone()]),
        ("status=pending".to_owned(), vec![id(&pending)]),
        ("status=failed".to_owned(), vec![]),
        ("status=in_progress".to_owned(), vec![]),
        (format!("event={good_id}"), vec![good.clone()]),
        ("name=order.filled".to_owned(), vec![good.clone()]),
        ("name=order.*".to_owned(), vec![good.clone()]),
        ("name=order".to_owned(), vec![]),
        ("resource[id]=ord_1".to_owned(), vec![good.clone()]),
        (format!("created[lte]={moment}"), vec![good.clone()]),
        (format!("created[gt]={moment}"), vec![id(&pending)]),
        (format!("created[gte]={moment}"), both.clone()),
        (format!("created[lt]={moment}"), vec![]),
    ] {
        for path in ["/deliveries".to_owned(), format!("/webhooks/{webhook}/deliveries")] {
            let list = world.expect(200, &format!("GET {path}?{query}"), None);
            assert_eq!(
                list.as_array().unwrap().iter().map(id).collect::<Vec<_>>(),
                wanted,
                "{path}?{query}"
            );
        }
    }
    let of_webhook = world.expect(200, &format!("GET /deliveries?webhook={webhook}"), None);
    assert_eq!(of_webhook.as_array().unwrap().len(), 2);
    assert_eq!(world.refused(400, "GET /deliveries?status=gone", None), "invalid_request");
}

#[test]
fn one_delivery_is_shown_with_all_its_attempts_and_what_the_receiver_said() {
    let world = World::with(&["--retry-schedule", "10ms"]);
    world.webhook();
    world.receiver.answer(FAILS);
    let made = world.event("a");
    let listed = world.delivery("succeeded");
    let delivery = world.expect(200, &format!("GET /deliveries/{}", id(&listed)), None);
    assert_eq!(delivery, listed, "lists show the same as single reads");
    assert_eq!(delivery["payload"], made);
    let attempts = delivery["attempts"].as_array().unwrap();
    let outcomes: Vec<(&Value, &Value)> = attempts.iter().map(|attempt| (&attempt["number"], &attempt["outcome"])).collect();
    assert_eq!(outcomes, [(&json!(1), &json!("failed")), (&json!(2), &json!("succeeded"))]);
    let response = &attempts[0]["response"];
    assert_eq!(
        (&response["status"], &response["body"], &response["truncated"]),
        (&json!(500), &json!("nope"), &json!(false))
    );
    assert_eq!(response["headers"]["content-type"], "text/plain");
    assert_eq!(attempts[0]["error"]["error_type"], "http");
    assert_eq!(attempts[1]["error"], Value::Null);
    assert_eq!(
        world.refused(404, "GET /deliveries/whd_00000000000000000000000000", None),
        "delivery_not_found"
    );
}

#[test]
fn retry_of_what_failed_makes_it_pending_again_with_its_attempts() {
    let world = World::with(&["--retry-schedule", "10ms"]);
    world.webhook();
    world.receiver.answer(FAILS);
    world.receiver.answer(FAILS);
    world.event("a");
    let failed = world.delivery("failed");
    assert_eq!(
        (&failed["failed_reason"], failed["failed_at"].is_string()),
        (&json!("exhausted"), true)
    );
    let again = world.expect(202, &format!("POST /deliveries/{}/retry", id(&failed)), None);
    assert_eq!(
        (&again["id"], &again["failed_at"], &again["failed_reason"]),
        (&failed["id"], &Value::Null, &Value::Null)
    );
    let done = world.delivery("succeeded");
    assert_eq!(done["attempts"].as_array().unwrap().len(), 3);
    assert_eq!(done["attempts"][2]["number"], 3);
}

#[test]
fn retry_of_what_is_pending_makes_an_attempt_now() {
    let world = World::with(&["--retry-schedule", "1h"]);
    world.webhook();
    world.receiver.answer(FAILS);
    world.event("a");
    let pending = world.until("/deliveries", |list| list[0]["attempts"][0]["outcome"] == "failed");
    world.expect(202, &format!("POST /deliveries/{}/retry", id(&pending[0])), None);
    assert_eq!(world.delivery("succeeded")["id"], pending[0]["id"]);
}

#[test]
fn retry_of_what_is_in_progress_adds_nothing() {
    let world = World::new();
    world.webhook();
    world.receiver.hold(true);
    world.event("a");
    world.receiver.wait(|arrivals| arrivals.len() == 1);
    let delivery = world.delivery("in_progress");
    let same = world.expect(202, &format!("POST /deliveries/{}/retry", id(&delivery)), None);
    assert_eq!((&same["id"], &same["status"]), (&delivery["id"], &json!("in_progress")));
    world.receiver.hold(false);
    assert_eq!(world.delivery("succeeded")["attempts"].as_array().unwrap().len(), 1);
}

#[test]
fn retry_of_what_succeeded_is_a_new_delivery_of_the_same_event() {
    let world = World::new();
    world.webhook();
    world.event("a");
    let first = world.delivery("succeeded");
    let second = world.expect(202, &format!("POST /deliveries/{}/retry", id(&first)), None);
    assert_ne!(second["id"], first["id"]);
    assert_eq!((&second["event"], &second["payload"]), (&first["event"], &first["payload"]));
    let arrivals = world.receiver.wait(|arrivals| arrivals.len() == 2);
    assert_eq!(arrivals[0].body, arrivals[1].body);
    assert_eq!(arrivals[1].head.get("webhook-attempt"), "1");
}

#[test]
fn retry_where_the_webhook_is_inactive_or_deleted_is_a_409() {
    let world = World::new();
    let webhook = id(&world.webhook());
    world.event("a");
    let delivery = id(&world.delivery("succeeded"));
    world.expect(200, &format!("PUT /webhooks/{webhook}"), Some(&json!({ "is_active": false })));
    assert_eq!(
        world.refused(409, &format!("POST /deliveries/{delivery}/retry"), None),
        "webhook_inactive"
    );
    world.expect(204, &format!("DELETE /webhooks/{webhook}"), None);
    assert_eq!(
        world.refused(409, &format!("POST /deliveries/{delivery}/retry"), None),
        "webhook_deleted"
    );
}

#[test]
fn an_inactive_webhook_gets_no_deliveries_and_its_pending_ones_wait() {
    let world = World::with(&["--retry-schedule", "10ms"]);
    let webhook = id(&world.webhook());
    world.receiver.hold(true);
    world.receiver.answer(FAILS);
    world.event("before");
    world.receiver.wait(|arrivals| arrivals.len() == 1);
    world.expect(200, &format!("PUT /webhooks/{webhook}"), Some(&json!({ "is_active": false })));
    world.event("meanwhile");
    world.receiver.hold(false);
    let waiting = world.until("/deliveries", |list| list[0]["attempts"][0]["outcome"] == "failed");
    assert_eq!((waiting.as_array().unwrap().len(), &waiting[0]["status"]), (1, &json!("pending")));
    world.expect(200, &format!("PUT /webhooks/{webhook}"), Some(&json!({ "is_active": true })));
    let done = world.delivery("succeeded");
    assert_eq!(done["payload"]["name"], "before");
    assert_eq!(world.expect(200, "GET /deliveries", None).as_array().unwrap().len(), 1);
}
