//! Every error code has a test: here against the real server, or, where no client can bring it about, in the tests of the API.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use postrider_api::Code;
use postrider_model::time::Timestamp;
use serde_json::json;

use super::{World, code, event, id};
use crate::world::{Answer, OPERATOR_KEY};

/// Codes that need a fault of the store, or two things at one moment, and the tests that bring one about: file and function below `crates/api`.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    (
        "unavailable",
        "tests/it/errors.rs",
        "a_store_that_is_gone_is_a_503_that_says_when_to_come_again",
    ),
    (
        "internal_error",
        "tests/it/errors.rs",
        "what_is_damaged_is_a_500_and_only_for_whoever_asks_for_it",
    ),
    (
        "overloaded",
        "tests/it/bodies.rs",
        "bodies_of_all_requests_share_one_limit_of_memory",
    ),
    (
        "stopping",
        "tests/it/busy.rs",
        "a_server_that_stops_takes_no_events_and_says_when_to_come_again",
    ),
    (
        "dispatch_only",
        "tests/it/nodes.rs",
        "a_node_that_only_sends_answers_what_is_asked_of_it_alone",
    ),
    ("too_many_jobs", "tests/it/jobs.rs", "so_many_jobs_run_and_no_more"),
    (
        "event_id_expired",
        "tests/it/streams.rs",
        "a_last_event_that_is_unknown_or_kept_no_longer_is_refused",
    ),
    (
        "too_many_streams",
        "tests/it/streams.rs",
        "an_account_has_so_many_streams_and_gets_the_place_of_one_that_ends",
    ),
    (
        "idempotency_key_in_use",
        "tests/it/idempotency.rs",
        "while_the_first_is_at_work_its_key_is_in_use",
    ),
];

/// What was answered, by its code.
type Seen = BTreeMap<String, u16>;

fn note(seen: &mut Seen, answer: Answer) {
    seen.insert(code(&answer.body), answer.status);
}

#[test]
fn every_code_is_answered_with_its_status_or_tested_elsewhere() {
    let mut seen = Seen::new();
    requests(&mut seen);
    keys(&mut seen);
    conflicts(&mut seen);
    sizes(&mut seen);
    for code in Code::ALL {
        let word = code.as_str();
        if let Some(status) = seen.get(word) {
            assert_eq!(*status, code.status().as_u16(), "{word}");
            continue;
        }
        let elsewhere = ELSEWHERE.iter().find(|(known, ..)| *known == word);
        let is_tested = elsewhere.is_some_and(|(_, file, test)| {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api").join(file);
            std::fs::read_to_string(file).unwrap().contains(&format!("fn {test}("))
        });
        assert!(is_tested, "the code {word} has no test: bring it about here");
    }
}

fn requests(seen: &mut Seen) {
    let world = World::new();
    for line in [
        "GET /nothing",
        "PATCH /webhooks",
        "GET /webhooks?x=1",
        "GET /webhooks/wh_1",
        "GET /events/evt_1",
        "GET /deliveries/whd_1",
        "GET /jobs/job_1",
        "GET /accounts",
        "POST /events",
    ] {
        note(seen, world.ask(line, None));
    }
    for line in ["GET /accounts/acc_1", "GET /keys/key_1", "GET /webhooks"] {
        note(seen, world.operator(line, None));
    }
    for name in ["one", "two"] {
        let answer = world.ask_as(&world.account.token, "POST /events", "Idempotency-Key: k\r\n", Some(&event(name)));
        note(seen, answer);
    }
    let json = "Content-Type: application/json\r\n";
    let bearer = format!("Authorization: Bearer {}\r\n", world.account.token);
    raw(
        &world,
        seen,
        "/events",
        &format!("{bearer}Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{{}}"),
    );
    raw(
        &world,
        seen,
        "/events",
        &format!("{bearer}{json}Transfer-Encoding: chunked\r\n\r\nno chunk\r\n"),
    );
    for form in [
        "grant_type=password&client_id=key_1&client_secret=x",
        "grant_type=client_credentials&client_id=key_1&client_secret=x",
        &format!(
            "grant_type=client_credentials&client_id={}&client_secret={}&scope=accounts:admin",
            world.key_id(),
            world.account.token
        ),
    ] {
        let head = format!(
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            form.len()
        );
        raw(&world, seen, "/auth/token", &format!("{head}{form}"));
    }
}

/// Posts what the client of the tests would not say, and notes the answer.
fn raw(world: &World, seen: &mut Seen, path: &str, rest: &str) {
    let mut stream = TcpStream::connect(world.server.address).unwrap();
    write!(stream, "POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{rest}").unwrap();
    let mut answer = String::new();
    // A reset behind the answer is its end too.
    let _ = stream.read_to_string(&mut answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let body: serde_json::Value = serde_json::from_str(answer.rsplit("\r\n").next().unwrap_or_default()).unwrap_or_default();
    seen.insert(code(&body), status);
}

fn keys(seen: &mut Seen) {
    let world = World::new();
    note(seen, world.ask_as("", "GET /me", "", None));
    note(seen, world.ask_as("ptr_wrong", "GET /me", "", None));
    note(seen, world.ask_as(&world.account.token, "GET /me", "Account-Id: other\r\n", None));
    note(seen, expired(&world));
    let account = world.account_id();
    world.operator(&format!("PUT /accounts/{account}"), Some(&json!({ "is_active": false })));
    note(seen, world.ask("GET /me", None));
}

/// What a key is answered whose end has come. It is asked until then; where the end came before the key was made, the next has longer.
fn expired(world: &World) -> Answer {
    let account = world.account_id();
    let mut margin = Duration::from_millis(100);
    loop {
        let now: Timestamp = world.event("a")["created_at"].as_str().unwrap().parse().unwrap();
        let draft = json!({ "name": "short", "expires_at": now + margin });
        let made = world.operator(&format!("POST /accounts/{account}/keys"), Some(&draft));
        if let Some(token) = made.body["token"].as_str() {
            loop {
                let answer = world.ask_as(token, "GET /me", "", None);
                if answer.status != 200 {
                    return answer;
                }
            }
        }
        assert_eq!(code(&made.body), "validation_failed", "{made:?}");
        margin *= 2;
    }
}

fn conflicts(seen: &mut Seen) {
    let world = World::with(&["--webhooks-per-account", "1"]);
    let webhook = id(&world.webhook());
    note(seen, world.ask("POST /webhooks", Some(&json!({ "url": world.receiver.url() }))));
    for _ in 0..5 {
        note(seen, world.ask(&format!("POST /webhooks/{webhook}/secret/rotate"), None));
    }
    let mut own = event("a");
    own["id"] = json!("own");
    note(seen, world.ask("POST /events", Some(&own)));
    own["name"] = json!("b");
    note(seen, world.ask("POST /events", Some(&own)));
    for draft in [
        json!({ "name": "a", "external_id": "x" }),
        json!({ "name": "b", "external_id": "y" }),
    ] {
        note(seen, world.operator("POST /accounts", Some(&draft)));
    }
    note(seen, world.operator("PUT /accounts/x", Some(&json!({ "external_id": "y" }))));
    let delivery = id(&world.delivery("succeeded"));
    world.ask(&format!("PUT /webhooks/{webhook}"), Some(&json!({ "is_active": false })));
    note(seen, world.ask(&format!("POST /deliveries/{delivery}/retry"), None));
    world.ask(&format!("DELETE /webhooks/{webhook}"), None);
    note(seen, world.ask(&format!("POST /deliveries/{delivery}/retry"), None));
}

fn sizes(seen: &mut Seen) {
    let world = World::new();
    note(seen, world.ask("POST /events", Some(&json!({ "name": "x".repeat(1024 * 1024) }))));
    // Twenty-one webhooks times a thousand events.
    for _ in 0..21 {
        world.webhook();
    }
    let batch = json!({ "events": vec![event("a"); 1_000] });
    let answer = world.ask_as(
        OPERATOR_KEY,
        "POST /events/batch",
        &format!("Account-Id: {}\r\n", world.account_id()),
        Some(&batch),
    );
    assert_eq!(answer.body["context"]["deliveries"], 21_000, "it says the number");
    note(seen, answer);
}
