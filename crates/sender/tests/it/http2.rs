//! HTTP/2, by ALPN: one connection for many requests at a time.

use std::time::Duration;

use bytes::Bytes;
use postrider_model::attempt::ErrorKind;
use postrider_testkit::ca::{Leaf, TestCa};
use postrider_testkit::receiver::{Answer, Receiver, Script, Signal};
use tokio::sync::watch;

use crate::tls::{receiver, trusting};
use crate::world::{World, error, outgoing};

const HOST: &str = "shop.example.com";

async fn start(script: Script) -> (World, Receiver, String) {
    let ca = TestCa::new();
    let (receiver, url) = receiver(&ca, &Leaf::of(&[HOST]), script).await;
    (trusting(&ca), receiver, url)
}

#[tokio::test]
async fn requests_share_one_connection_and_say_the_same_as_over_http_1() {
    let (world, receiver, url) = start(Script::always(Answer::status(200).body("ok"))).await;
    for _ in 0..3 {
        assert!(world.send(outgoing(&url)).await.is_success());
    }
    let requests = receiver.requests();
    assert!(requests.iter().all(|request| request.is_http2 && request.connection == 1));
    let request = &requests[0];
    assert_eq!(request.path, "/hook");
    assert_eq!(request.header("host"), format!("{HOST}:{}", receiver.port()));
    assert_eq!(request.header("webhook-id"), "whd_0000000000000000000000001a");
    assert_eq!(request.header("content-length"), request.body.len().to_string());
    assert_eq!(request.body, outgoing(&url).body);
}

#[tokio::test]
async fn requests_at_a_time_share_a_connection_up_to_its_streams() {
    let signal = Signal::new();
    let waiting = Answer::status(200).after(&signal);
    let script = Script::by(move |number, _| if number == 1 { Answer::status(200) } else { waiting.clone() });
    let (world, receiver, url) = start(script).await;
    assert!(world.send(outgoing(&url)).await.is_success());
    // The receiver allows 100 streams a connection.
    let attempts: Vec<_> = (0..100).map(|_| world.start(outgoing(&url))).collect();
    receiver.wait_for_requests(101).await;
    assert_eq!(receiver.connections(), 1);
    let over = world.start(outgoing(&url));
    receiver.wait_for_requests(102).await;
    assert_eq!(receiver.connections(), 2);
    signal.give();
    for attempt in attempts.into_iter().chain([over]) {
        assert!(attempt.await.unwrap().unwrap().is_success());
    }
}

#[tokio::test]
async fn a_goaway_is_no_attempt() {
    let (world, receiver, url) = start(Script::sequence([Answer::status(200), Answer::go_away(), Answer::status(202)])).await;
    assert!(world.send(outgoing(&url)).await.is_success());
    let outcome = world.send(outgoing(&url)).await;
    assert_eq!(outcome.response.unwrap().status, 202);
    assert_eq!(
        receiver.requests().iter().map(|request| request.connection).collect::<Vec<_>>(),
        [1, 1, 2]
    );
}

#[tokio::test]
async fn a_connection_that_is_closed_is_no_attempt() {
    let (world, receiver, url) = start(Script::sequence([Answer::status(200), Answer::close(), Answer::status(202)])).await;
    assert!(world.send(outgoing(&url)).await.is_success());
    assert_eq!(world.send(outgoing(&url)).await.response.unwrap().status, 202);
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn a_stream_that_is_reset_on_a_fresh_connection_is_a_failed_attempt() {
    let (world, receiver, url) = start(Script::always(Answer::reset())).await;
    let outcome = world.send(outgoing(&url)).await;
    assert_eq!(error(&outcome).0, ErrorKind::Protocol);
    assert_eq!(receiver.request_count(), 1);
}

#[tokio::test]
async fn silence_ends_at_the_read_limit() {
    let (world, receiver, url) = start(Script::always(Answer::hang())).await;
    let attempt = world.start(outgoing(&url));
    receiver.wait_for_requests(1).await;
    let mut passed = Duration::ZERO;
    while !attempt.is_finished() {
        passed += world.clock.advance_to_next().unwrap_or_default();
        tokio::task::yield_now().await;
    }
    let outcome = attempt.await.unwrap().unwrap();
    assert_eq!(error(&outcome).0, ErrorKind::Timeout);
    assert!(error(&outcome).1.contains("response"), "{outcome:?}");
    assert!(outcome.duration >= Duration::from_secs(15) && passed >= Duration::from_secs(15));
}

#[tokio::test]
async fn failures_keep_their_headers_and_body() {
    let answer = Answer::status(503).header("retry-after", "7").body(vec![b'a'; 10_000]);
    let (world, _receiver, url) = start(Script::always(answer)).await;
    let outcome = world.send(outgoing(&url)).await;
    assert_eq!(outcome.retry_after, Some(Duration::from_secs(7)));
    let response = outcome.response.unwrap();
    assert_eq!(
        (response.status, response.body.unwrap().len(), response.truncated),
        (503, 4_096, true)
    );
}

#[tokio::test]
async fn a_large_body_arrives_whole() {
    let (world, receiver, url) = start(Script::always(Answer::status(200))).await;
    let mut sent = outgoing(&url);
    sent.body = Bytes::from(vec![b'a'; 256 * 1024]);
    assert!(world.send(sent).await.is_success());
    assert_eq!(receiver.request(1).await.body.len(), 256 * 1024);
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let (world, receiver, url) = start(Script::always(Answer::status(200))).await;
    assert!(world.send(outgoing(&url)).await.is_success());
    assert_eq!(world.sender.idle_connections(), 1);
    for _ in 0..3 {
        world.clock.wait_for_sleepers(1).await;
        world.clock.advance(Duration::from_secs(15));
        tokio::task::yield_now().await;
        if world.sender.idle_connections() == 0 {
            break;
        }
    }
    while receiver.open_connections() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.sender.open_sockets(), 0);
}

#[tokio::test]
async fn a_slow_reader_ends_at_the_write_limit() {
    let ca = TestCa::new();
    let tls = tokio_rustls::TlsAcceptor::from(ca.server_config(&Leaf::of(&[HOST])));
    let (accepted, mut seen) = watch::channel(false);
    // It shakes hands and reads nothing: 64 KiB fit into the window of a stream (RFC 9113 §6.9.2), the rest waits.
    let receiver = Receiver::raw(move |stream| {
        let (tls, accepted) = (tls.clone(), accepted.clone());
        async move {
            let stream = tls.accept(stream).await.unwrap();
            accepted.send_replace(true);
            std::future::pending::<()>().await;
            drop(stream);
        }
    })
    .await;
    let world = trusting(&ca);
    let mut sent = outgoing(&format!("https://{HOST}:{}/", receiver.port()));
    sent.body = Bytes::from(vec![b'a'; 256 * 1024]);
    let attempt = world.start(sent);
    seen.wait_for(|accepted| *accepted).await.unwrap();
    let mut passed = Duration::ZERO;
    while !attempt.is_finished() {
        passed += world.clock.advance_to_next().unwrap_or_default();
        tokio::task::yield_now().await;
    }
    let outcome = attempt.await.unwrap().unwrap();
    assert_eq!(error(&outcome).0, ErrorKind::Timeout);
    assert!(error(&outcome).1.contains("write"), "{outcome:?}");
    assert!(passed <= Duration::from_secs(25));
}

#[tokio::test]
async fn after_five_minutes_a_fresh_connection_is_opened() {
    let (world, receiver, url) = start(Script::always(Answer::status(200))).await;
    for _ in 0..15 {
        assert!(world.send(outgoing(&url)).await.is_success());
        assert_eq!(receiver.connections(), 1);
        world.clock.advance(Duration::from_secs(20));
    }
    assert!(world.send(outgoing(&url)).await.is_success());
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn a_large_body_of_an_acknowledgement_is_left() {
    let answer = Answer::status(200).body(vec![b'a'; 10_000_000]);
    let (world, receiver, url) = start(Script::always(answer)).await;
    for _ in 0..3 {
        assert!(world.send(outgoing(&url)).await.is_success());
    }
    assert_eq!(receiver.connections(), 1, "only the stream is given up");
}

#[tokio::test]
async fn an_attempt_that_is_dropped_leaves_the_connection_to_the_others() {
    let script = Script::sequence([Answer::status(200), Answer::hang(), Answer::status(202)]);
    let (world, receiver, url) = start(script).await;
    assert!(world.send(outgoing(&url)).await.is_success());
    let attempt = world.start(outgoing(&url));
    receiver.wait_for_requests(2).await;
    attempt.abort();
    assert!(attempt.await.unwrap_err().is_cancelled());
    assert_eq!(world.send(outgoing(&url)).await.response.unwrap().status, 202);
    assert_eq!(receiver.connections(), 1);
}
