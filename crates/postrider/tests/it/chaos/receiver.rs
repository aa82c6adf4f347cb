//! Receivers that fail and hang until it is calm, and that note who sent what, and when.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::site::Runs;
use super::source::process_behind;
use super::watch::{End, Watch};
use crate::world::read_http;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const FAILS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
/// Longer than a node waits for an answer.
const HANGS: Duration = Duration::from_secs(20);
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

/// All of them: one for each webhook of an account.
pub(super) const MANNERS: [Manner; 4] = [Manner::Steady, Manner::Flaky, Manner::Hanging, Manner::Spells];

/// An attempt that arrived.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    /// `Webhook-Id`.
    pub(super) delivery: String,
    /// The webhook, by its place.
    pub(super) webhook: usize,
    /// The id of the event.
    pub(super) event: String,
    /// When the request had come.
    pub(super) at: Duration,
    /// `Webhook-Timestamp`: when it was begun, in seconds since 1970.
    pub(super) signed: i64,
    /// The process that sent it; `None` where it was gone before it could be told.
    pub(super) sender: Option<u32>,
    /// It was acknowledged.
    pub(super) is_acknowledged: bool,
}

/// A port for all webhooks: their place stands in the path.
#[derive(Clone)]
pub(super) struct Receiver {
    address: SocketAddr,
    watch: Watch,
    runs: Runs,
    /// Wished when it is calm: from then on all acknowledge.
    calm: Arc<End>,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

impl Receiver {
    pub(super) fn start(watch: Watch, runs: Runs) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            watch,
            runs,
            calm: Arc::default(),
            arrivals: Arc::default(),
        };
        let taker = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let taker = taker.clone();
                // A connection that breaks is the sender's to notice.
                std::thread::spawn(move || drop(taker.serve(stream)));
            }
        });
        receiver
    }

    pub(super) fn url(&self, webhook: usize) -> String {
        format!("http://{}/{webhook}", self.address)
    }

    /// From now on all acknowledge, those that hang at once.
    pub(super) fn calm(&self) {
        self.calm.wish();
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
                at: self.watch.now(),
                signed: head.get("webhook-timestamp").parse().unwrap_or(0),
                sender,
                is_acknowledged: false,
            };
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
        // The same for each run of a seed, as far as ids are.
        let chance = arrival.event.bytes().map(u64::from).sum::<u64>() + number;
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
