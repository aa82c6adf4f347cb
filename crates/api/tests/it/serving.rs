//! The server on real sockets: protocols, limits of heads, idle connections, stopping.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use postrider_api::serve;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::app::App;

pub(crate) struct Server {
    pub(crate) app: App,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start() -> Self {
        Self::of(App::new().await).await
    }

    pub(crate) async fn of(app: App) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            // A test that drops its end stops the server too.
            drop(stopped.await);
        };
        let task = tokio::spawn(serve(listener, app.api.clone(), shutdown, Arc::new(app.clock.clone())));
        Self { app, address, stop, task }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends these bytes on a new connection and reads until the server closes it.
    async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        read_all(&mut stream).await
    }
}

pub(crate) async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is the end of it too.
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads until the answer's body ends with this.
pub(crate) async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = String::new();
    while !answer.ends_with(end) {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "closed after {answer}");
        answer.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    answer
}

pub(crate) const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn one_connection_serves_many_requests_also_pipelined() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        stream.write_all(HEALTH).await.unwrap();
        let answer = read_until(&mut stream, "}").await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("request-id: req_"),
            "{answer}"
        );
    }
    let mut three = HEALTH.repeat(2);
    three.extend_from_slice(b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(&three).await.unwrap();
    let answer = read_all(&mut stream).await;
    assert_eq!(
        (answer.matches("200 OK").count(), answer.matches("404 Not Found").count()),
        (2, 1),
        "{answer}"
    );
}

#[tokio::test]
async fn http_2_is_served_with_prior_knowledge() {
    let server = Server::start().await;
    let stream = TokioIo::new(server.connect().await);
    let (mut client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let uri = format!("http://{}/healthz", server.address);
    let response = client
        .send_request(Request::get(uri).body(Full::<Bytes>::default()).unwrap())
        .await
        .unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, http::Version::HTTP_2));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.starts_with(b"{\"status\":\"ok\""));
}

#[tokio::test]
async fn heads_over_the_limits_are_refused() {
    let server = Server::start().await;
    let many = "x: 1\r\n".repeat(101);
    let answer = server.exchange(format!("GET / HTTP/1.1\r\n{many}\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let long = "x".repeat(70_000);
    let answer = server.exchange(format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let answer = server.exchange(b"nonsense\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_answered_while_it_is_still_sent() {
    let server = Server::start().await;
    let account = server.app.account().await;
    let head = format!(
        "POST /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 4194304\r\nConnection: close\r\n\r\n",
        account.token
    );
    let mut bytes = head.into_bytes();
    bytes.resize(bytes.len() + 4 * 1024 * 1024, b' ');
    let answer = server.exchange(&bytes).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_waited_for_is_refused_before_it_is_sent() {
    let server = Server::start().await;
    let account = server.app.account().await;
    let head = format!(
        "POST /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 4194304\r\nExpect: 100-continue\r\n\r\n",
        account.token
    );
    let answer = server.exchange(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_ends_too_early_stores_nothing() {
    let server = Server::start().await;
    let account = server.app.account().await;
    let body = crate::app::event("a").to_string();
    let head = format!(
        "POST /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        account.token,
        body.len() + 1
    );
    let mut stream = server.connect().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(!answer.contains("201"), "{answer}");
    assert!(server.app.sender.sent().is_empty());
}

#[tokio::test]
async fn idle_connections_and_dripping_heads_are_closed_after_a_minute() {
    let server = Server::start().await;
    let sleepers = server.app.sleepers().await;
    let mut idle = server.connect().await;
    idle.write_all(HEALTH).await.unwrap();
    read_until(&mut idle, "}").await;
    let mut dripping = server.connect().await;
    dripping.write_all(b"GET /healthz HTTP/1.1\r\nHo").await.unwrap();
    server.app.clock.wait_for_sleepers(sleepers + 2).await;
    server.app.clock.advance(Duration::from_secs(60));
    assert_eq!(read_all(&mut idle).await, "");
    // The one in the middle of a head may need its five seconds to end.
    let mut dripped = std::pin::pin!(read_all(&mut dripping));
    let answer = loop {
        tokio::select! {
            biased;
            answer = &mut dripped => break answer,
            () = tokio::task::yield_now() => server.app.clock.advance(Duration::from_secs(1)),
        }
    };
    assert!(!answer.contains("200"), "{answer}");
}

#[tokio::test]
async fn stopping_finishes_what_is_at_work_and_takes_no_more() {
    let server = Server::start().await;
    let account = server.app.account().await;
    let body = crate::app::event("a").to_string();
    let (head, tail) = body.split_at(10);
    let sleepers = server.app.sleepers().await;
    let mut stream = server.connect().await;
    let request = format!(
        "POST /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{head}",
        account.token,
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    // The one sleep is the connection's, the other the body's: now the request is at work.
    server.app.clock.wait_for_sleepers(sleepers + 2).await;
    server.stop.send(()).unwrap();
    stream.write_all(tail.as_bytes()).await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    server.task.await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let server = Server::start().await;
    let sleepers = server.app.sleepers().await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /he").await.unwrap();
    server.app.clock.wait_for_sleepers(sleepers + 1).await;
    server.stop.send(()).unwrap();
    server.app.clock.wait_for_sleepers(sleepers + 2).await;
    server.app.clock.advance(Duration::from_secs(30));
    server.task.await.unwrap().unwrap();
}

async fn open_stream(server: &Server, token: &str) -> TcpStream {
    let mut stream = server.connect().await;
    let head = format!("GET /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nAccept: text/event-stream\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut stream, ": postrider\n\n\r\n").await;
    stream
}

#[tokio::test]
async fn a_stream_outlives_the_idle_minute_and_ends_when_the_server_stops() {
    let server = Server::start().await;
    let account = server.app.account().await;
    let mut stream = open_stream(&server, &account.token).await;
    for _ in 0..12 {
        server.app.pass(Duration::from_secs(15)).await;
        read_until(&mut stream, ": postrider\n\n\r\n").await;
    }
    server.stop.send(()).unwrap();
    // The body ends as it should, and the connection after it.
    assert_eq!(read_all(&mut stream).await, "0\r\n\r\n");
    server.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stream_whose_client_does_not_read_is_cut_off() {
    let server = Server::start().await;
    let account = server.app.account().await;
    let mut stream = open_stream(&server, &account.token).await;
    let mut event = crate::app::event("order.filled");
    event["data"] = serde_json::json!({"filling": "x".repeat(250_000)});
    // More than the system keeps for a client.
    for _ in 0..80 {
        server.app.post(&account.token, "/events", &event).await.expect(201);
    }
    for _ in 0..200 {
        server.app.pass(Duration::from_secs(1)).await;
    }
    // No time passes from here on: the connection has ended already, in the middle.
    let left = read_all(&mut stream).await;
    assert!(left.len() < 80 * 250_000 && !left.ends_with("0\r\n\r\n"), "{}", left.len());
}
