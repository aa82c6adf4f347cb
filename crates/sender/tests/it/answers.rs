//! What counts as an acknowledgement, and what is kept of everything else.

use std::time::Duration;

use postrider_model::attempt::ErrorKind;
use postrider_ports::Clock as _;
use postrider_testkit::receiver::{Answer, Receiver, Script, Signal, Step};

use crate::world::{World, error, outgoing};

#[tokio::test]
async fn any_2xx_acknowledges_and_nothing_else() {
    let world = World::new();
    for status in [200, 201, 202, 204, 206, 299] {
        let receiver = Receiver::http(Script::always(Answer::status(status))).await;
        let outcome = world.send(outgoing(&receiver.url("/"))).await;
        assert!(outcome.is_success(), "{status}: {outcome:?}");
    }
    for status in [301, 302, 307, 400, 404, 410, 429, 500, 503, 599] {
        let receiver = Receiver::http(Script::always(Answer::status(status))).await;
        let outcome = world.send(outgoing(&receiver.url("/"))).await;
        assert_eq!(error(&outcome).0, ErrorKind::Http, "{status}");
        assert_eq!(outcome.response.unwrap().status, status);
    }
}

#[tokio::test]
async fn headers_and_the_first_4_kib_of_a_failure_are_kept() {
    let world = World::new();
    let answer = Answer::status(500).header("x-why", "no room").body(vec![b'a'; 5_000]);
    let receiver = Receiver::http(Script::sequence([answer, Answer::status(418).body("short")])).await;
    let response = world.send(outgoing(&receiver.url("/"))).await.response.unwrap();
    assert_eq!(response.body.unwrap(), vec![b'a'; 4_096]);
    assert!(response.truncated);
    assert!(response.headers.unwrap().contains(&("x-why".to_owned(), "no room".to_owned())));

    let outcome = world.send(outgoing(&receiver.url("/"))).await;
    assert_eq!(error(&outcome).1, "the receiver answered 418 I'm a teapot");
    let response = outcome.response.unwrap();
    assert_eq!((response.body.unwrap().as_ref(), response.truncated), (&b"short"[..], false));
    // Both bodies were read to their ends, so the connection was used again.
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let world = World::new();
    let elsewhere = Receiver::http(Script::always(Answer::status(200))).await;
    let answer = Answer::status(307).header("location", &elsewhere.url("/"));
    let receiver = Receiver::http(Script::always(answer)).await;
    let outcome = world.send(outgoing(&receiver.url("/"))).await;
    assert_eq!(
        error(&outcome),
        (
            ErrorKind::Http,
            "the receiver answered 307 Temporary Redirect: redirects are not followed"
        )
    );
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn retry_after_is_read_as_seconds_and_as_a_date() {
    let world = World::new();
    // The clock of the test stands at 2026-01-15T10:30:00Z.
    for (value, expected) in [
        ("120", Some(120)),
        ("0", Some(0)),
        ("-5", Some(0)),
        ("Thu, 15 Jan 2026 10:31:30 GMT", Some(90)),
        ("Thu, 15 Jan 2026 10:00:00 GMT", Some(0)),
        ("99999999999999999999", Some(u64::from(u32::MAX))),
        ("soon", None),
        ("", None),
    ] {
        let receiver = Receiver::http(Script::always(Answer::status(503).header("retry-after", value))).await;
        let outcome = world.send(outgoing(&receiver.url("/"))).await;
        assert_eq!(outcome.retry_after, expected.map(Duration::from_secs), "{value}");
    }
}

#[tokio::test]
async fn durations_are_those_of_the_clock() {
    let world = World::new();
    let signal = Signal::new();
    let receiver = Receiver::http(Script::always(Answer::status(200).after(&signal))).await;
    let attempt = world.start(outgoing(&receiver.url("/")));
    receiver.wait_for_requests(1).await;
    world.clock.wait_for_sleepers(1).await;
    world.clock.advance(Duration::from_millis(14_999));
    signal.give();
    let outcome = attempt.await.unwrap().unwrap();
    assert!(outcome.is_success());
    assert_eq!(outcome.duration, Duration::from_millis(14_999));
    assert_eq!(outcome.response.unwrap().duration, Duration::from_millis(14_999));
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let world = World::new();
    let bytes = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let receiver = Receiver::http(Script::always(Answer::raw(bytes))).await;
    for _ in 0..2 {
        assert_eq!(world.send(outgoing(&receiver.url("/"))).await.response.unwrap().status, 200);
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn http_1_0_and_chunked_answers_are_understood() {
    let world = World::new();
    let old = Answer::steps([Step::Write("HTTP/1.0 200 OK\r\n\r\nthanks".into()), Step::Close]);
    let chunked = Answer::raw("HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    let receiver = Receiver::http(Script::sequence([old, chunked, Answer::status(200)])).await;
    assert!(world.send(outgoing(&receiver.url("/"))).await.is_success());
    let response = world.send(outgoing(&receiver.url("/"))).await.response.unwrap();
    assert_eq!((response.body.unwrap().as_ref(), response.truncated), (&b"abcde"[..], false));
    assert!(world.send(outgoing(&receiver.url("/"))).await.is_success());
    assert_eq!(
        receiver.connections(),
        2,
        "the chunked body ended, so its connection was used again"
    );
}

#[tokio::test]
async fn an_acknowledgement_counts_when_its_headers_are_there() {
    let world = World::new();
    let body_never_ends = Answer::steps([Step::Write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab".into()), Step::Hang]);
    let receiver = Receiver::http(Script::always(body_never_ends)).await;
    let outcome = world.send(outgoing(&receiver.url("/"))).await;
    assert!(outcome.is_success());
    assert_eq!(outcome.duration, Duration::ZERO);
    // The rest has five seconds to come, off the outcome's path; then the connection is closed.
    assert_eq!(world.sender.open_sockets(), 1);
    assert_eq!(world.let_limit_pass().await, Duration::from_secs(5));
    while world.sender.open_sockets() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.sender.idle_connections(), 0);
}

#[tokio::test]
async fn the_rest_of_an_acknowledgement_is_read_so_that_the_connection_serves_again() {
    let world = World::new();
    let signal = Signal::new();
    let slow = Answer::steps([
        Step::Write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab".into()),
        Step::Wait(signal.clone()),
        Step::Write("cde".into()),
    ]);
    let receiver = Receiver::http(Script::sequence([slow, Answer::status(204)])).await;
    assert!(world.send(outgoing(&receiver.url("/"))).await.is_success());
    assert_eq!(world.sender.idle_connections(), 0);
    signal.give();
    while world.sender.idle_connections() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(world.send(outgoing(&receiver.url("/"))).await.is_success());
    assert_eq!(receiver.connections(), 1);
    assert_eq!(world.clock.mono(), postrider_testkit::clock::SimClock::new().mono());
}
