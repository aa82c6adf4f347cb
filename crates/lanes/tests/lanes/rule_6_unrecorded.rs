//! Rule 6: outcomes that cannot be recorded have a hard limit.

use postrider_lanes::LanesConfig;
use postrider_model::health::Health;

use crate::world::{OK, World};

#[test]
fn dispatch_stops_when_too_many_outcomes_cannot_be_recorded() {
    let mut world = World::new(LanesConfig {
        unrecorded_max: 10,
        ..LanesConfig::default()
    });
    let webhook = world.webhook(1, 1, Health::Well);
    world.holds_records = true;
    for _ in 0..50 {
        world.commit(webhook);
    }
    world.finish_all(OK);
    assert_eq!(world.sent.len(), 10);
    assert_eq!(world.scheduler.stats().unrecorded, 10);
    assert!(!world.scheduler.is_idle());
    world.holds_records = false;
    world.record_held();
    world.finish_all(OK);
    assert_eq!(world.succeeded(), 50);
    assert!(world.scheduler.is_idle());
}
