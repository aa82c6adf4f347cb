//! The receiver: a thread that answers deliveries as their path says, and takes their latency.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::payload::{Kind, Stamp, StampFinder, webhook_of_request};
use super::stopwatch::sleep;
use super::thread::{Measured, spawn};
use super::window::{Latencies, Window, add};
use super::wire::{Inbox, WireError};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const FAILURE: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4_096;
/// How long the receiver waits after a failed accept (no file handles) before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// A receiver at work.
pub(crate) struct Receiver {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its thread.
    pub(crate) thread: Measured<Latencies>,
    stop: watch::Sender<bool>,
}

impl Receiver {
    /// Starts it on a free port of 127.0.0.1; with TLS where an acceptor is given.
    ///
    /// # Errors
    /// Where there is no port or no thread.
    pub(crate) fn start(window: Arc<Window>, tls: Option<TlsAcceptor>) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        // The standard library asks for 128: a lane that opens more connections at once would wait a second for a SYN that was dropped.
        rustix::net::listen(&listener, BACKLOG)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let thread = spawn("receiver", move || accept(listener, window, tls, stopped))?;
        Ok(Self { address, thread, stop })
    }

    /// Ends it; the latencies of what was posted in the window.
    ///
    /// # Errors
    /// Where its thread failed.
    pub(crate) fn finish(self) -> anyhow::Result<Latencies> {
        self.stop.send_replace(true);
        self.thread.join()
    }
}

async fn accept(
    listener: std::net::TcpListener,
    window: Arc<Window>,
    tls: Option<TlsAcceptor>,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<Latencies> {
    let listener = TcpListener::from_std(listener)?;
    let latencies = Rc::new(RefCell::new(Latencies::new()?));
    // As many as the server opens at once: its own limits bound it.
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let answerer = Answerer {
                    window: Arc::clone(&window),
                    latencies: Rc::clone(&latencies),
                    stamps: StampFinder::default(),
                };
                connections.spawn_local(answerer.serve(stream, tls.clone()));
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
    connections.shutdown().await;
    let latencies = Rc::try_unwrap(latencies).map_err(|_| anyhow::anyhow!("a connection outlived the receiver"))?;
    Ok(latencies.into_inner())
}

/// Answers on one connection.
struct Answerer {
    window: Arc<Window>,
    latencies: Rc<RefCell<Latencies>>,
    stamps: StampFinder,
}

impl Answerer {
    async fn serve(mut self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        // A connection that breaks is the server's to notice: its attempt fails, is counted there and made again.
        let _ = self.serve_until_closed(stream, tls).await;
    }

    async fn serve_until_closed(&mut self, stream: TcpStream, tls: Option<TlsAcceptor>) -> Result<(), WireError> {
        stream.set_nodelay(true)?;
        match tls {
            Some(tls) => self.answer_all(tls.accept(stream).await?).await,
            None => self.answer_all(stream).await,
        }
    }

    async fn answer_all<S: AsyncRead + AsyncWrite + Unpin>(&mut self, mut stream: S) -> Result<(), WireError> {
        let mut inbox = Inbox::new();
        while let Some(frame) = inbox.next(&mut stream).await? {
            let kind = Kind::of_request(inbox.head(frame));
            let webhook = webhook_of_request(inbox.head(frame));
            let stamp = self.stamps.find(inbox.body(frame));
            inbox.pass(frame);
            match kind {
                Kind::Healthy => {
                    self.count(stamp, webhook);
                    stream.write_all(OK).await?;
                }
                Kind::Failing => {
                    if self.window.contains(self.window.watch.nanos()) {
                        add(&self.window.receiver.failed, 1);
                    }
                    stream.write_all(FAILURE).await?;
                }
                // Nothing is answered; the loop sees when the sender gives up.
                Kind::Hanging => {
                    add(&self.window.receiver.hanging_ever, 1);
                }
            }
        }
        Ok(())
    }

    /// Throughput counts what arrives in the window, latency what was posted in it: a backlog would hide its own latency otherwise.
    fn count(&self, stamp: Option<Stamp>, webhook: u64) {
        let now = self.window.watch.nanos();
        add(&self.window.receiver.acknowledged_ever, 1);
        if self.window.contains(now) {
            add(&self.window.receiver.acknowledged, 1);
        }
        let Some(stamp) = stamp else { return };
        self.window.tally.arrive(stamp.number, webhook);
        if self.window.contains(stamp.posted) {
            self.latencies.borrow_mut().record(now.saturating_sub(stamp.posted));
        }
    }
}
