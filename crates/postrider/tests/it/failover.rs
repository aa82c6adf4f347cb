//! A PostgreSQL that dies for good: its standby takes over, and whatever was acknowledged is delivered. No node is started again.

use std::collections::HashSet;
use std::time::SystemTime;

use postrider_model::id::WebhookId;
use postrider_model::slot::Slot;
use postrider_testkit::postgres::{Database, Postgres};

use crate::troubles::wait_until;
use crate::world::{Account, Addresses, Arrival, Load, Receiver, Server, Site, assert_all_succeed, assert_own_ids_once};

/// The standby's name, as the primary waits for it.
const STANDBY: &str = "second";
/// How far the standby's clock is ahead.
const AHEAD_SECONDS: u32 = 10;
const EVENTS: u64 = 1_000;
/// So many, and more where one of the nodes has none of them.
const WEBHOOKS: usize = 9;
/// First attempts that fail wait for so long: some do while the primary dies.
const SCHEDULE: &str = "2s,2s,2s,2s,2s,2s,2s,2s";
/// Attempts of one webhook that are repeated, at most. Four post through each node, and each waits for its answer: the deliveries of their
/// last two events may be in flight when the primary dies, or their outcomes wait to be recorded.
const REPEATS_EACH_MAX: usize = 2 * 4 * 2;

/// A primary whose commits wait for its standby.
fn pair() -> (Postgres, Postgres) {
    let primary = Postgres::options().with("synchronous_standby_names", STANDBY).start();
    let standby = Postgres::options()
        .with("synchronous_standby_names", "")
        .with_clock_ahead(AHEAD_SECONDS)
        .start_standby(&primary, STANDBY);
    (primary, standby)
}

/// Registers webhooks until both nodes send for some of them. How many they are.
fn register(database: &Database<'_>, account: &Account, node: &Server, receiver: &Receiver) -> usize {
    wait_until("a node has got no slots", || {
        database.psql(include_str!("failover/owners.sql")) == "2"
    });
    let mut slots: Vec<String> = Vec::new();
    wait_until("one node sends for all webhooks, however many there are", || {
        // At first as many as are wanted in any case, then one more for each look.
        for number in slots.len()..WEBHOOKS.max(slots.len() + 1) {
            let url = format!("{}{number}", receiver.url());
            let webhook: WebhookId = account.webhook(node.address, &url).parse().unwrap();
            slots.push(Slot::of(webhook).number().to_string());
        }
        let owners = include_str!("failover/owners_of.sql").replace("SLOTS", &slots.join(","));
        database.psql(&owners) == "2"
    });
    slots.len()
}

#[test]
fn every_acknowledged_event_is_delivered_although_the_primary_dies_and_its_standby_runs_ahead() {
    let (primary, standby) = pair();
    let database = primary.create_database("postrider");
    let site = Site::at(&primary.url_of_both(&standby, database.name()));
    let receiver = Receiver::start();
    receiver.refuse_first(|arrival| number(arrival).is_multiple_of(2));
    let start = || site.start(&["--lease", "1s", "--retry-schedule", SCHEDULE]);
    let mut nodes = [start(), start()];
    let account = Account::make(nodes[0].address);
    let webhooks = register(&database, &account, &nodes[0], &receiver);
    let load = Load::start(&account, &Addresses::of(&nodes), EVENTS);
    load.wait_for(EVENTS / 4);
    let retries: u64 = database.psql(include_str!("failover/retries.sql")).parse().unwrap();
    assert!(retries > 0, "nothing waited for a retry");
    primary.kill_9();
    let at_death = load.acknowledged();
    load.wait_for_unavailable(1);
    standby.promote();
    assert_is_ahead(&standby);
    let (tally, _) = load.finish(&receiver);
    assert!(at_death < EVENTS && tally.unavailable > 0, "the death hit no post: {tally:?}");
    assert!(nodes.iter_mut().all(|node| !node.has_ended()), "a node gave up");
    for node in &nodes {
        assert_all_succeed(&mut account.client(node.address));
    }
    judge(&receiver.wait(|_| true), webhooks);
    assert!(!standby.is_standby());
}

/// Each event came to each webhook, and little came twice.
fn judge(arrivals: &[Arrival], webhooks: usize) {
    for webhook in 0..webhooks {
        let path = format!("/{webhook}");
        let of_webhook: Vec<Arrival> = arrivals.iter().filter(|arrival| arrival.head.word(1) == path).cloned().collect();
        let numbers: HashSet<u64> = of_webhook.iter().map(number).collect();
        assert_eq!(numbers.len() as u64, EVENTS, "{path}");
        assert_own_ids_once(&of_webhook, EVENTS);
    }
    // An attempt that is repeated has the number that it had.
    let attempts: HashSet<(&str, &str)> = arrivals
        .iter()
        .map(|arrival| (arrival.delivery.as_str(), arrival.head.get("webhook-attempt")))
        .collect();
    let repeats = arrivals.len() - attempts.len();
    println!("{} attempts of {webhooks} webhooks, {repeats} of them repeats", arrivals.len());
    assert!(repeats <= REPEATS_EACH_MAX * webhooks, "{repeats} attempts were repeated");
}

fn number(arrival: &Arrival) -> u64 {
    arrival.event["data"]["n"].as_u64().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "two clocks are compared")]
fn assert_is_ahead(standby: &Postgres) {
    let told: f64 = standby.psql(include_str!("failover/clock.sql")).parse().unwrap();
    let ahead = told - SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    println!("the clock of the standby is {ahead:.1} s ahead");
    assert!(
        (ahead - f64::from(AHEAD_SECONDS)).abs() < 2.0,
        "the clock of the standby is {ahead} s ahead"
    );
}
