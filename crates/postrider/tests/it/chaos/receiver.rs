//! Receivers that fail and hang until it is calm, and that note who sent what, and when.

use std::collections::BTreeSet;
use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::site::Runs;
use super::source::process_behind;
use super::watch::{End, Watch};
use crate::world::{PATIENCE, read_http};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const FAILS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
/// Longer than a node waits for an answer.
const HANGS: Duration = Duration::from_secs(20);
/// Between two looks at what has come.
const LOOK: Duration = Duration::from_millis(100);
/// A receiver with spells is dead for so long, and then well for so long.
const SPELL: Duration = Duration::from_secs(4);

/// How a receiver answers until it is calm.
#[derive(Clone, Copy, Debug)]
pub(super) enum Manner {
    /// It acknowledges.
    Steady,
    /// It fails one in four.
    Flaky,
    /// It leaves one in thirty hanging.
    Hanging,
    /// It is dead for a while, and again.
    Spells,
}

/// All of them: one for each webhook of an account, by its place.
pub(super) const MANNERS: [Manner; 4] = [Manner::Steady, Manner::Flaky, Manner::Hanging, Manner::Spells];

/// Whether this webhook, by its place, always acknowledges.
pub(super) fn is_steady(webhook: usize) -> bool {
    matches!(MANNERS[webhook % MANNERS.len()], Manner::Steady)
}

/// An attempt that arrived.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    /// `Webhook-Id`.
    pub(super) delivery: String,
    /// The webhook, by its place.
    pub(super) webhook: usize,
    /// The id of the event.
    pub(super) event: String,
    /// The number of the event.
    pub(super) number: u64,
    /// When the request had come.
    pub(super) at: Duration,
    /// `Webhook-Timestamp`: when it was begun, in seconds since 1970.
    pub(super) signed: i64,
    /// The process that sent it; `None` where it was gone before it could be told.
    pub(super) sender: Option<u32>,
    /// It was acknowledged.
    pub(super) is_acknowledged: bool,
}

/// A port for each webhook, whose place stands in the path: a host of its own to its sender, so that whoever hangs takes the places of no
/// other.
#[derive(Clone)]
pub(super) struct Receiver {
    /// How many there are.
    webhooks: Arc<Mutex<usize>>,
    watch: Watch,
    runs: Runs,
    /// Wished when it is calm: from then on all acknowledge.
    calm: Arc<End>,
    /// Answers wait for as long as it is true.
    held: Arc<(Mutex<bool>, Condvar)>,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

impl Receiver {
    pub(super) fn new(watch: Watch, runs: Runs) -> Self {
        Self {
            webhooks: Arc::default(),
            watch,
            runs,
            calm: Arc::default(),
            held: Arc::default(),
            arrivals: Arc::default(),
        }
    }

    /// Takes what comes for the next webhook; its url.
    pub(super) fn next_url(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let taker = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let taker = taker.clone();
                // A connection that breaks is the sender's to notice.
                std::thread::spawn(move || drop(taker.serve(stream)));
            }
        });
        let mut webhooks = self.webhooks.lock().unwrap();
        *webhooks += 1;
        format!("http://{address}/{}", *webhooks - 1)
    }

    /// From now on all acknowledge, those that hang at once.
    pub(super) fn calm(&self) {
        self.calm.wish();
    }

    /// Keeps all answers back, or lets them go at once.
    pub(super) fn hold(&self, is_held: bool) {
        *self.held.0.lock().unwrap() = is_held;
        self.held.1.notify_all();
    }

    /// Waits until each webhook that always acknowledges, of so many accounts, has got something from now on: all slots have somebody
    /// who works. How long it took.
    pub(super) fn wait_until_all_flows(&self, accounts: usize) -> Duration {
        let (since, never) = (self.watch.now(), End::default());
        loop {
            let waited = self.watch.now() - since;
            let arrivals = self.arrivals.lock().unwrap();
            let new = arrivals.iter().rev().take_while(|arrival| arrival.at > since);
            let steady: BTreeSet<usize> = new.map(|arrival| arrival.webhook).filter(|webhook| is_steady(*webhook)).collect();
            drop(arrivals);
            if steady.len() == accounts {
                return waited;
            }
            assert!(waited < PATIENCE, "only {steady:?} still get anything");
            never.pause(LOOK);
        }
    }

    pub(super) fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().unwrap().clone()
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut sender = None;
        let mut stream = BufReader::new(stream);
        while let Some((head, body)) = read_http(&mut stream)? {
            // It is the same for all that comes here; where it could not be told, perhaps it can be now.
            if sender.is_none() {
                sender = process_behind(stream.get_ref(), &self.runs.pids())?;
            }
            let event: Value = serde_json::from_slice(&body).unwrap_or_default();
            let mut arrival = Arrival {
                delivery: head.get("webhook-id").to_owned(),
                webhook: head.word(1).trim_start_matches('/').parse().unwrap_or(0),
                event: event["id"].as_str().unwrap_or_default().to_owned(),
                number: event["data"]["n"].as_u64().unwrap_or_default(),
                at: self.watch.now(),
                signed: head.get("webhook-timestamp").parse().unwrap_or(0),
                sender,
                is_acknowledged: false,
            };
            let held = self.held.1.wait_while(self.held.0.lock().unwrap(), |is_held| *is_held);
            drop(held.unwrap());
            let number: u64 = head.get("webhook-attempt").parse().unwrap_or(1);
            let answer = self.answer(&arrival, number);
            arrival.is_acknowledged = answer == OK;
            // Before it is answered: what is acknowledged is surely noted.
            self.arrivals.lock().unwrap().push(arrival);
            stream.get_mut().write_all(answer)?;
        }
        Ok(())
    }

    fn answer(&self, arrival: &Arrival, number: u64) -> &'static [u8] {
        if self.calm.is_wished() {
            return OK;
        }
        // The same for each run of a seed.
        let chance = arrival.number + number;
        match MANNERS[arrival.webhook % MANNERS.len()] {
            Manner::Steady => OK,
            Manner::Flaky if chance.is_multiple_of(4) => FAILS,
            Manner::Hanging if chance.is_multiple_of(30) => {
                self.calm.pause(HANGS);
                FAILS
            }
            Manner::Spells if (arrival.at.as_millis() / SPELL.as_millis()).is_multiple_of(2) => FAILS,
            Manner::Flaky | Manner::Hanging | Manner::Spells => OK,
        }
    }
}
