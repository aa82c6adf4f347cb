//! The way between a node and a server, which a test can block and cut.
//!
//! ```text
//! let link = Link::to(server.port());
//! let node = start(&link.lead(&server.url()));
//! link.block();                       // a network that swallows everything
//! link.cut();                         // a network that resets everything
//! link.unblock();
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "only tests use it: a link that does not work is a failed test"
)]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

const BUFFER_BYTES: usize = 64 * 1024;

/// A port of its own that leads to a server's.
pub struct Link {
    port: u16,
    target: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_blocked: bool,
    is_over: bool,
    /// Both ends of each connection, as many as were ever made between two cuts: a test makes few.
    streams: Vec<TcpStream>,
}

impl Link {
    /// A new one to a port of this machine.
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let link = Self {
            port: listener.local_addr().expect("a port").port(),
            target,
            shared: Arc::default(),
        };
        let shared = Arc::clone(&link.shared);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if shared.state.lock().is_over {
                    break;
                }
                // Where the server is not there, whoever came is turned away as it would have done.
                let Ok(far) = TcpStream::connect(("127.0.0.1", target)) else {
                    continue;
                };
                shared.join(&near, &far);
            }
        });
        link
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A url of the server, as it leads over this link.
    pub fn lead(&self, url: &str) -> String {
        let led = url.replace(&format!(":{}", self.target), &format!(":{}", self.port));
        assert_ne!(led, url, "no url of the server");
        led
    }

    /// From now on nothing gets through, and nobody is told: what was sent waits.
    pub fn block(&self) {
        self.shared.state.lock().is_blocked = true;
    }

    /// Lets through what waits and what comes.
    pub fn unblock(&self) {
        self.shared.state.lock().is_blocked = false;
        self.shared.changed.notify_all();
    }

    /// Ends each connection at both its ends. New ones may be made.
    pub fn cut(&self) {
        for stream in self.shared.state.lock().streams.drain(..) {
            // It may have ended already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.shared.changed.notify_all();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.state.lock().is_over = true;
        self.unblock();
        self.cut();
        // Wakes whoever waits for the next connection.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn join(self: &Arc<Self>, near: &TcpStream, far: &TcpStream) {
        let clone = |stream: &TcpStream| stream.try_clone().expect("a file handle");
        self.state.lock().streams.extend([clone(near), clone(far)]);
        for (from, to) in [(clone(near), clone(far)), (clone(far), clone(near))] {
            to.set_nodelay(true).expect("a socket");
            let shared = Arc::clone(self);
            std::thread::spawn(move || shared.pass(from, to));
        }
    }

    /// Hands on what comes, until one of the ends is gone.
    fn pass(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; BUFFER_BYTES];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let mut state = self.state.lock();
            self.changed.wait_while(&mut state, |state| state.is_blocked);
            drop(state);
            if to.write_all(buffer.get(..count).expect("what was read")).is_err() {
                break;
            }
        }
        // Both ends hear of it, unless they know.
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
