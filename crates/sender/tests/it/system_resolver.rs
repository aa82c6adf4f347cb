//! The resolver against a name server of the test's own: whose fault a failed lookup is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use postrider_sender::{Resolve as _, ResolveError, SystemResolver};
use postrider_testkit::clock::SimClock;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use crate::world::ip;

/// RFC 1035 §4.1.1.
const NO_ERROR: u8 = 0;
const SERVER_FAILURE: u8 = 2;
const NAME_ERROR: u8 = 3;

const TYPE_A: u16 = 1;

/// A name server on loopback: `good.example.com` has 192.0.2.7 for 77 s, `empty.` exists without an address, `broken.` fails,
/// `silent.` is never answered, all else does not exist. It stops when the set is dropped.
async fn name_server() -> (SocketAddr, JoinSet<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut query = [0u8; 2_048];
        loop {
            let (length, from) = socket.recv_from(&mut query).await.unwrap();
            if let Some(answer) = answer(&query[..length]) {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    });
    (address, tasks)
}

/// The answer to a query, by hand (RFC 1035 §4).
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let mut end = 12;
    let mut labels = Vec::new();
    while query[end] != 0 {
        let length = usize::from(query[end]);
        labels.push(String::from_utf8_lossy(&query[end + 1..=end + length]).to_lowercase());
        end += length + 1;
    }
    end += 5;
    let kind = u16::from_be_bytes([query[end - 4], query[end - 3]]);
    let (code, is_found) = match labels.first().map(String::as_str) {
        Some("good") => (NO_ERROR, kind == TYPE_A),
        Some("empty") => (NO_ERROR, false),
        Some("broken") => (SERVER_FAILURE, false),
        Some("silent") => return None,
        _ => (NAME_ERROR, false),
    };
    let mut out = query[..2].to_vec();
    // An answer, recursion available; one question, and one answer or none.
    out.extend([0x81, 0x80 | code, 0, 1, 0, u8::from(is_found), 0, 0, 0, 0]);
    out.extend(&query[12..end]);
    if is_found {
        // The name is that of the question; class IN; 77 s; four bytes.
        out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 77, 0, 4, 192, 0, 2, 7]);
    }
    Some(out)
}

fn resolver(server: SocketAddr) -> SystemResolver {
    by_clock(SimClock::new(), server)
}

fn by_clock(clock: SimClock, server: SocketAddr) -> SystemResolver {
    SystemResolver::by_name_servers(Arc::new(clock), &[server]).unwrap()
}

/// What a lookup comes to that nobody answers in time.
async fn unanswered(clock: &SimClock, resolver: SystemResolver, host: &'static str) -> ResolveError {
    let lookup = tokio::spawn(async move { resolver.resolve(host).await });
    clock.wait_for_sleepers(1).await;
    assert_eq!(clock.advance_to_next(), Some(Duration::from_secs(4)));
    lookup.await.unwrap().unwrap_err()
}

#[tokio::test]
async fn silence_is_the_fault_of_the_name_where_a_name_server_was_heard() {
    let (server, _tasks) = name_server().await;
    let clock = SimClock::new();
    let resolver = by_clock(clock.clone(), server);
    resolver.resolve("good.example.com").await.unwrap();
    let fault = unanswered(&clock, resolver, "silent.example.com").await;
    assert!(matches!(fault, ResolveError::TimedOut(_)), "{fault:?}");
}

#[tokio::test]
async fn an_answer_comes_with_its_ttl() {
    let (server, _tasks) = name_server().await;
    let found = resolver(server).resolve("good.example.com").await.unwrap();
    assert_eq!(found.addresses, [ip("192.0.2.7")]);
    assert_eq!(found.good_for, Duration::from_secs(77));
}

#[tokio::test]
async fn what_a_name_server_says_is_the_fault_of_the_name() {
    let (server, _tasks) = name_server().await;
    let resolver = resolver(server);
    let gone = resolver.resolve("gone.example.com").await.unwrap_err();
    assert_eq!(gone, ResolveError::NotFound("there is no host gone.example.com".to_owned()));
    let empty = resolver.resolve("empty.example.com").await.unwrap_err();
    assert!(matches!(empty, ResolveError::NotFound(_)), "{empty:?}");
    let broken = resolver.resolve("broken.example.com").await.unwrap_err();
    assert!(matches!(broken, ResolveError::Failed(_)), "{broken:?}");
}

#[tokio::test]
async fn a_name_server_that_keeps_silent_is_our_own_fault() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let clock = SimClock::new();
    let resolver = by_clock(clock.clone(), silent.local_addr().unwrap());
    let fault = unanswered(&clock, resolver, "good.example.com").await;
    assert!(matches!(fault, ResolveError::Unreachable(_)), "{fault:?}");
}

#[tokio::test]
async fn localhost_is_loopback_whatever_a_name_server_says() {
    let (server, _tasks) = name_server().await;
    let resolver = resolver(server);
    for host in ["localhost", "shop.localhost"] {
        let found = resolver.resolve(host).await.unwrap();
        assert_eq!(found.addresses, [ip("127.0.0.1"), ip("::1")]);
    }
}
