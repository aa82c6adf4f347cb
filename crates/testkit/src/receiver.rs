//! A receiver that does what its script says, over HTTP/1.1 or HTTP/2, with TLS or without, and remembers what it was sent.
//!
//! ```text
//! let receiver = Receiver::http(Script::sequence([Answer::status(500), Answer::status(204)])).await;
//! post_an_event_to(receiver.url("/hook"));
//! let second = receiver.request(2).await;      // waits for it by signal
//! ```

mod answer;
mod http1;
mod http2;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub use answer::{Answer, Signal, Step};

/// Most requests that are remembered; the ones that came first stay.
pub const REQUESTS_MAX: usize = 100_000;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// `POST`.
    pub method: String,
    /// Path and query, as in the request line.
    pub path: String,
    /// Headers; over HTTP/2 the authority stands under `host` too.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Over which connection: the first is 1.
    pub connection: usize,
    /// Whether it came over HTTP/2.
    pub is_http2: bool,
}

impl Request {
    /// The value of a header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

/// What to answer to which request. The number counts all requests from 1.
#[derive(Clone)]
pub struct Script(Arc<Answering>);

type Answering = dyn Fn(usize, &Request) -> Answer + Send + Sync;

impl Script {
    /// The same answer always.
    pub fn always(answer: Answer) -> Self {
        Self::by(move |_, _| answer.clone())
    }

    /// These in turn; the last stays.
    pub fn sequence(answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers: Vec<_> = answers.into_iter().collect();
        Self::by(move |number, _| {
            let answer = answers.get(number - 1).or(answers.last());
            answer.cloned().unwrap_or_else(|| Answer::status(204))
        })
    }

    /// Whatever this function says, given the request's number (from 1) and the request.
    pub fn by(answer: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Self {
        Self(Arc::new(answer))
    }

    fn answer(&self, number: usize, request: &Request) -> Answer {
        (self.0)(number, request)
    }
}

/// A future that serves one connection in a way of a test's own.
pub type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A receiver on a port of its own. It stops when it is dropped.
pub struct Receiver {
    address: SocketAddr,
    scheme: &'static str,
    log: Arc<Log>,
    /// The task that accepts; the connections are its own, and end with it.
    _tasks: JoinSet<()>,
}

/// What has come. Written by connections, read by tests.
struct Log {
    /// At most `REQUESTS_MAX`.
    requests: Mutex<Vec<Request>>,
    count: watch::Sender<usize>,
    connections: watch::Sender<usize>,
    open: AtomicUsize,
}

/// How connections are served.
#[derive(Clone)]
enum Service {
    Http(Script, Option<TlsAcceptor>),
    Raw(Arc<dyn Fn(TcpStream) -> Serving + Send + Sync>),
}

impl Receiver {
    /// Plain HTTP on a free port of 127.0.0.1.
    pub async fn http(script: Script) -> Self {
        Self::http_on(IpAddr::V4(Ipv4Addr::LOCALHOST), script).await
    }

    /// Plain HTTP on a free port of this address: all of 127.0.0.0/8 can play hosts.
    pub async fn http_on(ip: IpAddr, script: Script) -> Self {
        Self::start(SocketAddr::new(ip, 0), "http", Service::Http(script, None)).await
    }

    /// HTTPS on a free port of 127.0.0.1; see `TestCa::server_config`.
    pub async fn https(config: Arc<ServerConfig>, script: Script) -> Self {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self::start(address, "https", Service::Http(script, Some(TlsAcceptor::from(config)))).await
    }

    /// Serves each connection as the function says, byte for byte.
    pub async fn raw<F: Future<Output = ()> + Send + 'static>(serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self::start(address, "http", Service::Raw(Arc::new(move |stream| Box::pin(serve(stream))))).await
    }

    #[allow(clippy::expect_used, reason = "only tests use it: a port that cannot be had is a failed test")]
    async fn start(address: SocketAddr, scheme: &'static str, service: Service) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let log = Arc::new(Log {
            requests: Mutex::default(),
            count: watch::Sender::new(0),
            connections: watch::Sender::new(0),
            open: AtomicUsize::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, service, Arc::clone(&log)));
        Self {
            address,
            scheme,
            log,
            _tasks: tasks,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// A url of it by its address, with this path.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// A url of it by this name, which the code under test must resolve to its address.
    pub fn url_by_name(&self, host: &str, path: &str) -> String {
        format!("{}://{host}:{}{path}", self.scheme, self.address.port())
    }

    /// The n-th request, from 1, as soon as it has come whole.
    ///
    /// # Panics
    /// Where it was one of more than `REQUESTS_MAX`.
    #[allow(clippy::expect_used, reason = "only tests use it")]
    pub async fn request(&self, number: usize) -> Request {
        self.wait_for_requests(number).await;
        let requests = self.log.requests.lock();
        requests.get(number - 1).cloned().expect("a request that is remembered")
    }

    /// Ends when so many requests have come.
    pub async fn wait_for_requests(&self, count: usize) {
        let mut counted = self.log.count.subscribe();
        // It fails only where the log is gone, and `self` holds it.
        let _ = counted.wait_for(|counted| *counted >= count).await;
    }

    /// Ends when so many connections have been accepted.
    pub async fn wait_for_connections(&self, count: usize) {
        let mut counted = self.log.connections.subscribe();
        // As above.
        let _ = counted.wait_for(|counted| *counted >= count).await;
    }

    /// All requests so far, in the order in which they came.
    pub fn requests(&self) -> Vec<Request> {
        self.log.requests.lock().clone()
    }

    /// How many requests have come.
    pub fn request_count(&self) -> usize {
        *self.log.count.borrow()
    }

    /// How many connections have been accepted.
    pub fn connections(&self) -> usize {
        *self.log.connections.borrow()
    }

    /// How many connections are open now.
    pub fn open_connections(&self) -> usize {
        self.log.open.load(Ordering::SeqCst)
    }
}

impl Log {
    /// Remembers a request and says its number.
    fn note(&self, request: Request) -> usize {
        let mut requests = self.requests.lock();
        if requests.len() < REQUESTS_MAX {
            requests.push(request);
        }
        let mut number = 0;
        self.count.send_modify(|count| {
            *count += 1;
            number = *count;
        });
        number
    }
}

/// One connection that is open.
struct Opened(Arc<Log>);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn accept(listener: TcpListener, service: Service, log: Arc<Log>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        log.open.fetch_add(1, Ordering::SeqCst);
        let opened = Opened(Arc::clone(&log));
        let mut number = 0;
        log.connections.send_modify(|count| {
            *count += 1;
            number = *count;
        });
        let service = service.clone();
        connections.spawn(async move {
            serve(stream, service, &opened.0, number).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// With TLS or without.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

async fn serve(stream: TcpStream, service: Service, log: &Arc<Log>, connection: usize) {
    // Only slower where it fails.
    let _ = stream.set_nodelay(true);
    match service {
        Service::Raw(serve) => serve(stream).await,
        Service::Http(script, None) => http1::serve(stream, &script, log, connection).await,
        Service::Http(script, Some(tls)) => {
            // A handshake that fails is for the other side to tell of.
            let Ok(stream) = tls.accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                http2::serve(stream, script, Arc::clone(log), connection).await;
            } else {
                http1::serve(stream, &script, log, connection).await;
            }
        }
    }
}
