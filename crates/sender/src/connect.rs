//! Opens connections: looks the name up, judges each address, dials those that may be dialled, shakes hands.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use postrider_model::address::AddressPolicy;
use postrider_model::attempt::ErrorKind;
use postrider_model::limits::RESPONSE_BYTES_MAX;
use postrider_model::time::Monotonic;
use postrider_model::url::WebhookUrl;
use postrider_ports::Clock;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::exchange::{H1, H2, H2Stream, Paced};
use crate::failure::{Failure, Phase, is_short_of_handles};
use crate::names::Names;
use crate::pool::{Key, Pool, Pooled};
use crate::resolve::ResolveError;
use crate::timer::{Timer, within};
use crate::tls::ALPN_H2;
use crate::wire::{Meter, OpenGuard, Socket, Wire};

/// Most addresses of a name that are tried.
const ADDRESSES_MAX: usize = 8;
/// How long an address has before the next is dialled beside it (RFC 8305 §5).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);
/// Streams at a time on an HTTP/2 connection until the receiver says another number (RFC 9113 §6.5.2).
const STREAMS_MAX_AT_FIRST: usize = 100;
/// What a receiver may send on one stream unread. Answers are small.
const STREAM_WINDOW_BYTES: u32 = 16 * 1024;
/// What it may send on one connection unread.
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;

/// Opens TCP connections. Tests put faults in its place.
#[async_trait]
pub trait Dial: Send + Sync + 'static {
    /// Opens a connection to this very address, which has been judged.
    ///
    /// # Errors
    /// As the system says them.
    async fn dial(&self, address: SocketAddr) -> io::Result<TcpStream>;
}

/// Dials by the system.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpDial;

#[async_trait]
impl Dial for TcpDial {
    async fn dial(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        // Head and body go out in one write: waiting for more would only delay it.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// All it takes to open a connection.
pub(crate) struct Connector {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policy: AddressPolicy,
    pub(crate) names: Names,
    pub(crate) dialler: Arc<dyn Dial>,
    pub(crate) tls: TlsConnector,
    /// Idle connections in it give way.
    pub(crate) pool: Arc<Pool>,
    /// Open sockets. Written by their guards; read before each dial.
    pub(crate) open: Arc<AtomicUsize>,
    pub(crate) sockets_max: usize,
}

impl Connector {
    pub(crate) fn open_sockets(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// A fresh connection to the url's host, by the deadline.
    pub(crate) async fn connect(&self, url: &WebhookUrl, deadline: Monotonic) -> Result<Pooled, Failure> {
        let clock = &*self.clock;
        let addresses = match url.host_ip() {
            Some(ip) => vec![ip],
            None => {
                let found = within(clock, deadline, self.names.find(url.host())).await;
                in_dialling_order(&found.ok_or_else(|| Failure::timeout(Phase::NameLookup))?.map_err(unresolved)?)
            }
        };
        let allowed = self.judge(&addresses)?;
        let tcp = within(clock, deadline, self.dial_any(&allowed, url.port())).await;
        let (tcp, open) = tcp.ok_or_else(|| Failure::timeout(Phase::Connect))??;
        let (socket, is_h2) = if url.is_https() {
            let handshake = within(clock, deadline, self.handshake(url.host(), tcp)).await;
            handshake.ok_or_else(|| Failure::timeout(Phase::TlsHandshake))??
        } else {
            (Socket::Plain(tcp), false)
        };
        if is_h2 {
            let opened = within(clock, deadline, self.open_h2(url, socket, open)).await;
            opened.ok_or_else(|| Failure::timeout(Phase::TlsHandshake))?
        } else {
            self.open_h1(socket, open).await
        }
    }

    /// The addresses that may be dialled. These are the ones that are dialled: the name is not looked up again.
    fn judge(&self, addresses: &[IpAddr]) -> Result<Vec<IpAddr>, Failure> {
        let mut blocked = None;
        let mut allowed = Vec::with_capacity(addresses.len());
        for ip in addresses {
            match self.policy.judge(*ip) {
                Ok(()) => allowed.push(*ip),
                Err(why) => blocked = blocked.or(Some(why)),
            }
        }
        allowed.truncate(ADDRESSES_MAX);
        match blocked {
            Some(why) if allowed.is_empty() => Err(Failure::receiver(ErrorKind::Blocked, why.to_string())),
            _ => Ok(allowed),
        }
    }

    /// The first of these addresses that takes a connection. The next is dialled when one fails, or has not answered for a while.
    async fn dial_any(&self, addresses: &[IpAddr], port: u16) -> Result<(TcpStream, OpenGuard), Failure> {
        let mut waiting = addresses.iter();
        let mut dialling = FuturesUnordered::new();
        let mut failure = None;
        loop {
            if let Some(ip) = waiting.next() {
                dialling.push(self.dial(SocketAddr::new(*ip, port)));
            }
            let next_at = self.clock.mono() + NEXT_ADDRESS_AFTER;
            let mut pause = Timer::new(&*self.clock, next_at);
            let has_more = waiting.len() > 0;
            let dialled = poll_fn(|context| match dialling.poll_next_unpin(context) {
                Poll::Pending if has_more => pause.poll(context).map(|()| None),
                Poll::Pending => Poll::Pending,
                Poll::Ready(dialled) => Poll::Ready(Some(dialled)),
            })
            .await;
            match dialled {
                Some(Some(Ok(dialled))) => return Ok(dialled),
                // An address that we could not even dial says nothing of the receiver: then it was no attempt.
                Some(Some(Err(local @ Failure::Local(_)))) => failure = Some(local),
                // Else what the first address said is told: it is the one that counts.
                Some(Some(Err(error))) => failure = failure.or(Some(error)),
                Some(None) if !has_more => {
                    return Err(failure.unwrap_or_else(|| Failure::receiver(ErrorKind::Dns, "the host has no address")));
                }
                Some(None) | None => {}
            }
        }
    }

    async fn dial(&self, address: SocketAddr) -> Result<(TcpStream, OpenGuard), Failure> {
        if self.open_sockets() >= self.sockets_max {
            self.pool.give_way();
        }
        let open = OpenGuard::new(&self.open);
        let mut dialled = self.dialler.dial(address).await;
        if dialled.as_ref().err().is_some_and(is_short_of_handles) && self.pool.give_way() {
            dialled = self.dialler.dial(address).await;
        }
        match dialled {
            Ok(stream) => Ok((stream, open)),
            // A machine without IPv6 has no local address for it: the receiver cannot be reached over it, that is all.
            Err(error) if address.is_ipv6() && error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => Err(Failure::receiver(
                ErrorKind::Connect,
                "the receiver's address cannot be reached: this machine has no IPv6",
            )),
            Err(error) => Err(Failure::from_dial(&error)),
        }
    }

    /// The socket, and whether it speaks HTTP/2.
    async fn handshake(&self, host: &str, tcp: TcpStream) -> Result<(Socket, bool), Failure> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| Failure::receiver(ErrorKind::Tls, "the host's name cannot stand in a certificate"))?;
        let stream = self.tls.connect(name, tcp).await.map_err(|error| Failure::from_handshake(&error))?;
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(ALPN_H2);
        Ok((Socket::Tls(Box::new(stream)), is_h2))
    }

    async fn open_h1(&self, socket: Socket, open: OpenGuard) -> Result<Pooled, Failure> {
        let meter = Meter::limited();
        let wire = Wire {
            socket,
            meter: Arc::clone(&meter),
            _open: open,
        };
        // No more than a response may have; buffers begin at half of it, and only when there is something to read.
        let opened = http1::Builder::new()
            .max_buf_size(RESPONSE_BYTES_MAX)
            .handshake(TokioIo::new(wire))
            .await;
        let (sender, connection) = opened.map_err(|error| Failure::from_exchange(&error))?;
        Ok(Pooled::H1(Box::new(H1::new(sender, connection, meter, self.clock.mono()))))
    }

    async fn open_h2(&self, url: &WebhookUrl, socket: Socket, open: OpenGuard) -> Result<Pooled, Failure> {
        let wire = Wire {
            socket,
            meter: Meter::unlimited(),
            _open: open,
        };
        let opened = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(u32::try_from(RESPONSE_BYTES_MAX).unwrap_or(u32::MAX))
            .handshake::<_, Paced>(TokioIo::new(wire))
            .await;
        let (sender, mut connection) = opened.map_err(|error| Failure::from_exchange(&error))?;
        let now = self.clock.mono();
        let shared = Arc::new(H2 {
            sender,
            streams: AtomicUsize::new(1),
            streams_max: AtomicUsize::new(STREAMS_MAX_AT_FIRST),
            last_used: AtomicU64::new(now.as_nanos()),
            born: now,
        });
        let weak = Arc::downgrade(&shared);
        // Ends when the receiver closes it, or when the pool and the last stream let go of it.
        tokio::spawn(async move {
            let ended = poll_fn(|context| {
                let polled = std::pin::Pin::new(&mut connection).poll(context);
                if let Some(shared) = weak.upgrade() {
                    shared.streams_max.store(connection.current_max_send_streams(), Ordering::Relaxed);
                }
                polled
            })
            .await;
            if let Err(error) = ended {
                tracing::trace!(%error, "an HTTP/2 connection ended");
            }
        });
        self.pool.share(Key(url.clone()), Arc::clone(&shared));
        Ok(Pooled::H2(H2Stream {
            connection: shared,
            clock: Arc::clone(&self.clock),
            is_reused: false,
        }))
    }
}

/// IPv6 and IPv4 in turn, IPv6 first (RFC 8305 §4).
fn in_dialling_order(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let mut v6 = addresses.iter().filter(|ip| ip.is_ipv6());
    let mut v4 = addresses.iter().filter(|ip| ip.is_ipv4());
    let mut order = Vec::with_capacity(addresses.len());
    while order.len() < addresses.len() {
        order.extend(v6.next());
        order.extend(v4.next());
    }
    order
}

fn unresolved(error: ResolveError) -> Failure {
    match error {
        ResolveError::NotFound(message) | ResolveError::Failed(message) => Failure::receiver(ErrorKind::Dns, message),
        ResolveError::TimedOut(message) => Failure::receiver(ErrorKind::Timeout, format!("time limit (name lookup): {message}")),
        ResolveError::Unreachable(message) => Failure::Local(message),
    }
}
