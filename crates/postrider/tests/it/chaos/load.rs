//! A steady load on all nodes: each event is posted, under an id of its own, until a node has taken it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

use super::NODES;
use super::receiver::{MANNERS, Receiver};
use super::site::Addresses;
use super::watch::{End, Watch};
use crate::world::{Account, Client};

/// Accounts, each with a webhook of every manner.
const ACCOUNTS: usize = 3;
/// Those who post, for each node.
const POSTERS_PER_NODE: usize = 2;
/// Between two events of one who posts.
const PACE: Duration = Duration::from_millis(25);
/// Before an event is posted again that was not taken.
const PAUSE: Duration = Duration::from_millis(100);
/// A node that has not answered by then is left: it stands still, perhaps.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(4);

/// An account and its webhooks.
#[derive(Clone)]
pub(super) struct Customer {
    pub(super) account: Account,
    /// The ids of its webhooks, by their place.
    pub(super) webhooks: Vec<String>,
}

/// What came of the load.
#[derive(Clone, Debug, Default)]
pub(super) struct Posted {
    /// Each event that was taken, with its account. As many as are posted in the time of a plan.
    pub(super) taken: BTreeMap<String, usize>,
    /// Answers that were no yes, by status, and those that never came (0).
    pub(super) refused: BTreeMap<u16, u64>,
    /// When answers came that were a 500: nothing but a row that is poisoned may bring one about.
    pub(super) broken: Vec<(Duration, String)>,
}

/// The load at work.
pub(super) struct Load {
    pub(super) customers: Vec<Customer>,
    end: Arc<End>,
    posted: Arc<Mutex<Posted>>,
    posters: Vec<JoinHandle<()>>,
}

impl Load {
    pub(super) fn start(addresses: &Addresses, receiver: &Receiver, watch: Watch) -> Self {
        let server = addresses.of(0).unwrap();
        let customers: Vec<Customer> = (0..ACCOUNTS)
            .map(|number| {
                let account = Account::make(server);
                let places = 0..MANNERS.len();
                let webhooks = places.map(|place| account.webhook(server, &receiver.url(number * MANNERS.len() + place)));
                Customer {
                    webhooks: webhooks.collect(),
                    account,
                }
            })
            .collect();
        let (end, posted) = (Arc::default(), Arc::default());
        let posters = (0..NODES * POSTERS_PER_NODE).map(|number| {
            let poster = Poster {
                number,
                accounts: customers.iter().map(|customer| customer.account.clone()).collect(),
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
            end,
            posted,
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

struct Poster {
    number: usize,
    accounts: Vec<Account>,
    addresses: Addresses,
    watch: Watch,
    end: Arc<End>,
    posted: Arc<Mutex<Posted>>,
}

impl Poster {
    fn run(&self) {
        let mut count = 0;
        while !self.end.is_wished() {
            let account = (self.number + count) % self.accounts.len();
            let id = format!("e{}-{count}", self.number);
            self.post_until_taken(account, &id);
            self.posted.lock().unwrap().taken.insert(id, account);
            count += 1;
            self.end.pause(PACE);
        }
    }

    fn post_until_taken(&self, account: usize, id: &str) {
        let event = json!({ "id": id, "name": "order.filled", "resource": { "id": "1", "resource_type": "order" } });
        // Of its own End: that of the load must not keep it from waiting.
        let never = End::default();
        for node in self.number.. {
            let status = self.addresses.of(node).map_or(0, |server| {
                let answer = Client::connect_within(server, &self.accounts[account].token, ANSWER_TIME_MAX)
                    .and_then(|mut client| client.ask("POST", "/events", Some(&event)));
                answer.map_or(0, |answer| {
                    if answer.status == 500 {
                        let told = (self.watch.now(), answer.body.to_string());
                        self.posted.lock().unwrap().broken.push(told);
                    }
                    answer.status
                })
            });
            match status {
                200 | 201 => return,
                0 | 429 | 500 | 503 => *self.posted.lock().unwrap().refused.entry(status).or_default() += 1,
                other => panic!("{id} was answered {other}"),
            }
            never.pause(PAUSE);
        }
    }
}
