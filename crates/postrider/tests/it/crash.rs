//! kill -9 at any instant: what was answered 201 is delivered.

use crate::world::{Account, Addresses, Load, Receiver, Site, assert_own_ids_once};

/// Events that are acknowledged.
const EVENTS: u64 = 4_000;
/// Times that the server is killed, spread over the events.
const KILLS: u64 = 12;

#[test]
fn every_acknowledged_event_is_delivered_although_the_server_is_killed_again_and_again() {
    let site = Site::new();
    let receiver = Receiver::start();
    let schedule = ["--retry-schedule", "1s,1s,1s,1s,1s,1s,1s,1s"];
    let mut server = site.start(&schedule);
    let account = Account::make(server.address);
    account.webhook(server.address, &receiver.url());
    let addresses = Addresses::of([&server]);
    let load = Load::start(&account, &addresses, EVENTS);
    for kill in 1..=KILLS {
        load.wait_for(kill * EVENTS / (KILLS + 1));
        server.kill();
        server = site.start(&schedule);
        addresses.change(0, server.address);
        load.look_again();
    }
    let (tally, arrivals) = load.finish(&receiver);
    assert!(tally.unanswered > 0, "no kill hit a post: this tested nothing");
    assert_own_ids_once(&arrivals, EVENTS);
}
