//! TLS: whom we trust, and what is said of those whom we do not.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider_model::attempt::ErrorKind;
use postrider_sender::{HttpSender, SenderOptions, SetupError, StaticResolver};
use postrider_testkit::ca::{Leaf, TestCa};
use postrider_testkit::clock::SimClock;
use postrider_testkit::receiver::{Answer, Receiver, Script};

use crate::world::{World, error, ip, outgoing};

const HOST: &str = "shop.example.com";

/// A world that trusts this authority, and knows where the host is.
pub(crate) fn trusting(ca: &TestCa) -> World {
    let names = StaticResolver::new().name(HOST, &[ip("127.0.0.1")]);
    World::by(names, |options| options.extra_roots_pem = Some(ca.root_pem().into_bytes()))
}

pub(crate) async fn receiver(ca: &TestCa, leaf: &Leaf, script: Script) -> (Receiver, String) {
    let receiver = Receiver::https(ca.server_config(leaf), script).await;
    let url = receiver.url_by_name(HOST, "/hook");
    (receiver, url)
}

#[tokio::test]
async fn https_over_http_1_with_the_ca_file_works_and_is_kept_alive() {
    let ca = TestCa::new();
    let (receiver, url) = receiver(&ca, &Leaf::of(&[HOST]).http1_only(), Script::always(Answer::status(200))).await;
    let world = trusting(&ca);
    for _ in 0..3 {
        assert!(world.send(outgoing(&url)).await.is_success());
    }
    assert_eq!((receiver.request_count(), receiver.connections()), (3, 1));
    let request = receiver.request(1).await;
    assert!(!request.is_http2);
    assert_eq!(request.header("host"), format!("{HOST}:{}", receiver.port()));
}

#[tokio::test]
async fn whom_we_cannot_trust_is_told_why() {
    let ca = TestCa::new();
    let ok = || Script::always(Answer::status(200));
    for (issuer, leaf, why) in [
        (
            &ca,
            Leaf::of(&["other.example.com"]),
            "the receiver's certificate is for another name",
        ),
        (&ca, Leaf::of(&[HOST]).expired(), "the receiver's certificate has expired"),
        (
            &TestCa::new(),
            Leaf::of(&[HOST]),
            "the receiver's certificate comes from a certificate authority that is not trusted here",
        ),
    ] {
        let (receiver, url) = receiver(issuer, &leaf, ok()).await;
        let outcome = trusting(&ca).send(outgoing(&url)).await;
        assert_eq!(error(&outcome), (ErrorKind::Tls, why));
        assert_eq!(receiver.request_count(), 0);
    }
}

#[tokio::test]
async fn without_the_ca_file_nobody_trusts_it() {
    let ca = TestCa::new();
    let (_receiver, url) = receiver(&ca, &Leaf::of(&[HOST]), Script::always(Answer::status(200))).await;
    let world = World::by(StaticResolver::new().name(HOST, &[ip("127.0.0.1")]), |_| {});
    assert_eq!(error(&world.send(outgoing(&url)).await).0, ErrorKind::Tls);
}

#[tokio::test]
async fn a_receiver_that_speaks_no_tls_is_told_so() {
    let ca = TestCa::new();
    let receiver = Receiver::raw(|mut stream| async move {
        use tokio::io::AsyncWriteExt as _;
        // The sender may be gone already.
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let outcome = trusting(&ca).send(outgoing(&format!("https://{HOST}:{}/", receiver.port()))).await;
    let why = "the receiver answered the TLS handshake with something that is not TLS";
    assert_eq!(error(&outcome), (ErrorKind::Tls, why));
}

#[tokio::test]
async fn a_receiver_that_closes_in_the_handshake_is_told_so() {
    let ca = TestCa::new();
    let receiver = Receiver::raw(|mut stream| async move {
        use tokio::io::AsyncReadExt as _;
        let mut hello = [0u8; 16 * 1024];
        // The sender may be gone already.
        let _ = stream.read(&mut hello).await;
    })
    .await;
    let outcome = trusting(&ca).send(outgoing(&format!("https://{HOST}:{}/", receiver.port()))).await;
    assert_eq!(
        error(&outcome),
        (ErrorKind::Tls, "the receiver closed the connection during the TLS handshake")
    );
}

#[tokio::test]
async fn a_receiver_that_keeps_silent_in_the_handshake_ends_at_the_connect_limit() {
    let ca = TestCa::new();
    let receiver = Receiver::raw(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let world = trusting(&ca);
    let attempt = world.start(outgoing(&format!("https://{HOST}:{}/", receiver.port())));
    receiver.wait_for_connections(1).await;
    assert_eq!(world.let_limit_pass().await, Duration::from_secs(5));
    let outcome = attempt.await.unwrap().unwrap();
    assert_eq!(error(&outcome).0, ErrorKind::Timeout);
    assert!(error(&outcome).1.contains("TLS handshake"), "{outcome:?}");
}

#[tokio::test]
async fn a_ca_file_that_is_none_is_refused_at_start() {
    for pem in [
        &b"not a certificate"[..],
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let mut options = SenderOptions::new(Arc::new(SimClock::new()), Arc::new(StaticResolver::new()));
        options.extra_roots_pem = Some(pem.to_vec());
        assert!(matches!(HttpSender::new(options), Err(SetupError::ExtraRoots(_))));
    }
}

#[tokio::test]
async fn limits_hold_under_tls_as_they_do_without() {
    let ca = TestCa::new();
    let (receiver, url) = receiver(&ca, &Leaf::of(&[HOST]).http1_only(), Script::always(Answer::hang())).await;
    let world = trusting(&ca);
    let mut sent = outgoing(&url);
    sent.body = Bytes::from(vec![b'a'; 256 * 1024]);
    let attempt = world.start(sent);
    receiver.wait_for_requests(1).await;
    assert_eq!(receiver.request(1).await.body.len(), 256 * 1024);
    let mut passed = Duration::ZERO;
    while !attempt.is_finished() {
        passed += world.clock.advance_to_next().unwrap_or_default();
        tokio::task::yield_now().await;
    }
    let outcome = attempt.await.unwrap().unwrap();
    assert_eq!(error(&outcome).0, ErrorKind::Timeout);
    assert!(passed >= Duration::from_secs(5) && passed <= Duration::from_secs(25), "{passed:?}");
}

#[tokio::test]
async fn a_connection_that_dies_under_the_request_is_tried_once_more_under_tls_too() {
    let ca = TestCa::new();
    for death in [Answer::close(), Answer::reset()] {
        let script = Script::sequence([Answer::status(200), death, Answer::status(202)]);
        let (receiver, url) = receiver(&ca, &Leaf::of(&[HOST]).http1_only(), script).await;
        let world = trusting(&ca);
        assert!(world.send(outgoing(&url)).await.is_success());
        assert_eq!(world.send(outgoing(&url)).await.response.unwrap().status, 202);
        assert_eq!((receiver.request_count(), receiver.connections()), (3, 2));
    }
}
