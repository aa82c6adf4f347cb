//! A fault on our own side is no attempt; and idle connections give way before it comes to that.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use postrider_model::attempt::ErrorKind;
use postrider_sender::{Dial, StaticResolver};
use postrider_testkit::receiver::{Answer, Receiver, Script};
use tokio::net::TcpStream;

use crate::world::{World, error, ip, outgoing};

/// Fails with these errors of the system, in turn; then it dials.
struct Failing(Mutex<Vec<i32>>);

#[async_trait]
impl Dial for Failing {
    async fn dial(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let error = self.0.lock().pop();
        match error {
            Some(error) => Err(io::Error::from_raw_os_error(error)),
            None => TcpStream::connect(address).await,
        }
    }
}

fn world(errors: &[i32]) -> World {
    let dialler = Failing(Mutex::new(errors.iter().rev().copied().collect()));
    World::with(|options| options.dialler = Arc::new(dialler))
}

#[tokio::test]
async fn what_this_machine_lacks_is_no_attempt() {
    for (errno, lack) in [
        (libc::EMFILE, "file handles"),
        (libc::ENFILE, "file handles"),
        (libc::EADDRNOTAVAIL, "local ports"),
        (libc::ENOBUFS, "memory for sockets"),
        (libc::ENOMEM, "memory for sockets"),
        (libc::ENETDOWN, "a network that is up"),
    ] {
        let receiver = Receiver::http(Script::always(Answer::status(200))).await;
        let world = world(&[errno]);
        let fault = world.try_send(outgoing(&receiver.url("/"))).await.unwrap_err();
        assert!(fault.message.contains(lack), "{fault}");
        assert_eq!((receiver.connections(), world.sender.open_sockets()), (0, 0));
    }
}

#[tokio::test]
async fn what_the_receiver_lacks_is_one() {
    for errno in [libc::ECONNREFUSED, libc::EHOSTUNREACH, libc::ENETUNREACH, libc::ETIMEDOUT] {
        let world = world(&[errno]);
        let outcome = world.send(outgoing("http://127.0.0.1:9/")).await;
        assert_eq!(error(&outcome).0, ErrorKind::Connect);
    }
}

#[tokio::test]
async fn an_address_that_could_not_be_dialled_says_nothing_of_the_receiver() {
    for errors in [[libc::ECONNREFUSED, libc::EMFILE], [libc::EMFILE, libc::ECONNREFUSED]] {
        let names = StaticResolver::new().name("two.example.com", &[ip("127.0.0.2"), ip("127.0.0.3")]);
        let dialler = Failing(Mutex::new(errors.to_vec()));
        let world = World::by(names, |options| options.dialler = Arc::new(dialler));
        assert!(world.try_send(outgoing("http://two.example.com:9/")).await.is_err());
    }
}

#[tokio::test]
async fn a_machine_without_ipv6_does_not_take_that_for_a_fault() {
    let world = world(&[libc::EADDRNOTAVAIL]);
    let outcome = world.send(outgoing("http://[::1]:9/")).await;
    assert_eq!(error(&outcome).0, ErrorKind::Connect);
}

#[tokio::test]
async fn an_idle_connection_gives_way_when_handles_are_short() {
    let idle = Receiver::http(Script::always(Answer::status(200))).await;
    let busy = Receiver::http(Script::always(Answer::status(201))).await;
    let dialler = Arc::new(Failing(Mutex::default()));
    let world = World::with(|options| options.dialler = Arc::clone(&dialler) as Arc<dyn Dial>);
    assert!(world.send(outgoing(&idle.url("/"))).await.is_success());
    assert_eq!(world.sender.idle_connections(), 1);
    dialler.0.lock().push(libc::EMFILE);
    assert!(world.send(outgoing(&busy.url("/"))).await.is_success());
    while idle.open_connections() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.sender.open_sockets(), 1);
}

#[tokio::test]
async fn idle_connections_give_way_at_the_limit_of_sockets() {
    let world = World::with(|options| options.sockets_max = 2);
    for _ in 0..5 {
        let receiver = Receiver::http(Script::always(Answer::status(200))).await;
        assert!(world.send(outgoing(&receiver.url("/"))).await.is_success());
        assert!(world.sender.open_sockets() <= 2);
    }
}
