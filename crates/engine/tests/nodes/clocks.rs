//! Clocks of machines that differ by minutes.

use std::time::Duration;

use postrider_ports::Clock as _;
use postrider_ports::nodes::Roles;

use crate::receivers::Does;
use crate::world::{LEASE, World};

const BOTH: Roles = Roles { api: true, dispatch: true };

#[test]
fn all_go_by_the_stores_clock() {
    let mut world = World::empty(7);
    world.start_as(BOTH, 7 * 60_000);
    world.start_as(BOTH, -5 * 60_000);
    world.pass(LEASE);
    let webhooks = world.webhooks(8);
    for webhook in &webhooks {
        world.let_it(*webhook, Does::Fail);
    }
    world.post_at(0);
    world.pass(Duration::from_millis(50));
    assert_eq!(world.sent().len(), webhooks.len(), "what is made due now is due for all");
    world.pass(Duration::from_secs(8));
    assert_eq!(world.sent().len(), 2 * webhooks.len(), "and retries come when they are due");
    let now = world.clock.wall();
    for sent in world.sent() {
        assert!(now.since(sent.wall) < Duration::from_secs(9) && sent.wall <= now, "{sent:?}");
    }
    world.check();
}

#[test]
fn a_jump_of_the_stores_clock_is_followed_and_costs_no_lease() {
    let world = World::with(2);
    world.webhooks(4);
    for jump in [10_000i64, -600_000] {
        let now = world.clock.wall();
        world
            .clock
            .set_wall(postrider_model::time::Timestamp::from_millis(now.as_millis() + jump));
        world.pass(2 * LEASE);
        let off = world.node(0).engine.clock().wall().as_millis() - world.clock.wall().as_millis();
        assert!(off.abs() <= 2, "{off}");
        assert!(world.is_whole() && world.shares().iter().all(|share| *share > 300));
        let before = world.succeeded();
        world.post_at(0);
        world.pass(Duration::from_millis(50));
        assert_eq!(world.succeeded(), before + 4);
    }
    world.check();
}
