//! Connections that cost more than they are worth: too many, deaf, or silent for too long.

use std::time::Duration;

use postrider_api::ApiOptions;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::app::App;
use crate::serving::{HEALTH, Server, read_all, read_until};

/// So often nothing more is taken before a connection counts as full.
const REFUSALS: usize = 20_000;

#[tokio::test]
async fn connections_over_the_limit_wait_until_one_ends() {
    let options = ApiOptions {
        connections_max: 2,
        ..ApiOptions::default()
    };
    let server = Server::of(App::with(options, |_| {}).await).await;
    let mut served = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        stream.write_all(HEALTH).await.unwrap();
        read_until(&mut stream, "}").await;
        served.push(stream);
    }
    let mut third = server.connect().await;
    third.write_all(HEALTH).await.unwrap();
    for _ in 0..REFUSALS {
        tokio::task::yield_now().await;
    }
    let error = third.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "it was served over the limit");
    served.pop();
    assert!(read_until(&mut third, "}").await.starts_with("HTTP/1.1 200 OK"));
}

/// Writes requests until the server takes no more of them, since nobody reads its answers.
async fn stuff(stream: &TcpStream) -> usize {
    let request = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    let (mut written, mut refused) = (0, 0);
    while refused < REFUSALS {
        match stream.try_write(&request) {
            Ok(count) => (written, refused) = (written + count, 0),
            Err(_) => {
                refused += 1;
                tokio::task::yield_now().await;
            }
        }
    }
    written * 100 / request.len()
}

#[tokio::test]
async fn who_does_not_read_its_answers_is_dropped_after_a_minute() {
    let server = Server::of(App::new().await).await;
    let sleepers = server.app.sleepers().await;
    let mut deaf = server.connect().await;
    let asked = stuff(&deaf).await;
    server.app.clock.wait_for_sleepers(sleepers + 1).await;
    server.app.clock.advance(Duration::from_secs(60));
    // It is given five seconds to end well.
    server.app.clock.wait_for_sleepers(sleepers + 1).await;
    server.app.clock.advance(Duration::from_secs(5));
    let answers = read_all(&mut deaf).await;
    assert!(answers.matches("HTTP/1.1 200 OK").count() < asked, "all {asked} were answered");
}

#[tokio::test]
async fn an_http_2_connection_without_a_request_is_closed_after_a_minute() {
    const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08";
    const HALF_A_HEAD: &[u8] = b"\0\0\x03\x01\x01\0\0\0\x01\x82\x86\x84";
    let server = Server::of(App::new().await).await;
    for more in [&b""[..], PING, HALF_A_HEAD] {
        let sleepers = server.app.sleepers().await;
        let mut silent = server.connect().await;
        silent.write_all(&[HELLO, more].concat()).await.unwrap();
        server.app.clock.wait_for_sleepers(sleepers + 1).await;
        server.app.clock.advance(Duration::from_secs(60));
        let mut closed = std::pin::pin!(read_all(&mut silent));
        loop {
            tokio::select! {
                biased;
                _ = &mut closed => break,
                () = tokio::task::yield_now() => server.app.clock.advance(Duration::from_secs(1)),
            }
        }
    }
}
