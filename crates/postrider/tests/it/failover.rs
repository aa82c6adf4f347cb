//! A PostgreSQL that dies for good: its standby takes over, and whatever was acknowledged is delivered. No node is started again.

use postrider_testkit::postgres::Postgres;

use crate::world::{Account, Addresses, Load, Receiver, Site, assert_all_succeed, assert_own_ids_once};

/// The standby's name, as the primary waits for it.
const STANDBY: &str = "second";
/// How far the standby's clock is ahead.
const AHEAD_SECONDS: u32 = 10;
const EVENTS: u64 = 2_000;

/// A primary whose commits wait for its standby.
fn pair() -> (Postgres, Postgres) {
    let primary = Postgres::options().with("synchronous_standby_names", STANDBY).start();
    let standby = Postgres::options()
        .with("synchronous_standby_names", "")
        .with_clock_ahead(AHEAD_SECONDS)
        .start_standby(&primary, STANDBY);
    (primary, standby)
}

#[test]
fn every_acknowledged_event_is_delivered_although_the_primary_dies_and_its_standby_runs_ahead() {
    let (primary, standby) = pair();
    let database = primary.create_database("postrider");
    let site = Site::at(&primary.url_of_both(&standby, database.name()));
    let receiver = Receiver::start();
    let mut nodes = [site.start(&[]), site.start(&[])];
    let account = Account::make(nodes[0].address);
    account.webhook(nodes[0].address, &receiver.url());
    let load = Load::start(&account, &Addresses::of(&nodes), EVENTS);
    load.wait_for(EVENTS / 4);
    primary.kill_9();
    let at_death = load.acknowledged();
    load.wait_for_unavailable(1);
    standby.promote();
    let (tally, arrivals) = load.finish(&receiver);
    assert!(at_death < EVENTS && tally.unavailable > 0, "the death hit no post: {tally:?}");
    assert!(nodes.iter_mut().all(|node| !node.has_ended()), "a node gave up");
    assert_own_ids_once(&arrivals, EVENTS);
    for node in &nodes {
        assert_all_succeed(&mut account.client(node.address));
    }
    assert!(!standby.is_standby());
}
