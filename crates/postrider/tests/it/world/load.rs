//! Events posted through nodes while something befalls them, or what they stand on.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Account, Arrival, Client, PATIENCE, Receiver, Server};

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
    /// Times that there was reason to look again.
    starts: u64,
    /// Events with this number and all later ones are not to be posted yet.
    allowed: u64,
}

/// Posters at work.
pub(crate) struct Load {
    tally: Arc<(Mutex<Tally>, Condvar)>,
    posters: Vec<JoinHandle<()>>,
    events: u64,
}

/// Where nodes listen. A node that is started again listens elsewhere.
#[derive(Clone, Default)]
pub(crate) struct Addresses(Arc<Mutex<Vec<SocketAddr>>>);

impl Addresses {
    /// These.
    pub(crate) fn of<'a>(nodes: impl IntoIterator<Item = &'a Server>) -> Self {
        Self(Arc::new(Mutex::new(nodes.into_iter().map(|node| node.address).collect())))
    }

    /// From now on this node listens there.
    pub(crate) fn change(&self, node: usize, address: SocketAddr) {
        self.0.lock().unwrap()[node] = address;
    }

    /// Where one of them listens: any number is one's.
    fn get(&self, number: usize) -> SocketAddr {
        let addresses = self.0.lock().unwrap();
        addresses[number % addresses.len()]
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// One poster: the events that are its own, through one node until that fails it.
struct Poster {
    account: Account,
    nodes: Addresses,
    /// Which of them is asked.
    node: usize,
    tally: Arc<(Mutex<Tally>, Condvar)>,
}

impl Load {
    /// Posts so many events through these nodes, each again until it is acknowledged.
    pub(crate) fn start(account: &Account, nodes: &Addresses, events: u64) -> Self {
        let load = Self::start_slowly(account, nodes, events);
        load.allow(events);
        load
    }

    /// The same, but as far as it is allowed.
    pub(crate) fn start_slowly(account: &Account, nodes: &Addresses, events: u64) -> Self {
        let tally = Arc::<(Mutex<Tally>, Condvar)>::default();
        let count = nodes.count() * POSTERS_EACH;
        let posters = (0..count).zip(0u64..).map(|(node, first)| {
            let mut poster = Poster {
                account: account.clone(),
                nodes: nodes.clone(),
                node,
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

    /// Lets so many more be posted.
    pub(crate) fn allow(&self, more: u64) {
        self.tally.0.lock().unwrap().allowed += more;
        self.tally.1.notify_all();
    }

    /// Waits until so many are acknowledged.
    pub(crate) fn wait_for(&self, count: u64) {
        self.wait(|tally| tally.acknowledged.len() as u64 >= count);
    }

    /// Waits until so many posts were told to come again.
    pub(crate) fn wait_for_unavailable(&self, count: u64) {
        self.wait(|tally| tally.unavailable >= count);
    }

    /// Has those look again who wait for a node to come back.
    pub(crate) fn look_again(&self) {
        self.tally.0.lock().unwrap().starts += 1;
        self.tally.1.notify_all();
    }

    /// How many are acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.tally.0.lock().unwrap().acknowledged.len() as u64
    }

    /// How many posts were told to come again so far.
    pub(crate) fn unavailable(&self) -> u64 {
        self.tally.0.lock().unwrap().unavailable
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
    fn post(&mut self, numbers: impl Iterator<Item = u64>) {
        let mut client = None;
        for number in numbers {
            self.wait_for_leave(number);
            // Every other event has an id of the caller's, so that a second POST of it makes no second event.
            let mut event = json!({ "name": "order.filled", "resource": { "id": "1", "resource_type": "order" }, "data": { "n": number } });
            if number.is_multiple_of(2) {
                event["id"] = json!(format!("own-{number}"));
            }
            while !self.is_acknowledged(&mut client, &event) {}
            self.note(|tally| tally.acknowledged.insert(number));
        }
    }

    fn is_acknowledged(&mut self, client: &mut Option<Client>, event: &Value) -> bool {
        let connected = match client.take() {
            Some(client) => Ok(client),
            None => Client::connect(self.nodes.get(self.node), &self.account.token),
        };
        let Ok(mut asked) = connected else {
            // A node that is down: another takes it.
            self.node += 1;
            self.come_again_after(Duration::from_secs(1));
            return false;
        };
        match asked.ask("POST", "/events", Some(event)) {
            Ok(answer) if matches!(answer.status, 200 | 201) => {
                *client = Some(asked);
                true
            }
            Ok(answer) => {
                assert_eq!(answer.status, 503, "{answer:?}");
                let wait: u64 = answer.head.get("retry-after").parse().expect("a 503 says when to come again");
                *client = Some(asked);
                self.note(|tally| tally.unavailable += 1);
                self.come_again_after(Duration::from_secs(wait));
                false
            }
            Err(_) => {
                self.note(|tally| tally.unanswered += 1);
                false
            }
        }
    }

    fn wait_for_leave(&self, number: u64) {
        let tally = self.tally.0.lock().unwrap();
        drop(self.tally.1.wait_while(tally, |tally| tally.allowed <= number).unwrap());
    }

    fn note<T>(&self, change: impl FnOnce(&mut Tally) -> T) {
        change(&mut self.tally.0.lock().unwrap());
        self.tally.1.notify_all();
    }

    /// Waits so long, or until somebody else is acknowledged.
    fn come_again_after(&self, wait: Duration) {
        let tally = self.tally.0.lock().unwrap();
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

/// An event with an id of the caller's was made once, however often it was posted.
pub(crate) fn assert_own_ids_once(arrivals: &[Arrival], events: u64) {
    let own = arrivals.iter().filter_map(|arrival| {
        let id = arrival.event["id"].as_str().filter(|id| id.starts_with("own-"))?;
        assert_eq!(id, format!("own-{}", arrival.event["data"]["n"]));
        Some((id, &arrival.delivery))
    });
    let pairs: HashSet<_> = own.collect();
    let ids: HashSet<_> = pairs.iter().map(|(id, _)| id).collect();
    assert_eq!((pairs.len() as u64, ids.len() as u64), (events / 2, events / 2));
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
