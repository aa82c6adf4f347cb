//! Conventions of the HTTP API.

use serde_json::{Value, json};

use super::{World, code, event, expect, id, params};
use crate::world::OPERATOR_KEY;

#[test]
fn authorization_is_bearer_and_a_401_says_so() {
    let world = World::new();
    for token in ["", "ptr_wrong", &world.account.token[1..], &format!("{}x", world.account.token)] {
        let answer = world.ask_as(token, "GET /webhooks", "", None);
        assert_eq!((answer.status, answer.head.get("www-authenticate")), (401, "Bearer"), "{token:?}");
    }
    world.expect(200, "GET /webhooks", None);
}

#[test]
fn json_in_and_out_and_another_content_type_is_a_415() {
    let world = World::new();
    let answer = world.ask_as(&world.account.token, "POST /events", "Content-Type: text/plain\r\n", None);
    assert_eq!(
        code(&answer.body),
        "malformed_json",
        "a request without a body needs no type, but this one needs a body"
    );
    let answer = world.ask("GET /webhooks", None);
    assert_eq!(answer.head.get("content-type"), "application/json");
    // A request without a body needs no Content-Type.
    let webhook = id(&world.webhook());
    world.expect(200, &format!("POST /webhooks/{webhook}/secret/rotate"), None);
}

#[test]
fn unknown_fields_and_parameters_and_keys_twice_are_errors() {
    let world = World::new();
    let body = json!({ "url": world.receiver.url(), "colour": "red" });
    assert_eq!(
        params(&world.expect(400, "POST /webhooks", Some(&body))),
        [("body.colour".to_owned(), "unknown_field".to_owned())]
    );
    let error = world.expect(400, "GET /webhooks?colour=red", None);
    assert_eq!(params(&error), [("query.colour".to_owned(), "unknown_parameter".to_owned())]);
    let error = world.expect(400, "GET /webhooks?limit=1&limit=2", None);
    assert_eq!(params(&error)[0].0, "query.limit");
}

#[test]
fn null_empties_in_a_put_counts_as_left_out_in_a_post_and_is_an_error_elsewhere() {
    let world = World::new();
    let draft = json!({ "url": world.receiver.url(), "description": null });
    let webhook = world.expect(201, "POST /webhooks", Some(&draft));
    let path = format!("/webhooks/{}", id(&webhook));
    let described = world.expect(200, &format!("PUT {path}"), Some(&json!({ "description": "mine" })));
    assert_eq!(described["description"], "mine");
    let emptied = world.expect(200, &format!("PUT {path}"), Some(&json!({ "description": null })));
    assert_eq!(emptied["description"], Value::Null);
    for body in [json!({ "url": null }), json!({ "is_active": null }), json!({ "event_names": null })] {
        assert_eq!(world.refused(400, &format!("PUT {path}"), Some(&body)), "invalid_request");
    }
}

#[test]
fn an_error_names_every_offending_parameter() {
    let world = World::new();
    let body = json!({ "events": [event("ok"), { "name": "a..b", "resource": { "id": "1" } }, 7] });
    let answer = world.ask_as(
        &world.account.token,
        "POST /events/batch?x=1",
        "Api-Version: 1999-01-01\r\n",
        Some(&body),
    );
    let error = expect(400, "POST /events/batch", answer);
    assert_eq!(error["code"], "invalid_request");
    let mut named: Vec<String> = params(&error).into_iter().map(|(path, _)| path).collect();
    named.sort();
    let wanted = [
        "body.events[1].name",
        "body.events[1].resource.resource_type",
        "body.events[2]",
        "header.api-version",
        "query.x",
    ];
    assert_eq!(named, wanted);
    assert!(
        error["params"]
            .as_array()
            .unwrap()
            .iter()
            .all(|param| !param["detail"].as_str().unwrap().is_empty())
    );
}

#[test]
fn request_ids_and_the_version_stand_on_every_response() {
    let world = World::new();
    let mut seen = std::collections::BTreeSet::new();
    for line in [
        "GET /webhooks",
        "GET /nothing",
        "PATCH /webhooks",
        "GET /webhooks?x=1",
        "GET /healthz",
    ] {
        let answer = world.ask_as(&world.account.token, line, "Client-Request-Id: mine-7\r\n", None);
        assert!(seen.insert(answer.head.get("request-id").to_owned()), "{line}");
        assert_eq!(answer.head.get("client-request-id"), "mine-7", "{line}");
        assert_eq!(answer.head.get("api-version"), "2026-01-01", "{line}");
    }
    assert!(!seen.contains(""));
    let asked = |version: &str| world.ask_as(&world.account.token, "GET /webhooks", &format!("Api-Version: {version}\r\n"), None);
    assert_eq!(asked("2026-01-01").status, 200);
    assert_eq!(
        params(&expect(400, "GET /webhooks", asked("2025-01-01")))[0].0,
        "header.api-version"
    );
}

#[test]
fn lists_are_bare_arrays_newest_first_with_a_link_to_the_next_page() {
    let world = World::new();
    world.webhook();
    let names: Vec<String> = (0..7).map(|number| id(&world.event(&format!("n{number}")))).collect();
    let mut client = world.account.client(world.server.address);
    let mut seen = Vec::new();
    let mut path = Some("/deliveries?limit=3".to_owned());
    while let Some(asked) = path {
        let answer = client.ask("GET", &asked, None).unwrap();
        let link = answer.head.get("link").to_owned();
        let page = expect(200, &asked, answer);
        seen.extend(page.as_array().unwrap().iter().map(|row| row["event"].as_str().unwrap().to_owned()));
        // What is added meanwhile neither shows nor moves anything.
        world.event("meanwhile");
        path = link
            .strip_prefix('<')
            .and_then(|rest| rest.strip_suffix(">; rel=\"next\""))
            .map(str::to_owned);
    }
    assert_eq!(seen, names.into_iter().rev().collect::<Vec<_>>());
}

#[test]
fn limit_is_1_to_200_and_50_if_left_out() {
    let world = World::new();
    world.webhook();
    let events: Vec<Value> = (0..60).map(|_| event("many")).collect();
    world.expect(201, "POST /events/batch", Some(&json!({ "events": events })));
    let count = |query: &str| {
        world
            .expect(200, &format!("GET /deliveries{query}"), None)
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!((count(""), count("?limit=1"), count("?limit=200")), (50, 1, 60));
    for limit in ["0", "201", "-1", "x", ""] {
        assert_eq!(
            world.refused(400, &format!("GET /deliveries?limit={limit}"), None),
            "invalid_request",
            "{limit}"
        );
    }
}

#[test]
fn links_are_whole_urls_where_a_public_url_is_set() {
    let world = World::with(&["--public-url", "https://hooks.example.com"]);
    world.webhook();
    world.webhook();
    let answer = world.ask("GET /webhooks?limit=1", None);
    assert!(
        answer.head.get("link").starts_with("<https://hooks.example.com/webhooks?"),
        "{:?}",
        answer.head
    );
}

#[test]
fn a_405_says_what_is_allowed_a_403_which_scope_is_missing_and_secrets_are_not_to_be_kept() {
    let world = World::new();
    let answer = world.ask("PATCH /webhooks", None);
    assert_eq!(code(&answer.body), "method_not_allowed");
    assert!(answer.head.get("allow").contains("GET") && answer.head.get("allow").contains("POST"));
    let account = world.account_id();
    let draft = json!({ "name": "reader", "scopes": ["webhooks:read"] });
    let made = world.ask_as(OPERATOR_KEY, &format!("POST /accounts/{account}/keys"), "", Some(&draft));
    assert_eq!((made.status, made.head.get("cache-control")), (201, "no-store"));
    let answer = world.ask_as(made.body["token"].as_str().unwrap(), "POST /events", "", Some(&event("a")));
    assert_eq!(
        (answer.status, &answer.body["context"]["missing_scope"]),
        (403, &json!("events:write"))
    );
    let made = world.ask("POST /webhooks", Some(&json!({ "url": world.receiver.url() })));
    assert_eq!((made.status, made.head.get("cache-control")), (201, "no-store"));
    let rotated = world.ask(&format!("POST /webhooks/{}/secret/rotate", id(&made.body)), None);
    assert_eq!((rotated.status, rotated.head.get("cache-control")), (200, "no-store"));
}

#[test]
fn bodies_have_at_most_1_mib_and_batches_16() {
    let world = World::new();
    let long = |bytes: usize| json!({ "name": "x".repeat(bytes) });
    assert_eq!(world.refused(413, "POST /events", Some(&long(1024 * 1024))), "body_too_large");
    assert_eq!(
        world.refused(400, "POST /events", Some(&long(1024 * 1024 - 100))),
        "invalid_request"
    );
    let batch = |bytes: usize| json!({ "events": ["x".repeat(bytes)] });
    assert_eq!(
        world.refused(413, "POST /events/batch", Some(&batch(16 * 1024 * 1024))),
        "body_too_large"
    );
    assert_eq!(
        world.refused(400, "POST /events/batch", Some(&batch(16 * 1024 * 1024 - 100))),
        "invalid_request"
    );
}
