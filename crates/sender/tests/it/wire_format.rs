//! What goes over the wire: each header, and signatures that a public library accepts.

use std::time::Duration;

use postrider_model::time::Timestamp;
use postrider_ports::Clock as _;
use postrider_sender::StaticResolver;
use postrider_testkit::clock::SimClock;
use postrider_testkit::receiver::{Answer, Receiver, Request, Script};
use standardwebhooks::Webhook as Judge;

use crate::world::{SECRET, World, outgoing, outgoing_to, secret, webhook};

/// What another implementation of Standard Webhooks says of a request. It holds no clock of ours: the signed time is its now.
fn judge(secret: &str, request: &Request) -> bool {
    let judge = Judge::new(secret).unwrap();
    let id = request.header("webhook-id");
    let timestamp = request.header("webhook-timestamp").parse().unwrap();
    let signed = judge.sign(id, timestamp, &request.body).unwrap();
    request.header("webhook-signature").split(' ').any(|one| one == signed)
}

#[tokio::test]
async fn each_header_says_what_the_contract_says() {
    let world = World::new();
    let receiver = Receiver::http(Script::always(Answer::status(204))).await;
    let sent = outgoing(&receiver.url("/hook?a=b"));
    let body = sent.body.clone();
    let outcome = world.send(sent).await;
    assert!(outcome.is_success(), "{outcome:?}");
    assert_eq!(outcome.started_at, world.clock.wall());
    let response = outcome.response.unwrap();
    assert_eq!((response.status, response.headers, response.body), (204, None, None));

    let request = receiver.request(1).await;
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/hook?a=b"));
    assert_eq!(request.body, body);
    let mut names: Vec<_> = request.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    let expected = [
        "content-length",
        "content-type",
        "event-id",
        "host",
        "user-agent",
        "webhook-attempt",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    ];
    assert_eq!(names, expected);
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("webhook-id"), "whd_0000000000000000000000001a");
    assert_eq!(request.header("webhook-timestamp"), world.clock.wall().as_seconds().to_string());
    assert_eq!(request.header("webhook-attempt"), "3");
    assert_eq!(request.header("event-id"), "order-17");
    assert_eq!(request.header("user-agent"), "Postrider/1.2.3");
    assert_eq!(request.header("host"), receiver.address().to_string());
    assert_eq!(request.header("content-length"), body.len().to_string());
    assert!(judge(SECRET, &request));
}

#[tokio::test]
async fn the_public_library_verifies_a_delivery_as_it_is() {
    #[expect(clippy::disallowed_methods, reason = "the library compares the signed time with the real one")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let clock = SimClock::starting_at(Timestamp::from_millis(now.as_millis().try_into().unwrap()));
    let world = World::at(clock, StaticResolver::new(), |_| {});
    let receiver = Receiver::http(Script::always(Answer::status(204))).await;
    assert!(world.send(outgoing(&receiver.url("/"))).await.is_success());
    let mut request = receiver.request(1).await;
    let judge = Judge::new(SECRET).unwrap();
    judge.verify(&request.body, &request.headers).unwrap();
    request.headers.insert("webhook-id", "whd_another".parse().unwrap());
    assert!(judge.verify(&request.body, &request.headers).is_err());
}

#[tokio::test]
async fn a_test_delivery_has_no_event_id() {
    let world = World::new();
    let receiver = Receiver::http(Script::always(Answer::status(200))).await;
    let mut sent = outgoing(&receiver.url("/"));
    sent.event = None;
    assert!(world.send(sent).await.is_success());
    assert!(!receiver.request(1).await.headers.contains_key("event-id"));
}

#[tokio::test]
async fn while_a_secret_rotates_each_of_them_signs() {
    const NEW: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const GONE: &str = "whsec_bm90IHZhbGlkIGFueSBtb3JlIGF0IGFsbA==";
    let world = World::new();
    let receiver = Receiver::http(Script::always(Answer::status(200))).await;
    let mut rotating = webhook(&receiver.url("/"));
    let now = world.clock.wall();
    let mut old = secret(SECRET);
    old.expires_at = Some(now + Duration::from_secs(10));
    let mut gone = secret(GONE);
    gone.expires_at = Some(now);
    rotating.secrets = vec![secret(NEW), old, gone];

    assert!(world.send(outgoing_to(rotating.clone())).await.is_success());
    let request = receiver.request(1).await;
    assert_eq!(request.header("webhook-signature").split(' ').count(), 2);
    assert!(judge(NEW, &request) && judge(SECRET, &request) && !judge(GONE, &request));

    world.clock.advance(Duration::from_secs(10));
    assert!(world.send(outgoing_to(rotating)).await.is_success());
    let request = receiver.request(2).await;
    assert_eq!(
        request.header("webhook-timestamp"),
        (now + Duration::from_secs(10)).as_seconds().to_string()
    );
    assert!(judge(NEW, &request) && !judge(SECRET, &request));
}
