//! Stands before a receiver of somebody else's: notes each delivery, hands it on as it came, and can send it again, changed or not.

use std::io::{self, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver as Arrivals, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};

use super::{PATIENCE, http};

/// Deliveries that were handed on and that nobody has asked for yet, at most.
const ARRIVALS_MAX: usize = 100;

/// A delivery as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Captured {
    /// What was answered to it.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: Vec<u8>,
    headers: Vec<(String, String)>,
}

impl Captured {
    /// A header; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// The same with another header.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut changed = self.without(name);
        changed.headers.push((name.to_owned(), value.to_owned()));
        changed
    }

    /// The same without a header.
    pub(crate) fn without(&self, name: &str) -> Self {
        let mut changed = self.clone();
        changed.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        changed
    }

    /// The same with another body.
    pub(crate) fn with_body(&self, body: &[u8]) -> Self {
        let mut changed = self.with("Content-Length", &body.len().to_string());
        changed.body = body.to_vec();
        changed
    }
}

/// A relay on a port of its own.
pub(crate) struct Relay {
    address: SocketAddr,
    path: &'static str,
    /// The receiver. Written once, when it has started.
    target: Arc<OnceLock<SocketAddr>>,
    arrivals: Arrivals<Captured>,
}

impl Relay {
    /// Starts one for a receiver that has this path. Its threads end with the tests.
    pub(crate) fn start(path: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::<OnceLock<SocketAddr>>::default();
        let (sender, arrivals) = sync_channel(ARRIVALS_MAX);
        let hand_on = Arc::clone(&target);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (target, sender) = (Arc::clone(&hand_on), sender.clone());
                // A connection that breaks is the server's to notice.
                std::thread::spawn(move || drop(serve(stream, path, &target, &sender)));
            }
        });
        Self {
            address,
            path,
            target,
            arrivals,
        }
    }

    /// Where webhooks send to.
    pub(crate) fn url(&self) -> String {
        format!("http://{}{}", self.address, self.path)
    }

    /// From now on deliveries are handed on to there.
    pub(crate) fn connect(&self, target: SocketAddr) {
        self.target.set(target).unwrap();
    }

    /// The next delivery that was handed on and answered.
    pub(crate) fn next(&self) -> Captured {
        self.arrivals.recv_timeout(PATIENCE).expect("a delivery comes and is answered")
    }

    /// Sends one by hand; the status of the answer.
    pub(crate) fn send(&self, delivery: &Captured) -> u16 {
        send(*self.target.wait(), self.path, delivery).unwrap()
    }
}

fn serve(stream: TcpStream, path: &str, target: &OnceLock<SocketAddr>, arrivals: &SyncSender<Captured>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some((head, body)) = http::read(&mut stream)? {
        let mut delivery = Captured {
            status: 0,
            body,
            headers: head.headers,
        };
        delivery.status = send(*target.wait(), path, &delivery)?;
        write!(
            stream.get_mut(),
            "HTTP/1.1 {} Relayed\r\nContent-Length: 0\r\n\r\n",
            delivery.status
        )?;
        // Where nobody listens any more, the test is over.
        if arrivals.send(delivery).is_err() {
            break;
        }
    }
    Ok(())
}

fn send(target: SocketAddr, path: &str, delivery: &Captured) -> io::Result<u16> {
    let mut stream = TcpStream::connect(target)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let headers: String = delivery
        .without("Connection")
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    write!(stream, "POST {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n")?;
    stream.write_all(&delivery.body)?;
    let (head, _) = http::read(&mut BufReader::new(stream))?.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(head.word(1).parse().unwrap_or(0))
}
