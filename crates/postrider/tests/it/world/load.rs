//! Events posted through nodes while something befalls what they stand on. Nobody starts a node again.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

use super::{Account, Arrival, Client, PATIENCE, Receiver};

/// Threads that post through each node.
const POSTERS_EACH: usize = 4;

/// What the posters have been told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Numbers of events that were answered 201 or 200. At most as many as the load has events.
    acknowledged: HashSet<u64>,
    /// Answers that said to come again.
    pub(crate) unavailable: u64,
    /// Posts whose answer never came.
    pub(crate) unanswered: u64,
}

/// Posters at work.
pub(crate) struct Load {
    tally: Arc<(Mutex<Tally>, Condvar)>,
    posters: Vec<JoinHandle<()>>,
    events: u64,
}

/// One poster: the events that are its own, through one node.
struct Poster {
    account: Account,
    node: SocketAddr,
    tally: Arc<(Mutex<Tally>, Condvar)>,
}

impl Load {
    /// Posts so many events through these nodes, each again until it is acknowledged.
    pub(crate) fn start(account: &Account, nodes: &[SocketAddr], events: u64) -> Self {
        let tally = Arc::<(Mutex<Tally>, Condvar)>::default();
        let count = nodes.len() * POSTERS_EACH;
        let posters = nodes.iter().cycle().take(count).zip(0u64..).map(|(node, first)| {
            let poster = Poster {
                account: account.clone(),
                node: *node,
                tally: Arc::clone(&tally),
            };
            let numbers = (first..events).step_by(count);
            std::thread::spawn(move || poster.post(numbers))
        });
        Self {
            posters: posters.collect(),
            tally,
            events,
        }
    }

    /// Waits until so many are acknowledged.
    pub(crate) fn wait_for(&self, count: u64) {
        self.wait(|tally| tally.acknowledged.len() as u64 >= count);
    }

    /// Waits until so many posts were told to come again.
    pub(crate) fn wait_for_unavailable(&self, count: u64) {
        self.wait(|tally| tally.unavailable >= count);
    }

    /// How many are acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.tally.0.lock().unwrap().acknowledged.len() as u64
    }

    fn wait(&self, is_enough: impl Fn(&Tally) -> bool) {
        let tally = self.tally.0.lock().unwrap();
        let (tally, time) = self.tally.1.wait_timeout_while(tally, PATIENCE, |tally| !is_enough(tally)).unwrap();
        assert!(!time.timed_out(), "stuck with {} acknowledged: {tally:?}", tally.acknowledged.len());
    }

    /// Waits until all are acknowledged and each of them has arrived; what was told on the way.
    pub(crate) fn finish(self, receiver: &Receiver) -> (Tally, Vec<Arrival>) {
        self.wait_for(self.events);
        self.posters.into_iter().for_each(|poster| poster.join().unwrap());
        let arrivals = receiver.wait(|arrivals| numbers(arrivals).len() as u64 == self.events);
        let tally = self.tally.0.lock().unwrap().clone();
        let mut attempts: HashMap<&str, u64> = HashMap::new();
        arrivals
            .iter()
            .for_each(|arrival| *attempts.entry(&arrival.delivery).or_default() += 1);
        println!(
            "{} events acknowledged, {} answers 503, {} posts unanswered; {} deliveries arrived, {} of them more than once",
            self.events,
            tally.unavailable,
            tally.unanswered,
            attempts.len(),
            attempts.values().filter(|count| **count > 1).count(),
        );
        (tally, arrivals)
    }
}

impl Poster {
    fn post(&self, numbers: impl Iterator<Item = u64>) {
        let mut client = None;
        for number in numbers {
            // Every other event has an id of the caller's, so that a second POST of it makes no second event.
            let mut event = json!({ "name": "order.filled", "resource": { "id": "1", "resource_type": "order" }, "data": { "n": number } });
            if number.is_multiple_of(2) {
                event["id"] = json!(format!("own-{number}"));
            }
            loop {
                let asked = client
                    .get_or_insert_with(|| self.account.client(self.node))
                    .ask("POST", "/events", Some(&event));
                match asked {
                    Ok(answer) if matches!(answer.status, 200 | 201) => break,
                    Ok(answer) => {
                        assert_eq!(answer.status, 503, "{answer:?}");
                        let wait: u64 = answer.head.get("retry-after").parse().expect("a 503 says when to come again");
                        self.note_unavailable(Duration::from_secs(wait));
                    }
                    Err(_) => {
                        client = None;
                        self.note(|tally| tally.unanswered += 1);
                    }
                }
            }
            self.note(|tally| tally.acknowledged.insert(number));
        }
    }

    fn note<T>(&self, change: impl FnOnce(&mut Tally) -> T) {
        change(&mut self.tally.0.lock().unwrap());
        self.tally.1.notify_all();
    }

    /// Comes again when it was told to, or as soon as somebody else is acknowledged.
    fn note_unavailable(&self, wait: Duration) {
        let mut tally = self.tally.0.lock().unwrap();
        tally.unavailable += 1;
        self.tally.1.notify_all();
        let before = tally.acknowledged.len();
        let waited = self
            .tally
            .1
            .wait_timeout_while(tally, wait, |tally| tally.acknowledged.len() == before);
        drop(waited.unwrap());
    }
}

/// The numbers of the events that arrived.
pub(crate) fn numbers(arrivals: &[Arrival]) -> HashSet<u64> {
    arrivals.iter().filter_map(|arrival| arrival.event["data"]["n"].as_u64()).collect()
}

/// Asks until every delivery of the account has ended well.
pub(crate) fn assert_all_succeed(client: &mut Client) {
    for status in ["pending", "in_progress"] {
        let path = format!("/deliveries?status={status}&limit=1");
        let is_empty = |client: &mut Client| client.get(&path).as_array().unwrap().is_empty();
        assert!((0..10_000).any(|_| is_empty(client)), "something is {status} for ever");
    }
    assert_eq!(client.get("/deliveries?status=failed&limit=1"), json!([]));
}
