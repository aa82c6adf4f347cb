//! Any order of things keeps what must hold, and ends well.

use postrider_lanes::input::{Finish, Standing};
use postrider_lanes::{Input, LanesConfig};
use postrider_model::health::Health;
use postrider_model::id::WebhookId;
use postrider_model::slot::{Slot, SlotSet};
use proptest::prelude::*;

use crate::world::{OK, STATUS_500, TIMEOUT, World, seconds};

const WEBHOOKS: u128 = 12;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    Commit(u128),
    StoreOnly(u128),
    Test(u128),
    Retry(usize),
    Finish(usize, Finish),
    Pause(u128),
    Activate(u128),
    HoldRefills(bool),
    FailRefills(bool),
    HoldRecords(bool),
    Begin(u128),
    End(usize),
    Tell(usize),
    TellElsewhere(usize),
    SendElsewhere(usize),
    Lag(u64),
    Own(u128),
    Disown(u128),
    Suspend,
    Resume,
    Sweep,
    Advance(u64),
    Restart,
}

fn finish() -> impl Strategy<Value = Finish> {
    prop_oneof![4 => Just(OK), 2 => Just(STATUS_500), 3 => Just(TIMEOUT), 1 => Just(Finish::LocalFault)]
}

fn step() -> impl Strategy<Value = Step> {
    let webhook = 1..=WEBHOOKS;
    prop_oneof![
        12 => webhook.clone().prop_map(Step::Commit),
        2 => webhook.clone().prop_map(Step::StoreOnly),
        1 => webhook.clone().prop_map(Step::Test),
        1 => (0usize..1_000).prop_map(Step::Retry),
        12 => ((0usize..1_000), finish()).prop_map(|(which, finish)| Step::Finish(which, finish)),
        1 => webhook.clone().prop_map(Step::Pause),
        1 => webhook.clone().prop_map(Step::Activate),
        1 => any::<bool>().prop_map(Step::HoldRefills),
        1 => any::<bool>().prop_map(Step::FailRefills),
        1 => any::<bool>().prop_map(Step::HoldRecords),
        4 => webhook.clone().prop_map(Step::Begin),
        4 => (0usize..100).prop_map(Step::End),
        4 => (0usize..100).prop_map(Step::Tell),
        4 => (0usize..100).prop_map(Step::TellElsewhere),
        4 => (0usize..4).prop_map(Step::SendElsewhere),
        1 => (0u64..20).prop_map(Step::Lag),
        2 => webhook.clone().prop_map(Step::Own),
        1 => webhook.prop_map(Step::Disown),
        1 => Just(Step::Suspend),
        2 => Just(Step::Resume),
        1 => Just(Step::Sweep),
        3 => (0u64..100).prop_map(Step::Advance),
        1 => Just(Step::Restart),
    ]
}

fn config() -> impl Strategy<Value = LanesConfig> {
    (1usize..40, 1usize..8, 10usize..60, 1usize..4, 2usize..50, 0usize..4).prop_map(
        |(in_flight_max, lane_rows_max, memory_rows_max, refills_max, unrecorded_max, idle_lanes_max)| LanesConfig {
            in_flight_max,
            lane_rows_max,
            memory_rows_max,
            memory_bytes_max: 64 * 1024,
            refills_max,
            unrecorded_max,
            idle_lanes_max,
            ..LanesConfig::default()
        },
    )
}

fn world(config: LanesConfig) -> World {
    let mut world = World::new(config);
    for number in 1..=WEBHOOKS {
        let health = [Health::Unproven, Health::Well][usize::from(number % 3 == 0)];
        world.webhook(number, u64::try_from(number % 5).unwrap(), health);
    }
    world
}

fn take(world: &mut World, step: Step) {
    match step {
        Step::Commit(webhook) => {
            world.commit(WebhookId::from_u128(webhook));
        }
        Step::StoreOnly(webhook) => {
            world.store(WebhookId::from_u128(webhook));
        }
        Step::Test(webhook) => {
            world.test(WebhookId::from_u128(webhook));
        }
        Step::Retry(which) => {
            let over = |status| matches!(status, postrider_model::delivery::Status::Succeeded { .. });
            let delivery = world.rows.keys().nth(which % world.rows.len().max(1)).copied();
            if let Some(delivery) = delivery.filter(|delivery| !over(world.status(*delivery)) && world.is_told(*delivery)) {
                world.retry(delivery);
            }
        }
        Step::Finish(which, finish) => {
            if let Some(queued) = world.in_flight.get(which % world.in_flight.len().max(1)) {
                let delivery = queued.delivery;
                world.finish(delivery, finish);
            }
        }
        Step::Pause(webhook) => world.stand(WebhookId::from_u128(webhook), Standing::Paused),
        Step::Activate(webhook) => world.stand(WebhookId::from_u128(webhook), Standing::Active),
        Step::HoldRefills(holds) => {
            world.holds_refills = holds;
            if !holds {
                world.answer_refills();
            }
        }
        Step::FailRefills(fail) => world.refills_fail = fail,
        Step::HoldRecords(holds) => {
            world.holds_records = holds;
            if !holds {
                world.record_held();
            }
        }
        Step::Begin(webhook) => world.begin(WebhookId::from_u128(webhook)),
        Step::End(which) => world.end(which),
        Step::Tell(which) => world.tell(which),
        Step::TellElsewhere(which) => world.tell_elsewhere(which),
        Step::SendElsewhere(which) => world.send_elsewhere(which),
        Step::Lag(lag) => world.lag = lag,
        Step::Own(webhook) => own(world, webhook),
        Step::Disown(webhook) => world.input(Input::Disown { slots: slots_of(webhook) }),
        Step::Suspend => world.input(Input::Suspend),
        Step::Resume => world.input(Input::Resume),
        Step::Sweep => world.sweep(),
        Step::Advance(length) => world.advance(seconds(length)),
        Step::Restart => world.restart(),
    }
}

fn slots_of(webhook: u128) -> SlotSet {
    SlotSet::from_iter([Slot::of(WebhookId::from_u128(webhook))])
}

/// Whoever takes a slot sweeps.
fn own(world: &mut World, webhook: u128) {
    world.input(Input::Own { slots: slots_of(webhook) });
    world.sweep();
}

/// Everything works from now on; each round begins with what `each_round` does.
fn recover(world: &mut World, each_round: fn(&mut World)) {
    world.holds_refills = false;
    world.refills_fail = false;
    world.holds_records = false;
    world.answer_refills();
    world.record_held();
    world.input(Input::Resume);
    for which in 0..200 {
        world.end(which);
        world.tell(which);
    }
    world.input(Input::Own { slots: SlotSet::ALL });
    for number in 1..=WEBHOOKS {
        world.stand(WebhookId::from_u128(number), Standing::Active);
    }
    for _ in 0..400 {
        each_round(world);
        world.finish_all(OK);
        world.advance(seconds(3_600));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_delivery_ends_once_receivers_recover(
        config in config(),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        // `World` itself asserts that no delivery is sent twice at a time, and the limits, after every input.
        let memory_rows_max = config.memory_rows_max + config.refills_max;
        let mut world = world(config);
        for step in steps {
            take(&mut world, step);
            let stats = world.scheduler.stats();
            prop_assert!(stats.memory_rows <= memory_rows_max, "{} rows", stats.memory_rows);
            prop_assert!(stats.in_flight + stats.unrecorded <= world.config.unrecorded_max);
        }
        recover(&mut world, |world| world.sweep());
        for row in world.rows.values() {
            prop_assert!(row.delivery.status.is_final(), "{row:?} {:?}", world.scheduler.stats());
        }
        let stats = world.scheduler.stats();
        prop_assert!(world.scheduler.is_idle());
        prop_assert_eq!((stats.waiting, stats.memory_rows, stats.memory_bytes, stats.refills), (0, 0, 0, 0));
        world.input(Input::Stop);
        prop_assert_eq!(world.scheduler.next_wake(), None);
    }

    #[test]
    fn what_was_handed_over_is_never_forgotten_though_nobody_sweeps(
        config in config(),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut world = world(config);
        for step in steps {
            // The sweep is there for what is lost in a crash, or was never told.
            if !matches!(step, Step::StoreOnly(_) | Step::Restart | Step::Sweep | Step::Own(_) | Step::Disown(_)) {
                take(&mut world, step);
            }
        }
        recover(&mut world, |_| ());
        for row in world.rows.values() {
            prop_assert!(row.delivery.status.is_final(), "{row:?} {:?}", world.scheduler.stats());
        }
    }
}
