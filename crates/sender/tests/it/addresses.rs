//! Which addresses are dialled: the judged one and no other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use postrider_model::address::AddressPolicy;
use postrider_model::attempt::ErrorKind;
use postrider_sender::{Answer as Found, Dial, StaticResolver};
use postrider_testkit::receiver::{Answer, Receiver, Script};
use tokio::net::TcpStream;

use crate::world::{World, error, ip, outgoing};

/// Notes what is dialled, and takes every connection to one receiver: so public addresses can be played.
pub(crate) struct Noting {
    pub(crate) to: SocketAddr,
    pub(crate) dialled: Arc<Mutex<Vec<SocketAddr>>>,
}

#[async_trait]
impl Dial for Noting {
    async fn dial(&self, address: SocketAddr) -> std::io::Result<TcpStream> {
        self.dialled.lock().push(address);
        TcpStream::connect(self.to).await
    }
}

/// A world that judges as in production, and what it dialled.
fn guarded(names: StaticResolver, receiver: &Receiver) -> (World, Arc<Mutex<Vec<SocketAddr>>>) {
    let dialled = Arc::new(Mutex::new(Vec::new()));
    let dialler = Noting {
        to: receiver.address(),
        dialled: Arc::clone(&dialled),
    };
    let world = World::by(names, |options| {
        options.address_policy = AddressPolicy::default();
        options.dialler = Arc::new(dialler);
    });
    (world, dialled)
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_blocked() {
    let receiver = Receiver::http(Script::always(Answer::status(200))).await;
    for address in [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "::1",
        "::ffff:127.0.0.1",
        "fd00:ec2::254",
    ] {
        let (world, dialled) = guarded(StaticResolver::new().name("evil.example.com", &[ip(address)]), &receiver);
        let outcome = world.send(outgoing("http://evil.example.com/")).await;
        assert_eq!(error(&outcome).0, ErrorKind::Blocked, "{address}");
        assert!(error(&outcome).1.contains(&ip(address).to_string()), "{outcome:?}");
        assert!(dialled.lock().is_empty());
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn of_many_addresses_only_the_public_are_dialled() {
    let receiver = Receiver::http(Script::always(Answer::status(200))).await;
    let names = StaticResolver::new().name("mixed.example.com", &[ip("127.0.0.1"), ip("::1"), ip("9.9.9.9")]);
    let (world, dialled) = guarded(names, &receiver);
    assert!(world.send(outgoing("http://mixed.example.com/")).await.is_success());
    assert_eq!(*dialled.lock(), ["9.9.9.9:80".parse().unwrap()]);
}

#[tokio::test]
async fn a_name_that_is_rebound_to_loopback_is_blocked_when_it_is_dialled_again() {
    let found = |address: &str, seconds| {
        Ok(Found {
            addresses: vec![ip(address)],
            good_for: Duration::from_secs(seconds),
        })
    };
    let receiver = Receiver::http(Script::always(Answer::close())).await;
    // The first answer is public and short-lived, the next ones are not public.
    let names = StaticResolver::new()
        .answer("rebind.example.com", found("9.9.9.9", 0))
        .answer("rebind.example.com", found("127.0.0.1", 0));
    let (world, dialled) = guarded(names, &receiver);
    let first = world.send(outgoing("http://rebind.example.com/")).await;
    assert_eq!(error(&first).0, ErrorKind::Protocol);
    // Within one attempt, and for a few seconds, the name is asked for once: the judged address is the dialled one.
    assert_eq!(*dialled.lock(), ["9.9.9.9:80".parse().unwrap()]);
    world.clock.advance(Duration::from_secs(6));
    let second = world.send(outgoing("http://rebind.example.com/")).await;
    assert_eq!(error(&second).0, ErrorKind::Blocked);
    assert_eq!(dialled.lock().len(), 1);
}

#[tokio::test]
async fn an_address_that_is_typed_in_is_judged_too() {
    let receiver = Receiver::http(Script::always(Answer::status(200))).await;
    let (world, dialled) = guarded(StaticResolver::new(), &receiver);
    let outcome = world.send(outgoing(&receiver.url("/"))).await;
    assert_eq!(error(&outcome).0, ErrorKind::Blocked);
    assert!(dialled.lock().is_empty());
}

#[tokio::test]
async fn ipv6_is_dialled() {
    let world = World::new();
    let receiver = Receiver::http_on(ip("::1"), Script::always(Answer::status(200))).await;
    assert!(world.send(outgoing(&receiver.url("/"))).await.is_success());
    assert_eq!(receiver.request(1).await.header("host"), receiver.address().to_string());
}

#[tokio::test]
async fn when_one_address_refuses_the_next_is_dialled() {
    let receiver = Receiver::http_on(ip("127.0.0.2"), Script::always(Answer::status(200))).await;
    let names = StaticResolver::new().name("two.example.com", &[ip("127.0.0.3"), ip("::1"), ip("127.0.0.2")]);
    let world = World::by(names, |_| {});
    assert!(
        world
            .send(outgoing(&receiver.url_by_name("two.example.com", "/")))
            .await
            .is_success()
    );
}

/// The first address never answers; all others lead to one receiver.
struct FirstHangs {
    first: SocketAddr,
    to: SocketAddr,
}

#[async_trait]
impl Dial for FirstHangs {
    async fn dial(&self, address: SocketAddr) -> std::io::Result<TcpStream> {
        if address == self.first {
            std::future::pending::<()>().await;
        }
        TcpStream::connect(self.to).await
    }
}

#[tokio::test]
async fn an_address_that_keeps_silent_has_a_quarter_of_a_second_before_the_next() {
    let receiver = Receiver::http(Script::always(Answer::status(200))).await;
    let names = StaticResolver::new().name("two.example.com", &[ip("9.9.9.9"), ip("2620:fe::fe")]);
    let dialler = FirstHangs {
        // IPv6 goes first (RFC 8305).
        first: SocketAddr::new(ip("2620:fe::fe"), 80),
        to: receiver.address(),
    };
    let world = World::by(names, |options| options.dialler = Arc::new(dialler));
    let attempt = world.start(outgoing("http://two.example.com/"));
    world.clock.wait_for_sleepers(2).await;
    assert_eq!(world.clock.advance_to_next(), Some(Duration::from_millis(250)));
    let outcome = attempt.await.unwrap().unwrap();
    assert!(outcome.is_success(), "{outcome:?}");
    assert_eq!(outcome.duration, Duration::from_millis(250));
}
