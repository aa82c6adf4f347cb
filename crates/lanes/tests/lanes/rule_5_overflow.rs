//! Rule 5: a lane that overflowed takes new work only from the store until a refill has read past the last one left behind.

use postrider_lanes::{Input, LanesConfig};
use postrider_model::health::Health;
use postrider_model::id::DeliveryId;
use postrider_model::queue::Position;

use crate::world::{ACCOUNT, OK, World, seconds};

fn small() -> World {
    World::new(LanesConfig {
        lane_rows_max: 4,
        lane_in_flight_start: 1,
        lane_in_flight_max: 1,
        lane_in_flight_stretched_max: 1,
        ..LanesConfig::default()
    })
}

#[test]
fn a_lane_that_overflowed_takes_new_work_only_from_the_store() {
    let mut world = small();
    let webhook = world.webhook(1, 1, Health::Well);
    world.holds_refills = true;
    // One in flight, four in memory, two left behind.
    let all: Vec<DeliveryId> = (0..7).map(|_| world.commit(webhook)).collect();
    assert_eq!(world.scheduler.stats().waiting, 4);
    world.finish_first(OK);
    world.finish_first(OK);
    // There is room in memory, but those left behind come first.
    let late = world.commit(webhook);
    assert_eq!(world.scheduler.stats().waiting, 2);
    assert_eq!(world.refills.len(), 1);
    world.holds_refills = false;
    world.answer_refills();
    world.finish_all(OK);
    let order: Vec<DeliveryId> = world.sent.iter().map(|(_, id)| *id).collect();
    let expected: Vec<DeliveryId> = all.into_iter().chain([late]).collect();
    assert_eq!(order, expected, "in the order in which they were stored, none missing, none twice");
}

#[test]
fn it_takes_from_memory_again_once_a_refill_has_read_past_the_last_left_behind() {
    let mut world = small();
    let webhook = world.webhook(1, 1, Health::Well);
    for _ in 0..7 {
        world.commit(webhook);
    }
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 7);
    let refills = world.refills.len();
    let next = world.commit(webhook);
    assert!(world.scheduler.is_in_flight(next));
    assert_eq!(world.refills.len(), refills, "no read-back");
}

#[test]
fn a_refill_that_did_not_see_the_last_one_left_behind_does_not_end_it() {
    let mut world = small();
    let webhook = world.webhook(1, 1, Health::Well);
    world.holds_refills = true;
    for _ in 0..6 {
        world.commit(webhook);
    }
    // The refill is asked for, and answered from what the store holds now.
    world.finish_first(OK);
    world.finish_first(OK);
    world.finish_first(OK);
    assert_eq!(world.refills.len(), 1);
    // This one is stored after the store was read: the answer does not know it.
    let late = world.commit(webhook);
    world.holds_refills = false;
    world.answer_refills();
    world.finish_all(OK);
    assert_eq!(world.refills.len(), 2);
    assert_eq!(world.sent_of(late).len(), 1);
    assert_eq!(world.succeeded(), 7);
}

#[test]
fn what_a_refill_has_seen_is_not_taken_a_second_time_when_it_is_handed_over_late() {
    let mut world = small();
    let webhook = world.webhook(1, 1, Health::Well);
    let early = world.store(webhook);
    world.sweep();
    assert!(world.scheduler.is_in_flight(early));
    world.hand_over(early);
    assert_eq!(world.scheduler.stats().waiting, 0);
    world.finish(early, OK);
    assert_eq!(world.sent_of(early).len(), 1);
}

#[test]
fn what_is_handed_over_while_a_refill_is_under_way_is_taken_once() {
    let mut world = small();
    let webhook = world.webhook(1, 1, Health::Well);
    let first = world.store(webhook);
    let second = world.store(webhook);
    world.holds_refills = true;
    world.sweep();
    world.hand_over(first);
    world.hand_over(second);
    world.finish(first, OK);
    world.holds_refills = false;
    // The answer is older than all of that, and has both.
    world.answer_refills();
    world.finish_all(OK);
    assert_eq!((world.sent_of(first).len(), world.sent_of(second).len()), (1, 1));
}

#[test]
fn what_is_recorded_while_a_refill_is_under_way_does_not_come_back_with_it() {
    let mut world = small();
    let webhook = world.webhook(1, 1, Health::Well);
    world.holds_refills = true;
    let first = world.commit(webhook);
    for _ in 0..5 {
        world.commit(webhook);
    }
    world.finish_first(OK);
    world.finish_first(OK);
    world.finish_first(OK);
    world.finish_first(crate::world::STATUS_500);
    world.holds_refills = false;
    world.answer_refills();
    world.finish_all(OK);
    world.advance(seconds(10));
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 6);
    assert_eq!(world.sent_of(first).len(), 1);
    assert_eq!(world.sent.len(), 7);
}

#[test]
fn work_that_was_left_in_the_store_is_fetched() {
    let mut world = small();
    let webhook = world.webhook(1, 1, Health::Well);
    for _ in 0..10 {
        world.store(webhook);
    }
    world.input(Input::LeftBehind {
        account: ACCOUNT,
        webhook,
        through: Position::counted(10),
    });
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 10);
    assert_eq!(world.scheduler.stats().refills_waiting, 0);
}

#[test]
fn a_lane_that_was_dropped_does_not_take_what_it_had_read_before() {
    let mut world = World::new(LanesConfig {
        idle_lanes_max: 0,
        ..LanesConfig::default()
    });
    let webhook = world.webhook(1, 1, Health::Well);
    let delivery = world.store(webhook);
    let queued = world.queued(delivery);
    world.sweep();
    world.finish(delivery, OK);
    assert_eq!(world.scheduler.stats().lanes, 0);
    // The hand-over comes when all is over already.
    let lane = world.webhooks[&webhook];
    world.input(Input::Committed { queued, lane });
    assert_eq!(world.sent_of(delivery).len(), 1);
}

#[test]
fn a_refill_that_brings_nothing_new_is_not_repeated_at_once() {
    let mut world = small();
    let webhook = world.webhook(1, 1, Health::Well);
    let all: Vec<DeliveryId> = (0..6).map(|_| world.commit(webhook)).collect();
    // What was left behind cannot be read: to the store it is in memory.
    world.reads_nothing = true;
    world.finish_first(OK);
    world.finish_first(OK);
    world.finish_first(OK);
    assert_eq!(world.refills.len(), 1);
    world.advance(seconds(1));
    assert_eq!(world.refills.len(), 11, "ten times a second");
    world.reads_nothing = false;
    world.advance(seconds(1));
    world.finish_all(OK);
    assert_eq!(world.succeeded(), all.len());
}

#[test]
fn what_was_left_behind_before_a_read_is_behind_no_more_after_it_whatever_its_place() {
    let mut world = small();
    let webhook = world.webhook(1, 1, Health::Well);
    // An open transaction holds back what answers are sure of.
    world.lag = 1_000;
    let first = world.store(webhook);
    world.input(Input::LeftBehind {
        account: ACCOUNT,
        webhook,
        through: Position::counted(1),
    });
    assert!(world.scheduler.is_in_flight(first));
    world.advance(seconds(10));
    assert_eq!(world.refills.len(), 1, "nothing is left to look for");
    let next = world.commit(webhook);
    world.finish(first, OK);
    assert!(world.scheduler.is_in_flight(next));
    assert_eq!(world.refills.len(), 1, "straight from memory");
}

#[test]
fn what_is_left_behind_while_the_store_is_read_needs_another_read() {
    let mut world = small();
    let webhook = world.webhook(1, 1, Health::Well);
    world.lag = 1_000;
    world.store(webhook);
    world.holds_refills = true;
    world.sweep();
    let late = world.store(webhook);
    world.input(Input::LeftBehind {
        account: ACCOUNT,
        webhook,
        through: Position::counted(2),
    });
    world.holds_refills = false;
    world.answer_refills();
    world.finish_all(OK);
    assert_eq!(world.refills.len(), 2);
    assert_eq!(world.sent_of(late).len(), 1);
}

#[test]
fn what_an_answer_has_seen_before_its_time_is_not_taken_a_second_time() {
    let mut world = small();
    let webhook = world.webhook(1, 1, Health::Well);
    world.lag = 1_000;
    let (early, unseen) = (world.store(webhook), world.store(webhook));
    let queued = world.queued(early);
    world.hide(unseen);
    world.sweep();
    world.finish(early, OK);
    // A read from behind both, which has nothing of them any more.
    world.reread(webhook);
    let lane = world.webhooks[&webhook];
    world.input(Input::Committed { queued, lane });
    assert_eq!(world.sent_of(early).len(), 1, "it came with an answer already");
    world.show(unseen);
    world.hand_over(unseen);
    assert!(world.scheduler.is_in_flight(unseen), "this one did not: it goes on from memory");
    assert_eq!(world.refills.len(), 2);
}

#[test]
fn what_is_surely_seen_needs_no_read() {
    let mut world = small();
    let webhook = world.webhook(1, 1, Health::Well);
    world.store(webhook);
    world.sweep();
    world.finish_all(OK);
    let tell = |world: &mut World| {
        world.input(Input::LeftBehind {
            account: ACCOUNT,
            webhook,
            through: Position::counted(1),
        });
    };
    tell(&mut world);
    assert_eq!(world.refills.len(), 1, "a wake that comes late");
    world.store(webhook);
    world.input(Input::LeftBehind {
        account: ACCOUNT,
        webhook,
        through: Position::counted(2),
    });
    assert_eq!(world.refills.len(), 2);
}

#[test]
fn what_comes_late_to_a_lane_that_was_forgotten_is_looked_for_in_the_store() {
    let mut world = World::new(LanesConfig {
        idle_lanes_max: 0,
        ..LanesConfig::default()
    });
    let (read, other) = (world.webhook(1, 1, Health::Well), world.webhook(2, 2, Health::Well));
    let late = world.store(other);
    let first = world.store(read);
    world.input(Input::LeftBehind {
        account: ACCOUNT,
        webhook: read,
        through: Position::counted(2),
    });
    world.finish(first, OK);
    assert_eq!(world.scheduler.stats().lanes, 0);
    world.hand_over(late);
    world.finish(late, OK);
    assert_eq!(world.sent_of(late).len(), 1);
    assert_eq!(world.refills, [read, other], "read back, since nobody knows whether it was seen");
}

#[test]
fn a_lane_does_not_take_what_another_may_have_seen_for_its_own() {
    let mut world = World::new(LanesConfig {
        idle_lanes_max: 0,
        ..LanesConfig::default()
    });
    let webhook = world.webhook(1, 1, Health::Well);
    world.begin(webhook);
    world.begin(webhook);
    // Sees neither, and is dropped: what it may have seen is all that is known of it.
    world.sweep();
    assert_eq!(world.scheduler.stats().lanes, 0);
    for _ in 0..2 {
        world.end(0);
        world.tell(0);
    }
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 2, "the second was not taken for seen because the first was read");
}
