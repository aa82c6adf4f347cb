//! A receiver that notes what arrives, and can keep its answers back.

use std::collections::VecDeque;
use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::Value;

use super::{PATIENCE, http};

const WORKS: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const FAILS: &str = "HTTP/1.1 503 Not now\r\nContent-Length: 0\r\n\r\n";

/// A delivery that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// `Webhook-Id`.
    pub(crate) delivery: String,
    /// The event.
    pub(crate) event: Value,
    /// The head of the request.
    pub(crate) head: http::Head,
    /// Its body.
    pub(crate) body: Vec<u8>,
}

#[derive(Default)]
struct State {
    arrivals: Vec<Arrival>,
    is_held: bool,
    /// Answers that come before all others, each as it goes over the wire.
    answers: VecDeque<&'static str>,
    /// Which first attempts are refused.
    refused: Option<fn(&Arrival) -> bool>,
}

/// A receiver on a port of its own. It answers 200, as soon as answers are not held back.
#[derive(Clone)]
pub(crate) struct Receiver {
    address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Receiver {
    /// Starts one. Its threads end with the tests.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
        };
        let taker = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let taker = taker.clone();
                // A connection that breaks is the server's to notice.
                std::thread::spawn(move || drop(taker.serve(stream)));
            }
        });
        receiver
    }

    /// Where webhooks send to.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Answers one delivery with these bytes, behind those that are to be answered so already.
    pub(crate) fn answer(&self, answer: &'static str) {
        self.state.0.lock().unwrap().answers.push_back(answer);
    }

    /// From now on the first attempt of each delivery fails of which this says so.
    pub(crate) fn refuse_first(&self, which: fn(&Arrival) -> bool) {
        self.state.0.lock().unwrap().refused = Some(which);
    }

    /// Keeps answers back, or lets them go.
    pub(crate) fn hold(&self, is_held: bool) {
        self.state.0.lock().unwrap().is_held = is_held;
        self.state.1.notify_all();
    }

    /// Waits until `enough` says so of what has arrived, and hands out all of it.
    pub(crate) fn wait(&self, enough: impl Fn(&[Arrival]) -> bool) -> Vec<Arrival> {
        let state = self.state.0.lock().unwrap();
        let waited = self.state.1.wait_timeout_while(state, PATIENCE, |state| !enough(&state.arrivals));
        let (state, time) = waited.unwrap();
        assert!(!time.timed_out(), "still waiting with {} arrivals", state.arrivals.len());
        state.arrivals.clone()
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        while let Some((head, body)) = http::read(&mut stream)? {
            let answer = self.note(Arrival {
                delivery: head.get("webhook-id").to_owned(),
                event: serde_json::from_slice(&body).unwrap_or_default(),
                head,
                body,
            });
            stream.get_mut().write_all(answer.as_bytes())?;
        }
        Ok(())
    }

    /// Notes it, and returns its answer when it may be given.
    fn note(&self, arrival: Arrival) -> &'static str {
        let mut state = self.state.0.lock().unwrap();
        let is_first = arrival.head.get("webhook-attempt") == "1";
        let is_refused = is_first && state.refused.is_some_and(|refused| refused(&arrival));
        state.arrivals.push(arrival);
        self.state.1.notify_all();
        let mut state = self.state.1.wait_while(state, |state| state.is_held).unwrap();
        state.answers.pop_front().unwrap_or(if is_refused { FAILS } else { WORKS })
    }
}
