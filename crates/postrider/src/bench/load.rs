//! The load: a thread that posts events over many connections, each posting again as soon as its answer is there.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::payload::{Kind, Request, RequestShape, Stamp};
use super::stopwatch::sleep;
use super::thread::{Measured, spawn};
use super::window::{Latencies, Window, add};
use super::wire::{self, Inbox, WireError};

/// Times that one connection is made again after it broke, before it gives up.
const RECONNECTS_MAX: usize = 20;
/// How long a connection waits after a 429 or 503 before it asks again.
const BACKOFF: Duration = Duration::from_millis(50);

/// How far behind its rate a connection may fall and still catch up.
const BEHIND_NANOS_MAX: f64 = 100e6;

/// What is posted, and how fast.
#[derive(Clone)]
pub(crate) struct LoadOptions {
    /// The servers: connections take them in turn.
    pub(crate) servers: Vec<SocketAddr>,
    /// How requests look, one for each account; the connections of each server take them in turn.
    pub(crate) shapes: Vec<RequestShape>,
    /// Connections at once.
    pub(crate) connections: usize,
    /// Events a second, over all connections; `None` goes as fast as it can.
    pub(crate) rate: Option<f64>,
    /// The share of events for a receiver that answers 500.
    pub(crate) failing: f64,
    /// The share of events for a receiver that never answers.
    pub(crate) hanging: f64,
}

/// Starts the load. It ends when the window's `stop` is called, and tells how long the answers took.
pub(crate) fn start(options: LoadOptions, window: Arc<Window>) -> anyhow::Result<Measured<Latencies>> {
    spawn("load", move || run(options, window))
}

async fn run(options: LoadOptions, window: Arc<Window>) -> anyhow::Result<Latencies> {
    let latencies = Rc::new(RefCell::new(Latencies::new()?));
    let mut connections = JoinSet::new();
    for index in 0..options.connections {
        if let Some(poster) = Poster::new(&options, index, Arc::clone(&window), Rc::clone(&latencies)) {
            connections.spawn_local(poster.run());
        }
    }
    while connections.join_next().await.is_some() {}
    drop(connections);
    let latencies = Rc::try_unwrap(latencies).map_err(|_| anyhow::anyhow!("a connection outlived the load"))?;
    Ok(latencies.into_inner())
}

/// One connection that posts.
struct Poster {
    server: SocketAddr,
    window: Arc<Window>,
    mix: Mix,
    latencies: Rc<RefCell<Latencies>>,
    pace: Option<Pace>,
}

impl Poster {
    /// `None` where there is no server.
    fn new(options: &LoadOptions, index: usize, window: Arc<Window>, latencies: Rc<RefCell<Latencies>>) -> Option<Self> {
        let (server, turn) = of_turn(&options.servers, index)?;
        let (shape, _) = of_turn(&options.shapes, turn)?;
        let events = shape.batch.unwrap_or(1) as f64;
        Some(Self {
            server: *server,
            mix: Mix::new(options, shape),
            latencies,
            pace: options.rate.map(|rate| Pace::new(rate / events, index, options.connections)),
            window,
        })
    }

    async fn run(mut self) {
        for _ in 0..=RECONNECTS_MAX {
            match self.post_until_stopped().await {
                Ok(()) => break,
                Err(_) if self.window.is_stopped() => break,
                Err(error) => self.window.trouble(|| error.to_string()),
            }
            sleep(BACKOFF).await;
        }
    }

    async fn post_until_stopped(&mut self) -> Result<(), WireError> {
        let mut stream = TcpStream::connect(self.server).await?;
        stream.set_nodelay(true)?;
        let mut inbox = Inbox::new();
        while !self.window.is_stopped() {
            if let Some(pace) = &mut self.pace {
                pace.wait(&self.window).await;
            }
            let status = self.post(&mut stream, &mut inbox).await?;
            if matches!(status, 429 | 503) {
                sleep(BACKOFF).await;
            }
        }
        Ok(())
    }

    async fn post(&mut self, stream: &mut TcpStream, inbox: &mut Inbox) -> Result<u16, WireError> {
        let (kind, request) = self.mix.next();
        let events = request.events();
        let stamp = Stamp {
            posted: self.window.watch.nanos(),
            number: self.window.tally.take_numbers(events),
        };
        stream.write_all(request.stamped(stamp)).await?;
        let frame = inbox
            .next(stream)
            .await?
            .ok_or(WireError::Strange("the server closed the connection"))?;
        let ended = self.window.watch.nanos();
        let status = wire::status(inbox.head(frame));
        if (200..300).contains(&status) {
            self.count(kind, events, stamp, ended);
        } else {
            self.window
                .trouble(|| format!("{status}: {}", String::from_utf8_lossy(inbox.body(frame))));
        }
        inbox.pass(frame);
        Ok(status)
    }

    fn count(&mut self, kind: Kind, events: u64, stamp: Stamp, ended: u64) {
        let counts = &self.window.load;
        if self.window.contains(ended) {
            add(&counts.requests, 1);
            add(&counts.events, events);
            self.latencies.borrow_mut().record(ended.saturating_sub(stamp.posted));
        }
        if kind == Kind::Healthy {
            add(&counts.healthy_ever, events);
            self.window.tally.accept(stamp.number, events);
        }
    }
}

/// Whose turn it is, and how many rounds were before it.
fn of_turn<T>(all: &[T], index: usize) -> Option<(&T, usize)> {
    Some((all.get(index.checked_rem(all.len())?)?, index / all.len()))
}

/// Which request comes next: the shares are kept exactly, by carrying over what is owed to each.
struct Mix {
    healthy: Request,
    failing: Request,
    hanging: Request,
    failing_share: f64,
    hanging_share: f64,
    failing_owed: f64,
    hanging_owed: f64,
}

impl Mix {
    fn new(options: &LoadOptions, shape: &RequestShape) -> Self {
        Self {
            healthy: Request::new(shape, Kind::Healthy),
            failing: Request::new(shape, Kind::Failing),
            hanging: Request::new(shape, Kind::Hanging),
            failing_share: options.failing,
            hanging_share: options.hanging,
            failing_owed: 0.0,
            hanging_owed: 0.0,
        }
    }

    fn next(&mut self) -> (Kind, &mut Request) {
        self.failing_owed += self.failing_share;
        self.hanging_owed += self.hanging_share;
        if self.failing_owed >= 1.0 {
            self.failing_owed -= 1.0;
            (Kind::Failing, &mut self.failing)
        } else if self.hanging_owed >= 1.0 {
            self.hanging_owed -= 1.0;
            (Kind::Hanging, &mut self.hanging)
        } else {
            (Kind::Healthy, &mut self.healthy)
        }
    }
}

/// Keeps one connection to its part of the rate.
struct Pace {
    /// Nanoseconds between two requests of this connection.
    step: f64,
    /// When the next is due; connections are spread over the step.
    next: f64,
}

impl Pace {
    fn new(requests_per_second: f64, index: usize, connections: usize) -> Self {
        let step = 1e9 * connections as f64 / requests_per_second;
        Self {
            step,
            next: step * index as f64 / connections as f64,
        }
    }

    async fn wait(&mut self, window: &Window) {
        let now = window.watch.nanos() as f64;
        // Who fell far behind goes on from now: a burst to catch up would measure the burst.
        self.next = (self.next + self.step).max(now - BEHIND_NANOS_MAX);
        if self.next > now {
            sleep(Duration::from_nanos((self.next - now) as u64)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::stopwatch::Stopwatch;
    use super::*;

    fn options(failing: f64, hanging: f64) -> LoadOptions {
        LoadOptions {
            servers: vec![SocketAddr::from(([127, 0, 0, 1], 1))],
            shapes: vec![RequestShape {
                path: "/events".to_owned(),
                host: "h".to_owned(),
                token: "t".to_owned(),
                data_bytes: 100,
                batch: None,
            }],
            connections: 1,
            rate: None,
            failing,
            hanging,
        }
    }

    #[test]
    fn shares_are_kept_exactly() {
        let options = options(0.25, 0.5);
        let mut mix = Mix::new(&options, &options.shapes[0]);
        let kinds: Vec<Kind> = (0..1_000).map(|_| mix.next().0).collect();
        let count = |kind| kinds.iter().filter(|other| **other == kind).count();
        // At most one of each is owed at the end.
        assert!((249..=250).contains(&count(Kind::Failing)));
        assert!((499..=500).contains(&count(Kind::Hanging)));
    }

    #[test]
    fn connections_take_servers_in_turn_and_those_of_each_its_accounts() {
        let (servers, accounts) = (["a", "b"], [1, 2, 3]);
        let turns = (0..6).map(|index| {
            let (server, turn) = of_turn(&servers, index).unwrap();
            (*server, *of_turn(&accounts, turn).unwrap().0)
        });
        assert_eq!(
            turns.collect::<Vec<_>>(),
            [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 3), ("b", 3)]
        );
        assert!(of_turn::<u8>(&[], 0).is_none());
    }

    #[tokio::test]
    async fn a_connection_that_fell_behind_does_not_burst_for_long() {
        let window = Window::new(Stopwatch::start(), 1);
        let mut pace = Pace::new(1_000.0, 0, 1);
        pace.next = -1e12;
        let begin = window.watch.nanos();
        // 100 ms of backlog at 1,000 a second: the hundred that it may catch up take no time, and none waits a thousand seconds.
        for _ in 0..100 {
            pace.wait(&window).await;
        }
        assert!(window.watch.nanos() - begin < 1_000_000_000);
        assert!(pace.next > -1e9);
    }

    #[tokio::test]
    async fn a_refusal_is_counted_and_ends_no_load() {
        let window = Arc::new(Window::new(Stopwatch::start(), 1));
        let load = start(options(0.0, 0.0), Arc::clone(&window)).unwrap();
        while super::super::window::read(&window.load.refused) == 0 {
            tokio::task::yield_now().await;
        }
        window.stop();
        load.join().unwrap();
        assert!(window.first_trouble().is_some());
    }
}
