//! The rows of the table of routes that are the operator's, and how it acts for an account.

use serde_json::{Value, json};

use super::{World, code, event, expect, id};
use crate::world::OPERATOR_KEY;

#[test]
fn accounts_are_made_once_for_an_external_id_changed_and_deleted() {
    let world = World::new();
    let draft = json!({ "name": "Shop", "external_id": "cust-7" });
    let made = expect(201, "POST /accounts", world.operator("POST /accounts", Some(&draft)));
    assert_eq!(expect(200, "again", world.operator("POST /accounts", Some(&draft))), made);
    for path in [format!("/accounts/{}", id(&made)), "/accounts/cust-7".to_owned()] {
        assert_eq!(expect(200, &path, world.operator(&format!("GET {path}"), None)), made);
    }
    let list = expect(200, "GET /accounts", world.operator("GET /accounts", None));
    assert_eq!(list[0], made, "newest first");
    let renamed = world.operator("PUT /accounts/cust-7", Some(&json!({ "name": "Store" })));
    assert_eq!(expect(200, "PUT", renamed)["name"], "Store");
    let taken = json!({ "external_id": "cust-7" });
    let answer = world.operator(&format!("PUT /accounts/{}", world.account_id()), Some(&taken));
    assert_eq!(code(&expect(409, "PUT", answer)), "external_id_taken");
    assert_eq!(world.operator("DELETE /accounts/cust-7", None).status, 204);
    assert_eq!(
        code(&expect(404, "GET", world.operator("GET /accounts/cust-7", None))),
        "account_not_found"
    );
}

#[test]
fn a_suspended_account_gets_403s_and_its_deliveries_wait() {
    let world = World::with(&["--retry-schedule", "10ms"]);
    let account = world.account_id();
    world.webhook();
    world.receiver.hold(true);
    world.receiver.answer(super::FAILS);
    world.event("a");
    world.receiver.wait(|arrivals| arrivals.len() == 1);
    let switch = |on: bool| {
        expect(
            200,
            "PUT",
            world.operator(&format!("PUT /accounts/{account}"), Some(&json!({ "is_active": on }))),
        )
    };
    switch(false);
    assert_eq!(world.refused(403, "GET /webhooks", None), "account_inactive");
    world.receiver.hold(false);
    switch(true);
    assert_eq!(world.delivery("succeeded")["attempts"].as_array().unwrap().len(), 2);
}

#[test]
fn a_deleted_account_is_gone_with_its_keys_at_once() {
    let world = World::new();
    let account = world.account_id();
    assert_eq!(world.operator(&format!("DELETE /accounts/{account}"), None).status, 204);
    assert_eq!(world.refused(401, "GET /webhooks", None), "invalid_token");
    assert_eq!(world.operator(&format!("GET /accounts/{account}"), None).status, 404);
}

#[test]
fn keys_of_an_account_are_made_listed_changed_and_deleted() {
    let world = World::new();
    let keys = format!("/accounts/{}/keys", world.account_id());
    keys_of(&world, &keys, "ptr_", 6);
}

#[test]
fn keys_of_the_operator_are_made_listed_changed_and_deleted() {
    keys_of(&World::new(), "/keys", "ptrop_", 7);
}

fn keys_of(world: &World, keys: &str, prefix: &str, scopes: usize) {
    let made = expect(201, keys, world.operator(&format!("POST {keys}"), Some(&json!({ "name": "k" }))));
    let token = made["token"].as_str().unwrap();
    let rest = token.strip_prefix(prefix).unwrap();
    assert!(
        rest.len() == 46 && rest.chars().all(|letter| letter.is_ascii_alphanumeric()),
        "{token}"
    );
    assert_eq!(made["hint"], token[token.len() - 4..]);
    assert_eq!(made["scopes"].as_array().unwrap().len(), scopes, "all of its kind");
    assert_eq!(world.ask_as(token, "GET /me", "", None).status, 200);
    let path = format!("{keys}/{}", id(&made));
    let shown = expect(200, &path, world.operator(&format!("GET {path}"), None));
    assert_eq!(shown.get("token"), None);
    let list = expect(200, keys, world.operator(&format!("GET {keys}"), None));
    assert!(list.as_array().unwrap().iter().all(|key| key.get("token").is_none()));
    let narrowed = json!({ "scopes": ["events:write"], "name": "n", "expires_at": "2100-01-01T00:00:00Z" });
    let changed = expect(200, &path, world.operator(&format!("PUT {path}"), Some(&narrowed)));
    assert_eq!(
        (&changed["scopes"], &changed["expires_at"]),
        (&json!(["events:write"]), &json!("2100-01-01T00:00:00.000Z"))
    );
    let account = world.account_id();
    let header = if prefix == "ptr_" {
        String::new()
    } else {
        format!("Account-Id: {account}\r\n")
    };
    assert_eq!(
        code(&world.ask_as(token, "GET /webhooks", &header, None).body),
        "insufficient_scope",
        "a change holds at once"
    );
    let past = json!({ "expires_at": "2020-01-01T00:00:00Z" });
    assert_eq!(world.operator(&format!("PUT {path}"), Some(&past)).status, 400);
    assert_eq!(world.operator(&format!("DELETE {path}"), None).status, 204);
    assert_eq!(
        code(&expect(401, "GET /me", world.ask_as(token, "GET /me", "", None))),
        "invalid_token"
    );
    assert_eq!(
        code(&expect(404, &path, world.operator(&format!("GET {path}"), None))),
        "key_not_found"
    );
}

#[test]
fn an_operator_key_acts_for_an_account_by_either_of_its_ids() {
    let world = World::new();
    let draft = json!({ "name": "Shop", "external_id": "cust-7" });
    let made = id(&expect(201, "POST /accounts", world.operator("POST /accounts", Some(&draft))));
    for account in [made.as_str(), "cust-7"] {
        let header = format!("Account-Id: {account}\r\n");
        let answer = world.ask_as(OPERATOR_KEY, "POST /events", &header, Some(&event("a")));
        assert_eq!(answer.status, 201, "{account}: {answer:?}");
    }
    assert_eq!(
        code(&expect(400, "none", world.operator("GET /webhooks", None))),
        "account_required"
    );
    let unknown = world.ask_as(OPERATOR_KEY, "GET /webhooks", "Account-Id: nobody\r\n", None);
    assert_eq!(code(&expect(404, "unknown", unknown)), "account_not_found");
    let other = world.ask_as(&world.account.token, "GET /webhooks", "Account-Id: cust-7\r\n", None);
    assert_eq!(code(&expect(403, "another", other)), "account_mismatch");
    let own = format!("Account-Id: {}\r\n", world.account_id());
    assert_eq!(world.ask_as(&world.account.token, "GET /webhooks", &own, None).status, 200);
}

#[test]
fn several_operator_keys_rotate_and_an_account_key_never_administers() {
    let world = World::new();
    assert_eq!(world.ask("GET /accounts", None).status, 403);
    assert_eq!(world.ask("GET /keys", None).status, 403);
    let admin = json!({ "name": "k", "scopes": ["accounts:admin"] });
    let answer = world.operator(&format!("POST /accounts/{}/keys", world.account_id()), Some(&admin));
    assert_eq!((answer.status, code(&answer.body)), (400, "invalid_request".to_owned()));
    let nothing: Value = json!({ "name": "k", "scopes": [] });
    assert_eq!(world.operator("POST /keys", Some(&nothing)).status, 400);
}
