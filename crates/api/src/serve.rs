//! Taking connections and serving HTTP/1.1 and HTTP/2 (with prior knowledge) on them.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, select};
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use postrider_ports::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::answer::Body;
use crate::api::Api;
use crate::connection::{Activity, Verdict};

/// Connections at one time, unless told otherwise.
pub const CONNECTIONS_MAX: usize = 16_384;
/// Headers of one request; over it hyper answers 431.
const HEADERS_MAX: usize = 100;
/// Bytes of one request's head; over it hyper answers 431. hyper also reads bodies through this buffer.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Requests at one time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
/// How long a connection may take to end once it was asked to.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(5);
/// How long requests at work may take to end once the server is to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(30);
/// How long to wait after the system refused a connection (no file handles, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown` ends; then takes no more connections, finishes the requests at work (at most 30 s) and returns.
///
/// # Errors
/// None that a server can go on without: those of single connections are theirs alone.
pub async fn serve(listener: TcpListener, api: Api, shutdown: impl Future<Output = ()>, clock: Arc<dyn Clock>) -> io::Result<()> {
    let (stop, stopping) = watch::channel(());
    let places = Arc::new(Semaphore::new(api.options().connections_max));
    let server = Server {
        api,
        clock,
        http: Arc::new(http_builder()),
        stopping,
    };
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = pin!(accept(&listener, &places));
        let (stream, place) = match select(shutdown.as_mut(), accepted).await {
            Either::Left(_) => break,
            Either::Right((Ok(accepted), _)) => accepted,
            Either::Right((Err(error), _)) => {
                tracing::warn!(%error, "a connection could not be taken");
                server.clock.sleep_until(server.clock.mono() + ACCEPT_PAUSE).await;
                continue;
            }
        };
        let server = server.clone();
        tokio::spawn(async move {
            let api = server.api.clone();
            api.connections().up();
            server.connection(stream).await;
            api.connections().down();
            drop(place);
        });
    }
    drop(listener);
    // They would go on for as long as their clients like.
    server.api.end_streams();
    let Server { clock, stopping, .. } = server;
    drop(stopping);
    // Each connection holds a receiver: with the last of them the channel closes.
    // It fails only where no connection is left.
    let _ = stop.send(());
    let patience = clock.sleep_until(clock.mono() + STOP_TIME_MAX);
    if let Either::Right(_) = select(pin!(stop.closed()), patience).await {
        tracing::warn!("some requests had not ended when the server stopped");
    }
    Ok(())
}

/// Waits for a place, then for a connection.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

fn http_builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // The time that a head may take is watched by `Activity`, without a timer per request. pipeline_flush stays off: with it hyper 1.12
    // does not flush its 400 and 431 to heads that it cannot read.
    builder
        .http1()
        .header_read_timeout(None)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024);
    builder
}

#[derive(Clone)]
struct Server {
    api: Api,
    clock: Arc<dyn Clock>,
    http: Arc<Builder<TokioExecutor>>,
    stopping: watch::Receiver<()>,
}

impl Server {
    /// Serves one connection until it ends, has been idle for too long, or the server stops.
    async fn connection(mut self, stream: TcpStream) {
        // Small answers are to leave at once; where the system does not have it, they leave later.
        drop(stream.set_nodelay(true));
        let clock = Arc::clone(&self.clock);
        let activity = Arc::new(Activity::new(clock.mono()));
        let service = service_fn(|request: Request<Incoming>| {
            let (api, activity, clock) = (self.api.clone(), Arc::clone(&activity), Arc::clone(&clock));
            async move {
                let _busy = activity.begin(&*clock);
                let response = api.handle(request).await;
                if let Body::Stream(stream) = response.body() {
                    stream.hold(activity.hold(&clock));
                }
                Ok::<_, Infallible>(response)
            }
        });
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(stream), service));
        let mut stopping = pin!(self.stopping.changed().fuse());
        let mut watch = pin!(watch_idle(&*clock, &activity).fuse());
        let mut cut = pin!(activity.cut().fuse());
        futures_util::select_biased! {
            // What a client does wrong is its own affair: a reset or garbage is no news.
            _ = connection.as_mut().fuse() => return,
            _ = stopping => {}
            () = watch => {}
            () = cut => return,
        }
        connection.as_mut().graceful_shutdown();
        end(&*clock, &activity, connection).await;
    }
}

/// Ends when the connection has been idle for too long.
async fn watch_idle(clock: &dyn Clock, activity: &Activity) {
    while let Verdict::LookAgain(moment) = activity.judge(clock.mono()) {
        clock.sleep_until(moment).await;
    }
}

/// Lets the requests at work end. A connection that does not close without any (half a head, an answer nobody reads) is dropped.
async fn end(clock: &dyn Clock, activity: &Activity, mut connection: Pin<&mut impl Future>) {
    loop {
        let patience = clock.sleep_until(clock.mono() + CLOSE_TIME_MAX);
        match select(connection.as_mut(), patience).await {
            Either::Left(_) => return,
            Either::Right(_) if activity.is_idle() => return,
            Either::Right(_) => {}
        }
    }
}
