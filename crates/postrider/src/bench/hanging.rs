//! Receivers that take connections and never answer, each on an address of its own out of 127.0.0.0/8.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::stopwatch::sleep;
use super::thread::{Measured, spawn};
use super::window::{Window, add};

/// Most hosts that can be played: each is a listening socket, and a process may have 20,000 files on many systems.
pub(crate) const HOSTS_MAX: usize = 10_000;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Hanging receivers at work.
pub(crate) struct Hanging {
    /// Where they listen: all on one port.
    pub(crate) addresses: Vec<SocketAddr>,
    thread: Measured<()>,
    stop: watch::Sender<bool>,
}

impl Hanging {
    /// Starts so many.
    ///
    /// # Errors
    /// Where no port is free on all addresses, or there are not enough file handles.
    pub(crate) fn start(hosts: usize, window: Arc<Window>) -> anyhow::Result<Self> {
        anyhow::ensure!((1..=HOSTS_MAX).contains(&hosts), "1 to {HOSTS_MAX} hanging hosts can be played");
        let listeners = bind_all(hosts)?;
        let addresses = listeners.iter().map(std::net::TcpListener::local_addr).collect::<Result<_, _>>()?;
        let (stop, stopped) = watch::channel(false);
        let thread = spawn("hanging", move || hang(listeners, window, stopped))?;
        Ok(Self { addresses, thread, stop })
    }

    /// Ends them.
    ///
    /// # Errors
    /// Where their thread failed.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        self.thread.join()
    }
}

/// 127.1.0.1 and on: away from 127.0.0.1, where everything else listens.
fn host(index: usize) -> Ipv4Addr {
    let [_, high, middle, low] = u32::try_from(index).unwrap_or(0).to_be_bytes();
    Ipv4Addr::new(127, high.saturating_add(1), middle, low.max(1))
}

fn bind_all(hosts: usize) -> anyhow::Result<Vec<std::net::TcpListener>> {
    let first = std::net::TcpListener::bind((host(1), 0))?;
    let port = first.local_addr()?.port();
    let mut listeners = vec![first];
    // Addresses that end in 0 are left out, so one more is tried for each 256.
    let indexes = (2..).filter(|index| index % 256 != 0).take(hosts - 1);
    for index in indexes {
        let address = SocketAddr::from((host(index), port));
        let listener =
            std::net::TcpListener::bind(address).with_context(|| format!("cannot listen at {address} for a hanging receiver"))?;
        listeners.push(listener);
    }
    for listener in &listeners {
        listener.set_nonblocking(true)?;
    }
    Ok(listeners)
}

async fn hang(listeners: Vec<std::net::TcpListener>, window: Arc<Window>, mut stopped: watch::Receiver<bool>) -> anyhow::Result<()> {
    // One task for each host; HOSTS_MAX bounds them.
    let mut hosts = JoinSet::new();
    for listener in listeners {
        let listener = TcpListener::from_std(listener)?;
        hosts.spawn_local(accept(listener, Arc::clone(&window)));
    }
    // The sender of this lives as long as the bench.
    let _ = stopped.wait_for(|stopped| *stopped).await;
    hosts.shutdown().await;
    Ok(())
}

async fn accept(listener: TcpListener, window: Arc<Window>) {
    // As many as the server opens at once: its own limits bound it.
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn_local(swallow(stream, Arc::clone(&window)));
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Reads what comes, and answers nothing, until the sender gives up.
async fn swallow(mut stream: TcpStream, window: Arc<Window>) {
    add(&window.receiver.hanging_ever, 1);
    let mut bytes = [0u8; 1024];
    while matches!(stream.read(&mut bytes).await, Ok(1..)) {}
}
