//! The nodes, their database, the load, and the receivers; and what is asked of them after each trouble.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use postrider_testkit::postgres::{Database, Postgres};
use serde_json::json;

use super::fleet::{Fleet, LEASE, name};
use super::trouble::Trouble;
use super::wait_until;
use crate::world::{Account, Arrival, Load, Receiver, assert_all_succeed};

/// Nodes that are posted to.
pub(super) const NODES: usize = 3;
/// Webhooks whose receiver answers 200: so many that each node has some of them.
const GOOD_WEBHOOKS: usize = 9;
/// Events that are posted before a trouble, and as many while it lasts.
const EVENTS_EACH: u64 = 30;
const FAILS: &str = "HTTP/1.1 500 Oh\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nnope";
const WORKS: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
/// Failures of the receiver that fails: one attempt of two, until they are used up.
const FAILURES: usize = 200;

/// Slots of a dead node are owned again within twice the lease: a test of the engine, which owns the time, holds the nodes to exactly that.
/// Here threads wait for a turn and commits for the disk, perhaps on two cores that run all other tests meanwhile.
const TAKEOVER_TIME_MAX: Duration = LEASE.saturating_mul(2).saturating_add(Duration::from_secs(10));

/// All that a run needs.
pub(super) struct Stage {
    pub(super) fleet: Fleet,
    pub(super) database: Database<'static>,
    pub(super) server: &'static Postgres,
    account: Account,
    load: Load,
    good: Receiver,
    failing: Receiver,
    hanging: Receiver,
    troubles: Vec<Trouble>,
    /// Events posted to see who still works.
    canaries: u64,
}

impl Stage {
    /// Everything is well.
    pub(super) fn set(steps: u64) -> Self {
        // It is ended by its guard, when this process ends.
        let server: &'static Postgres = Box::leak(Box::new(Postgres::start()));
        let database = server.create_database("troubles");
        let fleet = Fleet::start(NODES, server.port(), &database.url());
        let (good, failing, hanging) = (Receiver::start(), Receiver::start(), Receiver::start());
        let address = fleet.node(0).address;
        let account = Account::make(address);
        for number in 0..GOOD_WEBHOOKS {
            account.webhook(address, &format!("{}{number}", good.url()));
        }
        account.webhook(address, &failing.url());
        account.webhook(address, &hanging.url());
        for _ in 0..FAILURES {
            failing.answer(FAILS);
            failing.answer(WORKS);
        }
        hanging.hold(true);
        let load = Load::start_slowly(&account, &fleet.addresses, steps * 2 * EVENTS_EACH);
        Self {
            fleet,
            database,
            server,
            account,
            load,
            good,
            failing,
            hanging,
            troubles: Vec::new(),
            canaries: 0,
        }
    }

    /// Lets a trouble happen under load. Then all that was posted so far must be acknowledged, and have arrived where it is welcome.
    pub(super) fn step(&mut self, trouble: Trouble, node: usize) {
        self.load.allow(EVENTS_EACH);
        self.load.wait_for(self.events() + EVENTS_EACH / 2);
        self.troubles.push(trouble);
        self.load.allow(EVENTS_EACH);
        trouble.befall(self, node);
        self.load.look_again();
        self.load.wait_for(self.events());
        self.wait_for_all(&self.good, GOOD_WEBHOOKS);
        assert!(!self.fleet.has_lost_one(), "a node gave up");
    }

    /// Kills a node, and waits until each slot is owned by one of the others.
    pub(super) fn kill(&mut self, node: usize) {
        let token = self.database.psql(&include_str!("token.sql").replace("NAME", &name(node)));
        let owned = |whose: &str| self.database.psql(&include_str!("owned.sql").replace("WHOSE", whose));
        // What befell it before may still keep it from what is its.
        wait_until("a node has got no slots", || owned(&format!("= '{token}'")) != "0");
        self.fleet.kill(node);
        let took = wait_until("slots of a dead node are nobody else's", || {
            owned(&format!("= '{token}' OR owner IS NULL")) == "0"
        });
        println!("the slots of a dead node were taken over {took:.1?} after it was killed");
        assert!(took < TAKEOVER_TIME_MAX, "it took {took:?}, with a lease of {LEASE:?}");
    }

    /// Posts an event through another node, and waits until each good webhook has it: all slots have somebody who works.
    pub(super) fn wait_for_takeover(&mut self, node: usize) {
        self.canaries += 1;
        let canary = format!("canary-{}", self.canaries);
        let address = self.fleet.node((node + 1) % NODES).address;
        let event = json!({ "id": canary, "name": "canary.sent", "resource": { "id": "1", "resource_type": "canary" }, "data": {} });
        self.account.client(address).post("/events", &event);
        let is_it = |arrival: &&Arrival| arrival.event["id"] == *canary;
        self.good
            .wait(|arrivals| arrivals.iter().filter(is_it).map(path).collect::<HashSet<_>>().len() == GOOD_WEBHOOKS);
    }

    /// Everybody is well again; everything ends.
    pub(super) fn finish(self) {
        self.hanging.hold(false);
        self.wait_for_all(&self.failing, 1);
        self.wait_for_all(&self.hanging, 1);
        assert_all_succeed(&mut self.account.client(self.fleet.node(0).address));
        self.explain_repeats();
    }

    /// How many events have been allowed so far.
    fn events(&self) -> u64 {
        self.troubles.len() as u64 * 2 * EVENTS_EACH
    }

    fn wait_for_all(&self, receiver: &Receiver, webhooks: usize) {
        let count = self.events() as usize * webhooks;
        receiver.wait(|arrivals| {
            let numbers = arrivals
                .iter()
                .filter_map(|arrival| Some((path(arrival), arrival.event["data"]["n"].as_u64()?)));
            numbers.collect::<HashSet<_>>().len() == count
        });
    }

    /// A delivery that came twice although it was welcome was posted in a step whose trouble, or the next one's, can do that.
    fn explain_repeats(&self) {
        let arrivals = self.good.wait(|_| true);
        let mut attempts: HashMap<&str, (u64, usize)> = HashMap::new();
        for arrival in &arrivals {
            let Some(number) = arrival.event["data"]["n"].as_u64() else {
                continue;
            };
            let step = (number / (2 * EVENTS_EACH)) as usize;
            attempts.entry(&arrival.delivery).or_insert((0, step)).0 += 1;
        }
        let mut repeats = vec![0; self.troubles.len()];
        attempts.values().for_each(|(count, step)| repeats[*step] += count - 1);
        for (step, (trouble, repeats)) in self.troubles.iter().zip(&repeats).enumerate() {
            println!("step {step}, {trouble:?}: {repeats} repeated attempts");
            let is_explained = self.troubles[step..].iter().take(2).any(|trouble| trouble.may_repeat());
            assert!(*repeats == 0 || is_explained, "{repeats} attempts were repeated for no reason");
        }
    }
}

/// Which webhook it came for.
fn path(arrival: &Arrival) -> &str {
    arrival.head.word(1)
}
