//! Receivers that do harm, or would like to: none holds an attempt longer than its limits, and each is told in plain words.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use postrider_model::attempt::ErrorKind;
use postrider_sender::Dial;
use postrider_testkit::receiver::{Answer, Receiver, Script, Signal, Step};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

use crate::world::{World, error, ip, outgoing};

#[tokio::test]
async fn a_receiver_that_never_accepts_ends_at_the_connect_limit() {
    let world = World::new();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    // With its backlog full the system drops what comes: a connection neither opens nor fails.
    let mut filling = Vec::new();
    loop {
        let mut connecting = Box::pin(TcpStream::connect(address));
        if futures_util::poll!(&mut connecting).is_ready() {
            filling.push(connecting);
            continue;
        }
        tokio::task::yield_now().await;
        match futures_util::poll!(&mut connecting) {
            std::task::Poll::Ready(_) => filling.push(connecting),
            std::task::Poll::Pending => break,
        }
    }
    let attempt = world.start(outgoing(&format!("http://{address}/")));
    assert_eq!(world.let_limit_pass().await, Duration::from_secs(5));
    let outcome = attempt.await.unwrap().unwrap();
    assert_eq!(error(&outcome).0, ErrorKind::Timeout);
    assert!(error(&outcome).1.contains("connect"), "{outcome:?}");
    assert_eq!(outcome.duration, Duration::from_secs(5));
}

#[tokio::test]
async fn a_receiver_that_refuses_is_told_so() {
    let world = World::new();
    let receiver = Receiver::http(Script::always(Answer::status(200))).await;
    let url = receiver.url("/");
    drop(receiver);
    // The port is free again once the receiver's task has ended.
    tokio::task::yield_now().await;
    let outcome = world.send(outgoing(&url)).await;
    assert_eq!(error(&outcome), (ErrorKind::Connect, "the receiver refused the connection"));
    assert_eq!(outcome.response, None);
}

#[tokio::test]
async fn a_receiver_that_says_nothing_ends_at_the_read_limit() {
    let world = World::new();
    let receiver = Receiver::http(Script::always(Answer::hang())).await;
    let attempt = world.start(outgoing(&receiver.url("/")));
    receiver.wait_for_requests(1).await;
    assert_eq!(world.let_limit_pass().await, Duration::from_secs(15));
    let outcome = attempt.await.unwrap().unwrap();
    assert_eq!(error(&outcome).0, ErrorKind::Timeout);
    assert!(error(&outcome).1.contains("response"), "{outcome:?}");
    assert_eq!(outcome.duration, Duration::from_secs(15));
    assert_eq!(world.sender.open_sockets(), 0);
}

#[tokio::test]
async fn dripping_buys_no_time() {
    let world = World::new();
    let drops = watch::Sender::new(0usize);
    let (wanted, fallen) = (drops.subscribe(), watch::Sender::new(0usize));
    let fell = fallen.subscribe();
    let receiver = Receiver::raw(move |mut stream| {
        let (mut wanted, fallen) = (wanted.clone(), fallen.clone());
        async move {
            let head = b"HTTP/1.1 200 OK\r\nx-long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
            for (index, byte) in head.iter().enumerate() {
                if wanted.wait_for(|count| *count > index).await.is_err() || stream.write_all(&[*byte]).await.is_err() {
                    return;
                }
                fallen.send_replace(index + 1);
            }
        }
    })
    .await;
    let attempt = world.start(outgoing(&receiver.url("/")));
    world.clock.wait_for_sleepers(1).await;
    let mut fell = fell;
    for second in 1..=15 {
        assert!(!attempt.is_finished());
        drops.send_replace(second);
        fell.wait_for(|count| *count == second).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
    }
    let outcome = attempt.await.unwrap().unwrap();
    assert_eq!(error(&outcome).0, ErrorKind::Timeout);
    assert_eq!(outcome.duration, Duration::from_secs(15));
}

#[tokio::test]
async fn an_endless_head_ends_at_16_kib() {
    let world = World::new();
    let heads = [
        Answer::steps([Step::Write("HTTP/1.1 200 OK\r\nx: ".into()), Step::Flood("aaaaaaaa".into())]),
        Answer::steps([Step::Write("HTTP/1.1 200 OK\r\n".into()), Step::Flood("x: y\r\n".into())]),
        Answer::steps([Step::Flood("HTTP/1.1 100 Continue\r\n\r\n".into())]),
    ];
    for head in heads {
        let receiver = Receiver::http(Script::always(head.clone())).await;
        let outcome = world.send(outgoing(&receiver.url("/"))).await;
        let expected = "the receiver sent more than 16 KiB, or more than 100 lines, before its status and headers ended";
        assert_eq!(error(&outcome), (ErrorKind::Protocol, expected), "{head:?}");
    }
}

#[tokio::test]
async fn an_endless_body_after_200_is_acknowledged_and_left() {
    let world = World::new();
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
    let receiver = Receiver::http(Script::always(Answer::steps([
        Step::Write(head.into()),
        Step::Flood(Bytes::from_static(&[b'a'; 1024])),
    ])))
    .await;
    assert!(world.send(outgoing(&receiver.url("/"))).await.is_success());
    while receiver.open_connections() > 0 || world.sender.open_sockets() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.sender.idle_connections(), 0);
}

#[tokio::test]
async fn an_endless_body_after_500_is_cut() {
    let world = World::new();
    let head = "HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\n";
    let receiver = Receiver::http(Script::always(Answer::steps([
        Step::Write(head.into()),
        Step::Flood("4\r\nabcd\r\n".into()),
    ])))
    .await;
    let outcome = world.send(outgoing(&receiver.url("/"))).await;
    assert_eq!(error(&outcome).0, ErrorKind::Http);
    let response = outcome.response.unwrap();
    assert_eq!(response.body.unwrap().len(), 4_096);
    assert!(response.truncated);
    assert_eq!(world.sender.open_sockets(), 0);
}

#[tokio::test]
async fn a_body_that_stops_after_500_keeps_what_came() {
    let world = World::new();
    let stuck = Answer::steps([Step::Write("HTTP/1.1 500 Oh\r\ncontent-length: 10\r\n\r\nabc".into()), Step::Hang]);
    let receiver = Receiver::http(Script::always(stuck)).await;
    let attempt = world.start(outgoing(&receiver.url("/")));
    receiver.wait_for_requests(1).await;
    let mut passed = Duration::ZERO;
    while !attempt.is_finished() {
        passed += world.clock.advance_to_next().unwrap_or_default();
        tokio::task::yield_now().await;
    }
    let outcome = attempt.await.unwrap().unwrap();
    assert_eq!(error(&outcome).0, ErrorKind::Http, "the status counts, though the body never ended");
    let response = outcome.response.unwrap();
    assert_eq!((response.body.unwrap().as_ref(), response.truncated), (&b"abc"[..], true));
    assert_eq!(passed, Duration::from_secs(15));
}

#[tokio::test]
async fn resets_and_closes_and_garbage_are_told_apart() {
    let world = World::new();
    let reset = "the receiver reset the connection before it answered";
    let closed = "the receiver closed the connection before it answered";
    for (answer, expected) in [
        (Answer::reset(), reset),
        (Answer::steps([Step::Write("HTTP/1.1 200 OK\r\nx".into()), Step::Close]), closed),
        (Answer::close(), closed),
        (
            Answer::raw("SSH-2.0-OpenSSH_9.6\r\n"),
            "the receiver answered with something that is not HTTP",
        ),
        (
            Answer::raw("HTTP/1.1 2000 OK\r\n\r\n"),
            "the receiver answered with something that is not HTTP",
        ),
        (
            Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: nine\r\n\r\n"),
            "the receiver answered with something that is not HTTP",
        ),
    ] {
        let receiver = Receiver::http(Script::always(answer.clone())).await;
        let outcome = world.send(outgoing(&receiver.url("/"))).await;
        assert_eq!(error(&outcome).0, ErrorKind::Protocol, "{answer:?}");
        assert!(error(&outcome).1.starts_with(expected), "{answer:?}: {outcome:?}");
        assert_eq!(outcome.response, None);
        assert_eq!(receiver.request_count(), 1, "a fresh connection is not tried again");
    }
}

#[tokio::test]
async fn a_reset_within_the_body_after_500_keeps_the_status() {
    let world = World::new();
    let signal = Signal::new();
    let steps = [
        Step::Write("HTTP/1.1 502 Oh\r\ncontent-length: 10\r\n\r\n".into()),
        Step::Wait(signal.clone()),
        Step::Reset,
    ];
    let receiver = Receiver::http(Script::always(Answer::steps(steps))).await;
    let attempt = world.start(outgoing(&receiver.url("/")));
    receiver.wait_for_requests(1).await;
    world.clock.wait_for_sleepers(1).await;
    signal.give();
    let outcome = attempt.await.unwrap().unwrap();
    // The reset may overtake the head on its way to us: then there is no status to tell of.
    assert!(matches!(error(&outcome).0, ErrorKind::Http | ErrorKind::Protocol));
    assert!(outcome.response.is_none_or(|response| response.status == 502 && response.truncated));
}

/// Dials with a small send buffer, so that a body does not vanish into the system.
struct Narrow;

#[async_trait]
impl Dial for Narrow {
    async fn dial(&self, address: SocketAddr) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.set_send_buffer_size(4_096)?;
        socket.connect(address).await
    }
}

#[tokio::test]
async fn a_slow_reader_ends_at_the_write_limit() {
    let world = World::with(|options| options.dialler = Arc::new(Narrow));
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(8).unwrap();
    let mut sent = outgoing(&format!("http://{}/", listener.local_addr().unwrap()));
    sent.body = Bytes::from(vec![b'a'; 256 * 1024]);
    let attempt = world.start(sent);
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut some = [0u8; 1024];
    assert!(stream.read(&mut some).await.unwrap() > 0);
    assert_eq!(world.let_limit_pass().await, Duration::from_secs(5));
    let outcome = attempt.await.unwrap().unwrap();
    assert_eq!(error(&outcome).0, ErrorKind::Timeout);
    assert!(error(&outcome).1.contains("write"), "{outcome:?}");
}

#[tokio::test]
async fn a_large_body_to_a_good_reader_arrives_whole() {
    let world = World::with(|options| options.dialler = Arc::new(Narrow));
    let receiver = Receiver::http(Script::always(Answer::status(204))).await;
    let mut sent = outgoing(&receiver.url("/"));
    sent.body = (0..256 * 1024u32).map(|index| index.to_le_bytes()[1]).collect();
    let body = sent.body.clone();
    assert!(world.send(sent).await.is_success());
    assert_eq!(receiver.request(1).await.body, body);
}

#[tokio::test]
async fn an_attempt_that_is_dropped_closes_its_connection() {
    let world = World::new();
    let receiver = Receiver::http(Script::always(Answer::hang())).await;
    let attempt = world.start(outgoing(&receiver.url("/")));
    receiver.wait_for_requests(1).await;
    attempt.abort();
    assert!(attempt.await.unwrap_err().is_cancelled());
    while receiver.open_connections() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.sender.open_sockets(), 0);
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_was_read_counts() {
    for (status, is_success) in [(200, true), (413, false)] {
        let world = World::with(|options| options.dialler = Arc::new(Narrow));
        let receiver = Receiver::raw(move |mut stream| async move {
            let head = format!("HTTP/1.1 {status} Early\r\ncontent-length: 0\r\n\r\n");
            // The sender may be gone already.
            let _ = stream.write_all(head.as_bytes()).await;
            std::future::pending::<()>().await;
        })
        .await;
        let mut sent = outgoing(&receiver.url("/"));
        // Far more than the receiver's side of the system takes unread.
        sent.body = Bytes::from(vec![b'a'; 16 * 1024 * 1024]);
        let outcome = world.send(sent).await;
        assert_eq!((outcome.is_success(), outcome.response.unwrap().status), (is_success, status));
        assert_eq!(world.sender.idle_connections(), 0, "half a request has gone: nothing may follow it");
    }
}

#[tokio::test]
async fn hanging_receivers_of_many_hosts_leave_the_others_alone() {
    let world = World::new();
    let hanging = Receiver::http_on(ip("0.0.0.0"), Script::always(Answer::hang())).await;
    let good = Receiver::http(Script::always(Answer::status(200))).await;
    let attempts: Vec<_> = (1..=200)
        .map(|host| world.start(outgoing(&format!("http://127.0.1.{host}:{}/", hanging.port()))))
        .collect();
    hanging.wait_for_requests(200).await;
    assert!(world.send(outgoing(&good.url("/"))).await.is_success());
    world.clock.wait_for_sleepers(201).await;
    world.clock.advance(Duration::from_secs(15));
    for attempt in attempts {
        assert_eq!(error(&attempt.await.unwrap().unwrap()).0, ErrorKind::Timeout);
    }
}
