//! The store goes on with another history.

use std::time::Duration;

use crate::receivers::Does;
use crate::world::{LEASE, World};

#[test]
fn on_another_history_every_node_begins_anew_and_all_goes_on() {
    let world = World::with(3);
    let webhooks = world.webhooks(12);
    for webhook in &webhooks {
        world.let_it(*webhook, Does::TakeFor(Duration::from_secs(2)));
    }
    let before: Vec<_> = world.hall.look_roster().nodes.iter().map(|node| node.token).collect();
    for _ in 0..3 {
        world.post_at(0);
    }
    world.settle();
    world.hall.fail_over();
    world.pass(2 * LEASE);
    let roster = world.hall.look_roster();
    assert_eq!(roster.nodes.len(), 3);
    assert!(
        roster.nodes.iter().all(|node| !before.contains(&node.token)),
        "each has a token of its own again"
    );
    assert!(world.is_whole(), "{:?}", world.shares());
    world.pass(Duration::from_secs(60));
    assert_eq!(world.pending(), 0);
    assert_eq!(world.succeeded(), 36);
    for index in 0..3 {
        assert!(world.node(index).engine.load().unrecorded == 0);
    }
    world.check();
}
