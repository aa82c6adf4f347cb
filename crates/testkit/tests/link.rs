//! A link lets through, blocks and cuts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use postrider_testkit::link::Link;

#[test]
fn a_link_lets_through_blocks_and_cuts() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let link = Link::to(port);
    let led = link.lead(&format!("postgres://me@127.0.0.1:{port}/a"));
    let near: u16 = led.rsplit_once(':').unwrap().1.strip_suffix("/a").unwrap().parse().unwrap();
    assert_ne!(near, port);
    let mut near = TcpStream::connect(("127.0.0.1", near)).unwrap();
    let (mut far, _) = server.accept().unwrap();
    let mut byte = [0];
    near.write_all(b"a").unwrap();
    far.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"a");
    link.block();
    near.write_all(b"b").unwrap();
    far.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert_eq!(far.read_exact(&mut byte).unwrap_err().kind(), ErrorKind::WouldBlock);
    link.unblock();
    far.set_read_timeout(None).unwrap();
    far.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"b");
    link.cut();
    assert_eq!((near.read(&mut byte).unwrap(), far.read(&mut byte).unwrap()), (0, 0));
}
