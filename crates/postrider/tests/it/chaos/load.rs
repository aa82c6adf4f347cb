//! A steady load on all nodes: each event is posted until a node has taken it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::NODES;
use super::receiver::{MANNERS, Receiver};
use super::site::Addresses;
use super::watch::{End, Watch};
use crate::world::{Account, Client, PATIENCE};

/// Accounts, each with a webhook of every manner.
pub(super) const ACCOUNTS: usize = 3;
/// Those who post: for each node, two for each account. Whoever waits long holds up its own account alone.
const POSTERS: usize = 2 * NODES * ACCOUNTS;
/// Between two events of one who posts.
const PACE: Duration = Duration::from_millis(90);
/// Before an event is posted again that was not taken.
const PAUSE: Duration = Duration::from_millis(30);
/// A node that has not answered by then is left: it stands still, perhaps.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(4);
/// Deliveries that come into being in a second, at most.
pub(super) const DELIVERIES_PER_SECOND_MAX: usize = POSTERS * MANNERS.len() * 1_000 / PACE.as_millis() as usize;

/// An account and its webhooks.
#[derive(Clone)]
pub(super) struct Customer {
    pub(super) account: Account,
    /// The ids of its webhooks, by their place.
    pub(super) webhooks: Vec<String>,
}

/// An event that was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// The place of its account.
    pub(super) account: usize,
    /// When it was answered.
    pub(super) at: Duration,
}

/// An event that was not taken at first.
#[derive(Clone, Copy, Debug)]
pub(super) struct NotTaken {
    /// The place of its account.
    pub(super) account: usize,
    /// The status of the answer, or 0 where there was none.
    pub(super) status: u16,
    /// When it was answered.
    pub(super) at: Duration,
}

/// What came of the load. As many as are posted in the time of a plan.
#[derive(Clone, Debug, Default)]
pub(super) struct Posted {
    /// Each event that was taken, by its id.
    pub(super) taken: BTreeMap<String, Taken>,
    /// Each time that one was not taken.
    pub(super) not_taken: Vec<NotTaken>,
    /// Of events without an id of their own, by their numbers: how often one may have been stored though nobody said so.
    pub(super) unsure: BTreeMap<u64, u64>,
    /// By who posts: when one of its events was taken last.
    latest: BTreeMap<usize, Duration>,
}

impl Posted {
    /// How often one was not taken, by the status of the answer.
    pub(super) fn not_taken_by_status(&self) -> BTreeMap<u16, usize> {
        let mut tally = BTreeMap::new();
        self.not_taken.iter().for_each(|one| *tally.entry(one.status).or_default() += 1);
        tally
    }
}

/// The load at work.
pub(super) struct Load {
    pub(super) customers: Vec<Customer>,
    watch: Watch,
    end: Arc<End>,
    posted: Arc<Mutex<Posted>>,
    posters: Vec<JoinHandle<()>>,
}

impl Load {
    pub(super) fn start(addresses: &Addresses, receiver: &Receiver, watch: Watch) -> Self {
        let server = addresses.of(0).unwrap();
        let customers: Vec<Customer> = (0..ACCOUNTS)
            .map(|_| {
                let account = Account::make(server);
                let webhooks = MANNERS.iter().map(|_| account.webhook(server, &receiver.next_url()));
                Customer {
                    webhooks: webhooks.collect(),
                    account,
                }
            })
            .collect();
        let (end, posted) = (Arc::default(), Arc::default());
        let posters = (0..POSTERS).map(|number| {
            let account = number / NODES % ACCOUNTS;
            let poster = Poster {
                number,
                account,
                token: customers[account].account.token.clone(),
                addresses: addresses.clone(),
                watch,
                end: Arc::clone(&end),
                posted: Arc::clone(&posted),
            };
            std::thread::spawn(move || poster.run())
        });
        Self {
            posters: posters.collect(),
            customers,
            watch,
            end,
            posted,
        }
    }

    /// Waits until an event of each who posts is taken from now on: nobody still waits for what went wrong before.
    pub(super) fn wait_until_all_post(&self) {
        let (since, never) = (self.watch.now(), End::default());
        let posts = |number| self.posted.lock().unwrap().latest.get(&number).is_some_and(|at| *at > since);
        while !(0..POSTERS).all(posts) {
            assert!(self.watch.now() - since < PATIENCE, "somebody's events are not taken any more");
            never.pause(PAUSE);
        }
    }

    /// Ends it, when each event that was begun is taken.
    pub(super) fn end(self) -> (Vec<Customer>, Posted) {
        self.end.wish();
        for poster in self.posters {
            poster.join().unwrap();
        }
        let posted = self.posted.lock().unwrap().clone();
        (self.customers, posted)
    }
}

/// What came of a post.
enum Answered {
    /// It is taken: the event's id.
    Taken(String),
    /// It was not stored: the status, or 0 where nobody was there.
    Not(u16),
    /// Nobody knows: the status, or 0 where no answer came.
    Unsure(u16),
}

struct Poster {
    number: usize,
    account: usize,
    token: String,
    addresses: Addresses,
    watch: Watch,
    end: Arc<End>,
    posted: Arc<Mutex<Posted>>,
}

impl Poster {
    fn run(&self) {
        for count in 0.. {
            if self.end.is_wished() {
                return;
            }
            let number = (count * POSTERS + self.number) as u64;
            let mut event = json!({ "name": "order.filled", "resource": { "id": "1", "resource_type": "order" }, "data": { "n": number } });
            // Every other event has an id of its own: posted again it is the same. The others go the way that looks for nothing.
            let has_id = count.is_multiple_of(2);
            if has_id {
                event["id"] = json!(format!("own-{number}"));
            }
            let id = self.post_until_taken(&event, (!has_id).then_some(number));
            let (account, at) = (self.account, self.watch.now());
            let mut posted = self.posted.lock().unwrap();
            posted.taken.insert(id, Taken { account, at });
            posted.latest.insert(self.number, at);
            drop(posted);
            self.end.pause(PACE);
        }
    }

    /// Where it has no id of its own, it is noted by this number how often it may have been stored besides.
    fn post_until_taken(&self, event: &Value, noted: Option<u64>) -> String {
        // Of its own End: that of the load must not keep it from waiting.
        let never = End::default();
        for node in self.number.. {
            let answered = self.post(node, event);
            let (Answered::Not(status) | Answered::Unsure(status)) = answered else {
                let Answered::Taken(id) = answered else { unreachable!() };
                return id;
            };
            let mut posted = self.posted.lock().unwrap();
            let (account, at) = (self.account, self.watch.now());
            posted.not_taken.push(NotTaken { account, status, at });
            if let (Some(number), Answered::Unsure(_)) = (noted, &answered) {
                *posted.unsure.entry(number).or_default() += 1;
            }
            drop(posted);
            never.pause(PAUSE);
        }
        unreachable!("there are always nodes")
    }

    fn post(&self, node: usize, event: &Value) -> Answered {
        let server = self.addresses.of(node);
        let connected = server.and_then(|server| Client::connect_within(server, &self.token, ANSWER_TIME_MAX).ok());
        let Some(mut client) = connected else {
            return Answered::Not(0);
        };
        let Ok(answer) = client.ask("POST", "/events", Some(event)) else {
            return Answered::Unsure(0);
        };
        match answer.status {
            200 | 201 => Answered::Taken(answer.body["id"].as_str().unwrap().to_owned()),
            429 => Answered::Not(429),
            // Whatever the store cannot do is told so, a row of the caller's own that it refuses included; and never by a 500.
            503 => Answered::Unsure(503),
            _ => panic!("{event} was answered {answer:?}"),
        }
    }
}
