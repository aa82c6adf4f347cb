//! Wakes between nodes: NOTIFY after the commit, on a connection of its own; within the committing transactions it would make them wait for
//! each other. Where LISTEN hears nothing (a pooler in between), looking every second takes its place.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postrider_model::time::Monotonic;
use postrider_ports::Clock;
use postrider_ports::nodes::{NodeToken, Wake};
use tokio::sync::{Mutex, mpsc};
use tokio_postgres::{Client, Notification};

use crate::fault::Outcome;
use crate::line::{Line, Way, query};
use crate::param::Array;
use crate::words;

/// Which part of the room that PostgreSQL has for notices, of all its databases, may be taken before no deliveries go that way: somebody
/// listens, and does not read.
const USAGE_MAX: f64 = 0.02;
/// How long a notice to ourselves may take before it is taken for lost.
const PROBE_TIME_MAX: Duration = Duration::from_secs(2);
/// How often a node looks that hears nothing.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often it listens anew, in case it was taken for deaf because its probe was slow.
const DEAF_TIME_MAX: Duration = Duration::from_secs(60);
/// Heard by all nodes.
const ALL: &str = "postrider";
/// What a node tells itself, to learn whether it hears.
const PROBE: &str = "p";

/// A node's ear.
pub(crate) struct Ear {
    way: Way,
    /// Held by the one task that listens, across its waiting.
    listening: Mutex<Option<Listening>>,
    /// It was said that nothing is heard: that is not said again before something was. Written and read by `listen`.
    has_warned: AtomicBool,
}

struct Listening {
    token: NodeToken,
    /// Ends the connection when it is dropped.
    _client: Client,
    /// At most `NOTICES_MAX`.
    notices: mpsc::Receiver<Notification>,
    /// It hears nothing, for something in between passes no notices on; until then that is not tried anew.
    deaf_until: Option<Monotonic>,
}

impl Ear {
    pub(crate) fn new(way: Way) -> Self {
        Self {
            way,
            listening: Mutex::new(None),
            has_warned: AtomicBool::new(false),
        }
    }

    /// Waits until the node is woken. What began to listen only now, or has lost something, looks at everything.
    pub(crate) async fn woken(&self, token: NodeToken, mouth: &Mouth) -> Outcome<Vec<Wake>> {
        let mut state = self.listening.lock().await;
        if let Some(listening) = state.as_mut().filter(|listening| listening.token == token) {
            let wakes = listening.wait(&*self.way.clock).await;
            if !wakes.is_empty() {
                return Ok(wakes);
            }
        }
        // Its connection ends before the next is made.
        *state = None;
        *state = Some(self.listen(token, mouth).await?);
        Ok(vec![Wake::Missed])
    }

    async fn listen(&self, token: NodeToken, mouth: &Mouth) -> Outcome<Listening> {
        let way = &self.way;
        let (client, mut notices) = way.connect().await?;
        let listen = format!("LISTEN {ALL}; LISTEN {}", channel(token));
        way.in_time(client.batch_execute(&listen)).await?;
        // From another connection: a pooler may pass on what comes while this one is at work.
        mouth.tell(&channel(token), vec![PROBE.to_owned()]).await?;
        let told = way.clock.mono();
        let deaf_until = tokio::select! {
            biased;
            notice = notices.recv() => match notice {
                Some(_) => {
                    self.has_warned.store(false, Ordering::Relaxed);
                    None
                }
                // It broke: that says nothing of whether it would hear.
                None => Some(told + POLL_INTERVAL),
            },
            () = way.clock.sleep_until(told + PROBE_TIME_MAX) => {
                if !self.has_warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!("LISTEN hears nothing, as behind a pooler of transactions: this node looks for work every second instead");
                }
                Some(way.clock.mono() + DEAF_TIME_MAX)
            }
        };
        Ok(Listening {
            token,
            _client: client,
            notices,
            deaf_until,
        })
    }
}

impl Listening {
    /// What it is woken for; nothing where it is to listen anew.
    async fn wait(&mut self, clock: &dyn Clock) -> Vec<Wake> {
        match self.deaf_until {
            None => self.hear().await,
            Some(until) if clock.mono() >= until => Vec::new(),
            Some(_) => {
                clock.sleep_until(clock.mono() + POLL_INTERVAL).await;
                vec![Wake::Missed]
            }
        }
    }

    /// What comes next, with all that waits behind it; nothing where the connection broke or what came was too much.
    async fn hear(&mut self) -> Vec<Wake> {
        let mut wakes = Vec::new();
        let Some(first) = self.notices.recv().await else { return wakes };
        let mut next = Some(first);
        while let Some(notice) = next {
            let is_for_us = notice.channel() == channel(self.token);
            words::read(self.token, is_for_us, notice.payload(), &mut wakes);
            next = match self.notices.try_recv() {
                Ok(notice) => Some(notice),
                Err(mpsc::error::TryRecvError::Empty) => None,
                Err(mpsc::error::TryRecvError::Disconnected) => return Vec::new(),
            };
        }
        if wakes.is_empty() {
            // A word of our own, or of a newer version: nothing to do, but not the end.
            return Box::pin(self.hear()).await;
        }
        wakes
    }
}

/// A node's mouth.
pub(crate) struct Mouth {
    line: Line,
    /// There was little room for notices.
    is_hoarse: AtomicBool,
}

impl Mouth {
    pub(crate) const fn new(way: Way) -> Self {
        Self {
            line: Line::new(way),
            is_hoarse: AtomicBool::new(false),
        }
    }

    /// Closes the connection: the next word makes another.
    pub(crate) fn drop_it(&self) {
        self.line.drop_it();
    }

    /// Wakes one node, or all.
    pub(crate) async fn wake(&self, from: NodeToken, to: Option<NodeToken>, wakes: &[Wake]) -> Outcome<()> {
        let channel = to.map_or_else(|| ALL.to_owned(), channel);
        let hands_over = !self.is_hoarse.load(Ordering::Relaxed);
        self.tell(&channel, words::payloads(from, wakes, hands_over)).await
    }

    async fn tell(&self, channel: &str, payloads: Vec<String>) -> Outcome<()> {
        let payloads: Array<String> = payloads.into_iter().collect();
        let sql = "SELECT pg_notification_queue_usage(), count(pg_notify($1, payload)) FROM unnest($2) AS payload";
        let client = self.line.take().await?;
        let rows = self.line.way().in_time(query(&client, sql, &[&channel, &payloads])).await?;
        self.line.keep(client);
        if let Some(row) = rows.first() {
            self.is_hoarse.store(row.try_get::<_, f64>(0)? > USAGE_MAX, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn channel(token: NodeToken) -> String {
    format!("postrider_{:032x}", token.0)
}
