//! `Idempotency-Key`, as the conventions have it.

use serde_json::{Value, json};

use super::{World, code, event, expect, id};
use crate::world::{Answer, OPERATOR_KEY};

fn post(world: &World, key: &str, path: &str, body: &Value) -> Answer {
    let header = format!("Idempotency-Key: {key}\r\n");
    world.ask_as(&world.account.token, &format!("POST {path}"), &header, Some(body))
}

#[test]
fn the_first_response_is_replayed_and_says_so() {
    let world = World::new();
    world.webhook();
    let first = post(&world, "k1", "/events", &event("a"));
    let again = post(&world, "k1", "/events", &event("a"));
    assert_eq!((first.status, first.head.get("idempotency-replayed")), (201, ""));
    assert_eq!((again.status, again.head.get("idempotency-replayed")), (201, "true"));
    assert_eq!(again.body, first.body);
    assert_ne!(again.head.get("request-id"), first.head.get("request-id"));
    assert_eq!(world.expect(200, "GET /deliveries", None).as_array().unwrap().len(), 1);
    assert_ne!(
        post(&world, "k2", "/events", &event("a")).body["id"],
        first.body["id"],
        "another key is another request"
    );
}

#[test]
fn it_stands_on_any_post_also_where_the_answer_has_a_secret() {
    let world = World::new();
    let draft = json!({ "url": world.receiver.url() });
    let first = post(&world, "hook", "/webhooks", &draft);
    let again = post(&world, "hook", "/webhooks", &draft);
    assert_eq!((again.status, &again.body["secret"]), (201, &first.body["secret"]));
    assert_eq!(again.head.get("cache-control"), "no-store");
    let rotate = format!("/webhooks/{}/secret/rotate", id(&first.body));
    let rotated = post(&world, "rotate", &rotate, &json!({}));
    assert_eq!(post(&world, "rotate", &rotate, &json!({})).body, rotated.body);
    assert_eq!(world.expect(200, "GET /webhooks", None).as_array().unwrap().len(), 1);
    let account = json!({ "name": "Shop" });
    let made = [(); 2].map(|()| {
        world
            .ask_as(OPERATOR_KEY, "POST /accounts", "Idempotency-Key: a\r\n", Some(&account))
            .body
    });
    assert_eq!(made[0], made[1]);
}

#[test]
fn the_same_key_with_another_body_or_path_is_a_422() {
    let world = World::new();
    expect(201, "first", post(&world, "k", "/events", &event("a")));
    for (path, body) in [
        ("/events", event("b")),
        ("/events/batch", json!({ "events": [event("a")] })),
        ("/webhooks", json!({ "url": world.receiver.url() })),
    ] {
        assert_eq!(code(&expect(422, path, post(&world, "k", path, &body))), "idempotency_key_reused");
    }
}

#[test]
fn it_has_1_to_255_characters() {
    let world = World::new();
    for key in ["", &"k".repeat(256)] {
        let error = expect(400, key, post(&world, key, "/events", &event("a")));
        assert_eq!(super::params(&error)[0].0, "header.idempotency-key", "{error}");
    }
    expect(201, "the longest", post(&world, &"k".repeat(255), "/events", &event("a")));
}

#[test]
fn a_404_is_replayed_while_400_409_413_and_415_are_not_stored() {
    let world = World::new();
    let gone = "/webhooks/wh_00000000000000000000000000/test";
    let test = json!({ "event": { "name": "a" } });
    expect(404, gone, post(&world, "gone", gone, &test));
    assert_eq!(post(&world, "gone", gone, &test).head.get("idempotency-replayed"), "true");
    expect(400, "wrong", post(&world, "k", "/events", &json!({ "name": "a b" })));
    expect(
        413,
        "large",
        post(&world, "k", "/events", &json!({ "name": "x".repeat(1024 * 1024) })),
    );
    let mut own = event("a");
    own["id"] = json!("own");
    world.expect(201, "POST /events", Some(&own));
    own["name"] = json!("b");
    expect(409, "taken", post(&world, "k", "/events", &own));
    let answer = post(&world, "k", "/events", &event("fine"));
    assert_eq!((answer.status, answer.head.get("idempotency-replayed")), (201, ""));
}

#[test]
fn it_is_kept_apart_by_account_and_shared_by_its_keys() {
    let world = World::new();
    let first = expect(201, "first", post(&world, "k", "/events", &event("a")));
    let keys = format!("POST /accounts/{}/keys", world.account_id());
    let second = world.operator(&keys, Some(&json!({ "name": "second" }))).body;
    let by_second = world.ask_as(
        second["token"].as_str().unwrap(),
        "POST /events",
        "Idempotency-Key: k\r\n",
        Some(&event("a")),
    );
    assert_eq!(by_second.body, first);
    let other = crate::world::Account::make(world.server.address);
    let by_other = world.ask_as(&other.token, "POST /events", "Idempotency-Key: k\r\n", Some(&event("a")));
    assert_eq!((by_other.status, by_other.head.get("idempotency-replayed")), (201, ""));
    assert_ne!(by_other.body["id"], first["id"]);
    let reader = world
        .operator(&keys, Some(&json!({ "name": "reader", "scopes": ["events:read"] })))
        .body;
    let by_reader = world.ask_as(
        reader["token"].as_str().unwrap(),
        "POST /events",
        "Idempotency-Key: k\r\n",
        Some(&event("a")),
    );
    assert_eq!(by_reader.status, 403, "scopes come before a replay");
}

#[test]
fn it_survives_kill_9() {
    let world = World::new();
    let first = expect(201, "first", post(&world, "k", "/events", &event("a")));
    let world = world.after_a_crash(&[]);
    let again = post(&world, "k", "/events", &event("a"));
    assert_eq!((again.head.get("idempotency-replayed"), &again.body), ("true", &first));
}
