//! The rows of the table of routes: webhooks and events. Deliveries and the operator's routes are beside it.

use serde_json::{Value, json};

use super::{World, event, expect, id};

#[test]
fn post_webhooks_answers_201_with_a_secret_of_ours_or_the_callers() {
    let world = World::new();
    let webhook = world.webhook();
    let secret = webhook["secret"].as_str().unwrap();
    assert!(
        secret.starts_with("whsec_") && secret.len() == "whsec_".len() + 44,
        "32 bytes in base64"
    );
    let own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let draft =
        json!({ "url": world.receiver.url(), "secret": own, "description": "d", "is_active": false, "event_names": ["order.*", "a"] });
    let webhook = world.expect(201, "POST /webhooks", Some(&draft));
    assert_eq!(
        (&webhook["secret"], &webhook["event_names"]),
        (&json!(own), &json!(["order.*", "a"]))
    );
    assert_eq!((&webhook["description"], &webhook["is_active"]), (&json!("d"), &json!(false)));
    for wrong in [
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_c2hvcnQ=",
        &format!("whsec_{}", "A".repeat(104)),
    ] {
        let draft = json!({ "url": world.receiver.url(), "secret": wrong });
        assert_eq!(world.refused(400, "POST /webhooks", Some(&draft)), "invalid_request", "{wrong}");
    }
}

#[test]
fn get_webhooks_and_one_of_them_never_show_the_secret() {
    let world = World::new();
    let webhook = world.webhook();
    let list = world.expect(200, "GET /webhooks", None);
    let one = world.expect(200, &format!("GET /webhooks/{}", id(&webhook)), None);
    assert_eq!(list, json!([one]));
    assert_eq!(one.get("secret"), None);
    assert_eq!(one["url"], world.receiver.url());
}

#[test]
fn put_webhooks_changes_what_is_given_and_leaves_the_rest() {
    let world = World::new();
    let webhook = world.webhook();
    let path = format!("/webhooks/{}", id(&webhook));
    let changed = world.expect(
        200,
        &format!("PUT {path}"),
        Some(&json!({ "is_active": false, "event_names": ["x"] })),
    );
    assert_eq!(
        (&changed["is_active"], &changed["event_names"], &changed["url"]),
        (&json!(false), &json!(["x"]), &webhook["url"])
    );
    assert_eq!(world.expect(200, &format!("GET {path}"), None), changed);
    let too_long = json!({ "description": "x".repeat(1_025) });
    assert_eq!(world.refused(400, &format!("PUT {path}"), Some(&too_long)), "invalid_request");
    let too_many = json!({ "event_names": vec!["a"; 101] });
    assert_eq!(world.refused(400, &format!("PUT {path}"), Some(&too_many)), "invalid_request");
}

#[test]
fn delete_webhooks_stops_pending_deliveries_which_can_still_be_read() {
    let world = World::with(&["--retry-schedule", "1h"]);
    let webhook = id(&world.webhook());
    world.receiver.answer(super::FAILS);
    world.event("a");
    let pending = world.until("/deliveries", |list| {
        list[0]["attempts"].as_array().is_some_and(|attempts| attempts.len() == 1)
    });
    world.expect(204, &format!("DELETE /webhooks/{webhook}"), None);
    assert_eq!(world.refused(404, &format!("GET /webhooks/{webhook}"), None), "webhook_not_found");
    assert_eq!(
        world.refused(404, &format!("DELETE /webhooks/{webhook}"), None),
        "webhook_not_found"
    );
    assert_eq!(
        world.refused(404, &format!("GET /webhooks/{webhook}/deliveries"), None),
        "webhook_not_found"
    );
    let delivery = world.until(&format!("/deliveries/{}", id(&pending[0])), |delivery| {
        delivery["status"] == "failed"
    });
    assert_eq!(delivery["failed_reason"], "webhook_deleted");
    assert_eq!(world.expect(200, "GET /deliveries", None)[0]["id"], delivery["id"]);
}

#[test]
fn rotate_signs_with_both_secrets_until_the_grace_ends_and_has_room_for_five() {
    let world = World::new();
    let webhook = world.webhook();
    let path = format!("/webhooks/{}/secret/rotate", id(&webhook));
    let rotated = world.expect(200, &format!("POST {path}"), None);
    assert_ne!(rotated["secret"], webhook["secret"]);
    assert_eq!(rotated["id"], webhook["id"]);
    world.event("both");
    let arrivals = world.receiver.wait(|arrivals| arrivals.len() == 1);
    assert_eq!(arrivals[0].head.get("webhook-signature").split(' ').count(), 2);
    for _ in 0..3 {
        world.expect(200, &format!("POST {path}"), Some(&json!({ "grace_seconds": 604_800 })));
    }
    assert_eq!(world.refused(409, &format!("POST {path}"), None), "too_many_secrets");
    for seconds in [json!(-1), json!(604_801), json!("1"), json!(1.5)] {
        assert_eq!(
            world.refused(400, &format!("POST {path}"), Some(&json!({ "grace_seconds": seconds }))),
            "invalid_request"
        );
    }
    let own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let alone = world.expect(200, &format!("POST {path}"), Some(&json!({ "grace_seconds": 0, "secret": own })));
    assert_eq!(alone["secret"], own);
    world.event("one");
    let arrivals = world.receiver.wait(|arrivals| arrivals.len() == 2);
    assert_eq!(arrivals[1].head.get("webhook-signature").split(' ').count(), 1);
}

#[test]
fn test_sends_an_event_that_nobody_knows_also_to_an_inactive_webhook() {
    let world = World::new();
    let webhook = id(&world.webhook());
    world.expect(200, &format!("PUT /webhooks/{webhook}"), Some(&json!({ "is_active": false })));
    let draft = json!({ "event": { "name": "order.filled", "data": { "n": 1 } } });
    let delivery = world.expect(202, &format!("POST /webhooks/{webhook}/test"), Some(&draft));
    assert_eq!((&delivery["event"], &delivery["webhook"]), (&Value::Null, &json!(webhook)));
    let arrivals = world.receiver.wait(|arrivals| arrivals.len() == 1);
    let sent = &arrivals[0].event;
    assert!(id(sent).starts_with("evt_test_"));
    assert_eq!((&sent["name"], &sent["data"]), (&json!("order.filled"), &json!({ "n": 1 })));
    assert_eq!(sent["resource"], json!({ "id": webhook, "resource_type": "webhook" }));
    assert_eq!(
        (arrivals[0].head.get("event-id"), arrivals[0].delivery.as_str()),
        ("", delivery["id"].as_str().unwrap())
    );
    assert_eq!(world.refused(404, &format!("GET /events/{}", id(sent)), None), "event_not_found");
    world.until(&format!("/deliveries/{}", id(&delivery)), |delivery| {
        delivery["status"] == "succeeded"
    });
}

#[test]
fn post_events_stores_and_delivers() {
    let world = World::new();
    world.webhook();
    let made = world.event("order.filled");
    assert!(id(&made).starts_with("evt_"));
    let arrivals = world.receiver.wait(|arrivals| arrivals.len() == 1);
    assert_eq!(arrivals[0].event, made);
    let bare = json!({ "name": "a", "resource": { "id": "1", "resource_type": "t" } });
    assert_eq!(world.expect(201, "POST /events", Some(&bare))["data"], json!({}));
    for (field, value) in [
        ("name", json!("")),
        ("name", json!("a..b")),
        ("name", json!("a b")),
        ("name", json!("a".repeat(257))),
        ("name", json!("ä")),
        ("data", Value::Null),
        ("data", json!([])),
        ("data", json!({ "k": "x".repeat(256 * 1024) })),
        ("resource", json!({ "id": "", "resource_type": "t" })),
        ("resource", json!({ "id": "x".repeat(256), "resource_type": "t" })),
        ("id", json!("")),
        ("id", json!("evt_1")),
        ("id", json!("-a")),
        ("id", json!("a b")),
        ("id", json!("a".repeat(256))),
    ] {
        let mut draft = event("fine");
        draft[field] = value;
        assert_eq!(world.refused(400, "POST /events", Some(&draft)), "invalid_request", "{draft}");
    }
}

#[test]
fn post_events_with_an_id_of_the_callers_is_idempotent() {
    let world = World::new();
    let mut draft = event("order.filled");
    draft["id"] = json!("order-7:filled.1_A");
    let first = world.expect(201, "POST /events", Some(&draft));
    assert_eq!(first["id"], draft["id"]);
    assert_eq!(world.expect(200, "POST /events", Some(&draft)), first);
    draft["data"] = json!({ "total": 13 });
    assert_eq!(world.refused(409, "POST /events", Some(&draft)), "event_id_taken");
    assert_eq!(world.expect(200, "GET /events/order-7:filled.1_A", None), first);
}

#[test]
fn post_events_batch_is_all_or_none_in_the_same_order() {
    let world = World::new();
    world.webhook();
    let batch = json!({ "events": [event("one"), event("two"), event("three")] });
    let made = world.expect(201, "POST /events/batch", Some(&batch));
    let names: Vec<&str> = made["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["one", "two", "three"]);
    world.receiver.wait(|arrivals| arrivals.len() == 3);
    let with_id = |name: &str| {
        let mut event = event(name);
        event["id"] = json!("same");
        event
    };
    for (status, code, events) in [
        (400, "invalid_request", json!([])),
        (400, "invalid_request", json!([event("fine"), { "name": "no resource" }])),
        (400, "invalid_request", json!(vec![event("many"); 1_001])),
        (409, "event_id_taken", json!([with_id("a"), with_id("b")])),
    ] {
        assert_eq!(
            world.refused(status, "POST /events/batch", Some(&json!({ "events": events }))),
            code
        );
    }
    assert_eq!(
        world.expect(200, "GET /deliveries", None).as_array().unwrap().len(),
        3,
        "a part of a batch was stored"
    );
    world.expect(201, "POST /events/batch", Some(&json!({ "events": vec![event("many"); 1_000] })));
}

#[test]
fn get_events_by_id_is_what_was_sent() {
    let world = World::new();
    let made = world.event("a");
    assert_eq!(world.expect(200, &format!("GET /events/{}", id(&made)), None), made);
    assert_eq!(
        world.refused(404, "GET /events/evt_00000000000000000000000000", None),
        "event_not_found"
    );
}

#[test]
fn get_me_tells_who_asks() {
    let world = World::new();
    let me = world.expect(200, "GET /me", None);
    assert_eq!(me["operator"], false);
    assert!(id(&me["account"]).starts_with("acc_") && id(&me["key"]).starts_with("key_"));
    assert_eq!(me["scopes"], me["key"]["scopes"]);
    let me = expect(200, "GET /me", world.operator("GET /me", None));
    assert_eq!(
        (&me["operator"], &me["key"], &me["account"]),
        (&json!(true), &Value::Null, &Value::Null)
    );
    assert!(me["scopes"].as_array().unwrap().contains(&json!("accounts:admin")));
}

#[test]
fn openapi_docs_healthz_and_readyz_need_no_token() {
    let world = World::new();
    for path in ["/openapi.json", "/docs", "/healthz", "/readyz"] {
        assert_eq!(world.ask_as("", &format!("GET {path}"), "", None).status, 200, "{path}");
    }
    let openapi = world.ask_as("", "GET /openapi.json", "", None).body;
    assert!(openapi["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(openapi["paths"]["/webhooks"]["post"].is_object());
}

#[test]
fn metrics_need_no_token_unless_the_configuration_says_so() {
    for (access, anybody, account, operator) in [("open", 200, 200, 200), ("operator", 401, 403, 200), ("off", 404, 404, 404)] {
        let world = World::with(&["--metrics", access]);
        assert_eq!(world.ask_as("", "GET /metrics", "", None).status, anybody, "{access}");
        assert_eq!(world.ask("GET /metrics", None).status, account, "{access}");
        assert_eq!(world.operator("GET /metrics", None).status, operator, "{access}");
    }
}
