//! The scripted receiver does what its script says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use postrider_testkit::receiver::{Answer, Receiver, Script, Signal, Step};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const REQUEST: &[u8] = b"POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";

async fn read(stream: &mut TcpStream, length: usize) -> String {
    let mut bytes = vec![0u8; length];
    stream.read_exact(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn requests_are_answered_in_turn_and_remembered() {
    let script = Script::sequence([Answer::status(200).header("x-a", "b").body("hi"), Answer::status(204)]);
    let receiver = Receiver::http(script).await;
    let mut stream = TcpStream::connect(receiver.address()).await.unwrap();
    // Two in one piece: the second is not lost.
    stream.write_all(&[REQUEST, REQUEST].concat()).await.unwrap();
    let first = "HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 2\r\n\r\nhi";
    assert_eq!(read(&mut stream, first.len()).await, first);
    let second = "HTTP/1.1 204 No Content\r\n\r\n";
    assert_eq!(read(&mut stream, second.len()).await, second);

    let request = receiver.request(2).await;
    assert_eq!(
        (request.method.as_str(), request.path.as_str(), request.header("host")),
        ("POST", "/a?b", "x")
    );
    assert_eq!((request.body.as_ref(), request.connection), (&b"abc"[..], 1));
    assert_eq!((receiver.request_count(), receiver.connections()), (2, 1));
}

#[tokio::test]
async fn steps_wait_for_their_signals() {
    let signal = Signal::new();
    let steps = [
        Step::Write("one".into()),
        Step::Wait(signal.clone()),
        Step::Write("two".into()),
        Step::Close,
    ];
    let receiver = Receiver::http(Script::always(Answer::steps(steps))).await;
    let mut stream = TcpStream::connect(receiver.address()).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    assert_eq!(read(&mut stream, 3).await, "one");
    signal.give();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "two");
}

#[tokio::test]
async fn a_reset_is_a_reset_and_a_close_is_a_close() {
    let receiver = Receiver::http(Script::sequence([Answer::reset(), Answer::close()])).await;
    for expected in [Err(std::io::ErrorKind::ConnectionReset), Ok(0)] {
        let mut stream = TcpStream::connect(receiver.address()).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        let mut byte = [0u8; 1];
        assert_eq!(stream.read(&mut byte).await.map_err(|error| error.kind()), expected);
    }
}

#[tokio::test]
async fn it_stops_when_it_is_dropped() {
    let receiver = Receiver::http(Script::always(Answer::hang())).await;
    let mut stream = TcpStream::connect(receiver.address()).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    receiver.wait_for_requests(1).await;
    assert_eq!(receiver.open_connections(), 1);
    drop(receiver);
    let mut byte = [0u8; 1];
    assert_eq!(stream.read(&mut byte).await.unwrap_or(0), 0);
}
