//! `POST /auth/token`: OAuth2 client_credentials.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{World, code, fields, id};

/// Posts a form; the status, the head and the body of the answer.
fn post(world: &World, headers: &str, form: &str) -> (u16, String, Value) {
    let mut stream = TcpStream::connect(world.server.address).unwrap();
    write!(
        stream,
        "POST /auth/token HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{form}",
        form.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    // It may be closed already.
    let _ = stream.shutdown(Shutdown::Both);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), serde_json::from_str(body).unwrap())
}

fn token(world: &World, more: &str) -> Value {
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}{more}",
        world.key_id(),
        world.account.token
    );
    let (status, head, body) = post(world, "", &form);
    assert_eq!(status, 200, "{body}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    body
}

#[test]
fn a_token_is_answered_with_its_fields_and_is_a_bearer_token() {
    let world = World::new();
    let answer = token(&world, "");
    assert_eq!(
        fields(&answer),
        ["access_token", "expires_in", "refresh_token", "scope", "token_type"]
    );
    assert_eq!(
        (&answer["token_type"], &answer["expires_in"], &answer["refresh_token"]),
        (&json!("bearer"), &json!(900), &Value::Null)
    );
    assert_eq!(answer["scope"].as_str().unwrap().split(' ').count(), 6);
    let bearer = answer["access_token"].as_str().unwrap();
    let me = world.ask_as(bearer, "GET /me", "", None);
    assert_eq!((me.status, id(&me.body["account"])), (200, world.account_id()));
}

#[test]
fn the_client_may_stand_in_http_basic() {
    let world = World::new();
    let basic = STANDARD.encode(format!("{}:{}", world.key_id(), world.account.token));
    let (status, _, body) = post(
        &world,
        &format!("Authorization: Basic {basic}\r\n"),
        "grant_type=client_credentials",
    );
    assert_eq!(status, 200, "{body}");
    let wrong = STANDARD.encode(format!("{}:wrong", world.key_id()));
    let (status, head, body) = post(
        &world,
        &format!("Authorization: Basic {wrong}\r\n"),
        "grant_type=client_credentials",
    );
    assert_eq!(
        (status, code(&body).as_str(), &body["error"]),
        (401, "invalid_client", &json!("invalid_client"))
    );
    assert!(head.contains("www-authenticate: basic"), "{head}");
}

#[test]
fn a_scope_narrows_and_one_that_the_key_lacks_is_a_400() {
    let world = World::new();
    let answer = token(&world, "&scope=events:write%20events:read");
    let mut scopes: Vec<&str> = answer["scope"].as_str().unwrap().split(' ').collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["events:read", "events:write"]);
    let refused = world.ask_as(answer["access_token"].as_str().unwrap(), "GET /webhooks", "", None);
    assert_eq!((refused.status, code(&refused.body).as_str()), (403, "insufficient_scope"));
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope=accounts:admin",
        world.key_id(),
        world.account.token
    );
    let (status, _, body) = post(&world, "", &form);
    assert_eq!(
        (status, &body["error"], code(&body).as_str()),
        (400, &json!("invalid_scope"), "invalid_scope")
    );
    assert!(!body["detail"].as_str().unwrap().is_empty());
}

#[test]
fn another_grant_is_a_400_with_the_error_of_the_rfc() {
    let world = World::new();
    let (status, _, body) = post(&world, "", "grant_type=password&username=a&password=b");
    assert_eq!((status, &body["error"]), (400, &json!("unsupported_grant_type")));
}

#[test]
fn a_token_outlives_a_restart_and_dies_with_its_key() {
    let world = World::new();
    let bearer = token(&world, "")["access_token"].as_str().unwrap().to_owned();
    let world = world.after_a_crash(&[]);
    assert_eq!(world.ask_as(&bearer, "GET /me", "", None).status, 200);
    let key = format!("/accounts/{}/keys/{}", world.account_id(), world.key_id());
    assert_eq!(world.operator(&format!("DELETE {key}"), None).status, 204);
    assert_eq!(world.ask_as(&bearer, "GET /me", "", None).status, 401);
    let changed = bearer.replacen('.', "A.", 1);
    assert_eq!(world.ask_as(&changed, "GET /me", "", None).status, 401);
}
