//! Sending, retrying, sleeping.

use postrider_lanes::input::Finish;
use postrider_lanes::{Input, LanesConfig, RetrySchedule};
use postrider_model::delivery::{FailedReason, Status};
use postrider_model::health::Health;
use postrider_model::id::DeliveryId;
use postrider_model::time::Monotonic;

use crate::world::{ACCOUNT, OK, STATUS_500, TIMEOUT, World, seconds};

#[test]
fn what_was_committed_is_sent_at_once_and_recorded() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    let delivery = world.commit(webhook);
    assert!(world.scheduler.is_in_flight(delivery));
    assert!(!world.scheduler.is_idle());
    world.finish(delivery, OK);
    assert!(matches!(world.status(delivery), Status::Succeeded { .. }));
    assert!(world.scheduler.is_idle() && !world.scheduler.is_in_flight(delivery));
    assert!(world.refills.is_empty(), "nothing was read back");
    assert_eq!(world.scheduler.next_wake(), None);
    assert_eq!(world.scheduler.stats().memory_rows, 0);
}

#[test]
fn three_days_of_retries_take_milliseconds() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Unproven);
    let delivery = world.commit(webhook);
    for _ in 0..12 {
        world.finish(delivery, TIMEOUT);
        assert!(world.in_flight.is_empty());
        assert!(world.wake_within(seconds(27 * 3_600)), "it sleeps until it is due");
        assert_eq!(world.in_flight.len(), 1);
    }
    world.finish(delivery, TIMEOUT);
    assert!(
        matches!(
            world.status(delivery),
            Status::Failed {
                reason: FailedReason::Exhausted,
                ..
            }
        ),
        "{:?}",
        world.status(delivery)
    );
    let sent = world.sent_of(delivery);
    assert_eq!(sent.len(), 13);
    let delays = [5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200, 86_400, 86_400];
    for (pair, delay) in sent.windows(2).zip(delays) {
        let took = pair[1].since(pair[0]);
        assert!(
            took >= seconds(delay) * 9 / 10 && took <= seconds(delay) * 11 / 10 + seconds(1),
            "{delay}: {took:?}"
        );
    }
    assert_eq!(world.scheduler.next_wake(), None);
}

#[test]
fn a_receiver_that_recovers_gets_it_on_a_later_attempt() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Unproven);
    let delivery = world.commit(webhook);
    world.finish(delivery, STATUS_500);
    world.advance(seconds(6));
    world.finish(delivery, OK);
    assert!(matches!(world.status(delivery), Status::Succeeded { .. }));
    assert_eq!(world.rows[&delivery].delivery.progress.attempts, 2);
}

#[test]
fn a_longer_retry_after_is_obeyed() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Unproven);
    let delivery = world.commit(webhook);
    let finish = Finish::Failed {
        is_illness: false,
        retry_after: Some(seconds(100)),
    };
    world.finish(delivery, finish);
    world.advance(seconds(99));
    assert_eq!(world.sent_of(delivery).len(), 1);
    world.advance(seconds(2));
    assert_eq!(world.sent_of(delivery).len(), 2);
}

#[test]
fn what_sleeps_is_not_in_memory() {
    let mut world = World::new(LanesConfig::default());
    for number in 1..=1_000 {
        let webhook = world.webhook(number, u64::try_from(number).unwrap(), Health::Unproven);
        world.commit(webhook);
    }
    world.finish_all(STATUS_500);
    let stats = world.scheduler.stats();
    assert_eq!((stats.lanes, stats.waiting, stats.memory_rows, stats.unrecorded), (1_000, 0, 0, 0));
    world.advance(seconds(6));
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 1_000);
}

#[test]
fn the_sweep_finds_what_nobody_told_of() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    let delivery = world.store(webhook);
    world.sweep();
    assert!(world.scheduler.is_in_flight(delivery));
    world.sweep();
    assert_eq!(world.refills.len(), 1, "a lane at work is not asked for again");
    world.finish(delivery, OK);
}

#[test]
fn the_sweep_finds_what_was_lost_beside_a_lane_at_work() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    let lost = world.store(webhook);
    world.commit(webhook);
    world.advance(seconds(61));
    world.sweep();
    assert!(world.scheduler.is_in_flight(lost));
}

#[test]
fn a_restart_begins_with_the_store_alone() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    let first = world.commit(webhook);
    let second = world.commit(webhook);
    world.finish(first, STATUS_500);
    world.restart();
    world.sweep();
    assert!(world.scheduler.is_in_flight(second), "the outcome was lost: again");
    world.finish(second, OK);
    world.advance(seconds(6));
    world.finish(first, OK);
    assert_eq!(world.succeeded(), 2);
}

#[test]
fn retries_and_first_attempts_take_turns() {
    let mut world = World::new(LanesConfig {
        lane_in_flight_start: 1,
        lane_in_flight_max: 1,
        lane_in_flight_stretched_max: 1,
        ..LanesConfig::default()
    });
    let webhook = world.webhook(1, 1, Health::Well);
    let retries: Vec<DeliveryId> = (0..6).map(|_| world.commit(webhook)).collect();
    world.finish_all(STATUS_500);
    let blocker = world.commit(webhook);
    world.advance(seconds(10));
    let fresh: Vec<DeliveryId> = (0..6).map(|_| world.commit(webhook)).collect();
    let before = world.sent.len();
    world.finish(blocker, OK);
    world.finish_all(OK);
    let kinds: Vec<bool> = world.sent[before..].iter().map(|(_, id)| fresh.contains(id)).collect();
    assert_eq!(kinds.len(), 12);
    assert!(kinds.windows(2).all(|pair| pair[0] != pair[1]), "{kinds:?}");
    assert!(retries.iter().all(|id| world.sent_of(*id).len() == 2));
}

#[test]
fn after_stop_nothing_is_sent_and_what_is_in_flight_is_recorded() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Unproven);
    let sent: Vec<DeliveryId> = (0..3).map(|_| world.commit(webhook)).collect();
    assert_eq!(world.in_flight.len(), 2);
    world.input(Input::Stop);
    world.finish(sent[0], OK);
    world.finish(sent[1], STATUS_500);
    assert!(world.in_flight.is_empty() && world.scheduler.is_idle());
    world.advance(seconds(60));
    world.sweep();
    assert!(world.in_flight.is_empty() && world.refills.is_empty());
    assert_eq!(world.rows[&sent[1]].delivery.progress.attempts, 1);
}

#[test]
fn the_same_inputs_give_the_same_commands() {
    let run = || {
        let mut world = World::new(LanesConfig::default());
        for number in 1..=50 {
            let webhook = world.webhook(number, u64::try_from(number % 7).unwrap(), Health::Unproven);
            for _ in 0..5 {
                world.commit(webhook);
            }
        }
        for round in 0..20 {
            let mut count = 0;
            world.finish_each(|_| {
                count += 1;
                Some([OK, STATUS_500, TIMEOUT][(count + round) % 3])
            });
            world.advance(seconds(20));
        }
        (world.sent, world.refills)
    };
    assert_eq!(run(), run());
}

#[test]
fn an_outcome_of_what_is_not_in_flight_changes_nothing() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    let delivery = world.store(webhook);
    world.input(Input::Finished {
        webhook,
        delivery,
        finish: OK,
    });
    world.input(Input::Recorded { webhook, delivery });
    world.input(Input::RefillFailed { webhook });
    assert!(matches!(world.status(delivery), Status::Pending { .. }));
    assert_eq!(world.scheduler.stats(), postrider_lanes::Stats::default());
}

#[test]
fn a_store_that_cannot_be_read_is_asked_again_after_1_2_4_8_10_10_seconds() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    let delivery = world.store(webhook);
    world.refills_fail = true;
    world.sweep();
    let mut asked = Vec::new();
    for _ in 0..6 {
        let before = world.now.mono;
        assert!(world.wake_within(seconds(100)));
        asked.push(world.now.mono.since(before).as_millis());
    }
    assert_eq!(asked, [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    world.refills_fail = false;
    world.advance(seconds(10));
    assert!(world.scheduler.is_in_flight(delivery));
}

#[test]
fn a_schedule_of_one_attempt_gives_one() {
    let mut world = World::new(LanesConfig {
        schedule: RetrySchedule::new([]),
        ..LanesConfig::default()
    });
    let webhook = world.webhook(1, 1, Health::Well);
    let delivery = world.commit(webhook);
    world.finish(delivery, STATUS_500);
    assert!(world.status(delivery).is_final());
}

#[test]
fn a_wall_clock_that_jumps_ahead_wakes_what_is_due_with_the_next_input() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    let delivery = world.commit(webhook);
    world.finish(delivery, STATUS_500);
    world.now.wall = world.now.wall + seconds(3_600);
    world.input(Input::Tick);
    assert!(world.scheduler.is_in_flight(delivery));
    assert_eq!(world.scheduler.next_wake(), None);
}

#[test]
fn idle_lanes_are_kept_up_to_a_limit() {
    let mut world = World::new(LanesConfig {
        idle_lanes_max: 10,
        ..LanesConfig::default()
    });
    for number in 1..=100 {
        let webhook = world.webhook(number, u64::try_from(number).unwrap(), Health::Unproven);
        world.commit(webhook);
        world.finish_all(OK);
    }
    let stats = world.scheduler.stats();
    assert_eq!((stats.lanes, stats.idle_lanes, stats.hosts), (10, 10, 10));
    assert_eq!(world.health_stored.len(), 100);
}

#[test]
fn a_due_in_the_future_only_sets_the_alarm() {
    let mut world = World::new(LanesConfig::default());
    let webhook = world.webhook(1, 1, Health::Well);
    let due = world.now.wall + seconds(50);
    world.input(Input::Waiting {
        account: ACCOUNT,
        webhook,
        due,
    });
    assert!(world.refills.is_empty());
    assert_eq!(world.scheduler.next_wake(), Some(Monotonic::from_nanos(50_000_000_001)));
}
