//! Slots that come and go, and a lease that runs out.

use postrider_lanes::{Input, LanesConfig};
use postrider_model::health::Health;
use postrider_model::slot::{Slot, SlotSet};

use crate::world::{OK, STATUS_500, World, seconds};

fn slots(webhook: postrider_model::id::WebhookId) -> SlotSet {
    SlotSet::from_iter([Slot::of(webhook)])
}

fn world() -> World {
    World::new(LanesConfig {
        lane_in_flight_start: 1,
        lane_in_flight_max: 1,
        lane_in_flight_stretched_max: 1,
        ..LanesConfig::default()
    })
}

#[test]
fn a_lane_that_goes_elsewhere_stops_at_once_and_lets_what_is_in_flight_end() {
    let mut world = world();
    let (gone, stays) = (world.webhook(1, 1, Health::Well), world.webhook(2, 2, Health::Well));
    let first = world.commit(gone);
    let second = world.commit(gone);
    let other = world.commit(stays);
    world.holds_records = true;
    world.input(Input::Disown { slots: slots(gone) });
    let stats = world.scheduler.stats();
    assert_eq!((stats.waiting, stats.memory_rows), (0, 2), "what waits is forgotten");
    assert_eq!(world.scheduler.busy(&SlotSet::ALL).len(), 2);
    world.finish(first, OK);
    assert_eq!(world.scheduler.busy(&slots(gone)), slots(gone), "its outcome is not durable");
    world.holds_records = false;
    world.record_held();
    assert!(world.scheduler.busy(&slots(gone)).is_empty(), "now it can be released");
    assert_eq!(world.scheduler.stats().lanes, 1);
    world.advance(seconds(100));
    assert!(world.sent_of(second).is_empty());
    world.finish(other, OK);
    assert_eq!(world.succeeded(), 2);
}

#[test]
fn work_for_a_slot_of_another_node_is_left_to_it() {
    let mut world = world();
    let webhook = world.webhook(1, 1, Health::Well);
    world.input(Input::Disown { slots: SlotSet::ALL });
    let handed = world.commit(webhook);
    world.test(webhook);
    world.reread(webhook);
    world.sweep();
    assert!(world.sent.is_empty() && world.refills.is_empty());
    assert_eq!(world.scheduler.stats().lanes, 0);
    world.input(Input::Own { slots: slots(webhook) });
    world.sweep();
    assert!(world.scheduler.is_in_flight(handed) || world.sent.len() == 1);
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 2);
}

#[test]
fn an_answer_that_comes_after_its_slot_has_gone_is_forgotten() {
    let mut world = world();
    let webhook = world.webhook(1, 1, Health::Well);
    world.store(webhook);
    world.holds_refills = true;
    world.sweep();
    world.input(Input::Disown { slots: slots(webhook) });
    world.holds_refills = false;
    world.answer_refills();
    let stats = world.scheduler.stats();
    assert!(world.sent.is_empty());
    assert_eq!((stats.lanes, stats.memory_rows, stats.refills), (0, 0, 0));
}

#[test]
fn a_slot_that_comes_back_is_read_anew_beside_what_still_is_in_flight() {
    let mut world = world();
    let webhook = world.webhook(1, 1, Health::Well);
    let slow = world.commit(webhook);
    let waiting = world.commit(webhook);
    world.input(Input::Disown { slots: slots(webhook) });
    world.input(Input::Own { slots: slots(webhook) });
    world.finish(slow, OK);
    assert!(world.scheduler.is_in_flight(waiting));
    world.finish(waiting, OK);
    assert_eq!(world.sent.len(), 2, "each once");
}

#[test]
fn a_retry_that_fell_due_elsewhere_leaves_no_timer() {
    let mut world = world();
    let webhook = world.webhook(1, 1, Health::Well);
    world.commit(webhook);
    world.input(Input::Disown { slots: slots(webhook) });
    world.finish_first(STATUS_500);
    assert_eq!(world.scheduler.stats().lanes, 0);
    assert_eq!(world.scheduler.next_wake(), None);
}

#[test]
fn without_a_lease_nothing_is_started_and_outcomes_are_recorded() {
    let mut world = world();
    let webhook = world.webhook(1, 1, Health::Well);
    let first = world.commit(webhook);
    let second = world.commit(webhook);
    world.input(Input::Suspend);
    let third = world.commit(webhook);
    world.finish(first, OK);
    world.sweep();
    world.advance(seconds(100));
    assert_eq!(world.succeeded(), 1, "an outcome is recorded");
    assert_eq!(world.sent.len(), 1);
    assert!(world.refills.is_empty());
    world.input(Input::Resume);
    assert!(world.scheduler.is_in_flight(second));
    world.finish_all(OK);
    assert_eq!(world.sent_of(third).len(), 1);
    assert_eq!(world.succeeded(), 3);
}

#[test]
fn what_another_node_stored_is_read_beside_what_comes_from_memory() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    world.commit(webhook);
    world.finish_all(OK);
    let theirs = world.store(webhook);
    world.holds_refills = true;
    world.stored_elsewhere(theirs);
    let ours = world.commit(webhook);
    assert!(world.scheduler.is_in_flight(ours), "it does not wait for the store");
    world.holds_refills = false;
    world.answer_refills();
    assert!(world.scheduler.is_in_flight(theirs));
    world.finish_all(OK);
    assert_eq!((world.sent_of(theirs).len(), world.sent_of(ours).len()), (1, 1));
}

#[test]
fn what_another_node_stored_while_the_store_is_read_is_read_after_it() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    world.holds_refills = true;
    let first = world.store(webhook);
    world.stored_elsewhere(first);
    let second = world.store(webhook);
    world.stored_elsewhere(second);
    world.holds_refills = false;
    world.answer_refills();
    assert!(world.scheduler.is_in_flight(second), "the answer did not know it");
    world.finish_all(OK);
    assert_eq!((world.sent_of(first).len(), world.sent_of(second).len()), (1, 1));
}

#[test]
fn what_another_node_hands_over_goes_on_without_a_read_once_the_store_was_read() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    let first = world.commit_elsewhere(webhook);
    assert_eq!(world.refills.len(), 1, "an earlier owner may have sent it");
    assert!(world.scheduler.is_in_flight(first));
    world.finish_all(OK);
    let second = world.commit_elsewhere(webhook);
    assert_eq!(world.refills.len(), 1);
    world.finish_all(OK);
    assert_eq!((world.sent_of(first).len(), world.sent_of(second).len()), (1, 1));
}

#[test]
fn what_is_handed_over_late_is_not_sent_again_where_an_earlier_owner_has_sent_it() {
    let mut world = world();
    let webhook = world.webhook(1, 1, Health::Well);
    world.commit_elsewhere(webhook);
    world.finish_all(OK);
    world.begin(webhook);
    world.begin(webhook);
    world.end(1);
    world.input(Input::Disown { slots: slots(webhook) });
    world.send_elsewhere(0);
    world.input(Input::Own { slots: slots(webhook) });
    // The first is still open, so the place up to which all is seen stands before the second.
    world.sweep();
    world.tell_elsewhere(0);
    assert_eq!(world.sent.len(), 1, "the second was sent elsewhere");
    world.end(0);
    world.tell_elsewhere(0);
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 3);
    assert_eq!(world.sent.len(), 2);
}

#[test]
fn what_another_node_stored_does_not_starve_beside_a_lane_that_stays_half_full() {
    let mut world = World::new(LanesConfig {
        lane_rows_max: 8,
        lane_in_flight_start: 1,
        lane_in_flight_max: 1,
        lane_in_flight_stretched_max: 1,
        ..LanesConfig::default()
    });
    let webhook = world.webhook(1, 1, Health::Well);
    for _ in 0..7 {
        world.commit(webhook);
    }
    let theirs = world.store(webhook);
    world.stored_elsewhere(theirs);
    // As many come from memory as are sent: by itself the lane is never less than half full.
    for _ in 0..20 {
        world.commit(webhook);
        world.finish_first(OK);
    }
    assert_eq!(world.sent_of(theirs).len(), 1);
}
