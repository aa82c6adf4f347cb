//! Groups on a store where each has its price, however small it is.

use std::time::Duration;

use crate::world::World;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn groups(world: &World) -> u64 {
    world.engine.counters().ingest_groups.get()
}

#[tokio::test]
async fn a_small_group_waits_for_others_and_who_comes_after_a_pause_for_nothing() {
    let world = World::with(|settings| settings.commit_interval = MS(3)).await;
    world.post(&["a"]).await.unwrap();
    assert_eq!(groups(&world), 1, "the first waits for nothing");
    let more = async { tokio::join!(world.post(&["b"]), world.post(&["c"]), world.post(&["d"])) };
    let time = async {
        world.settle().await;
        assert_eq!(groups(&world), 1);
        world.pass(MS(3)).await;
    };
    let (posted, ()) = tokio::join!(more, time);
    assert!(posted.0.is_ok() && posted.1.is_ok() && posted.2.is_ok());
    assert_eq!(groups(&world), 2, "three in one");
    world.pass(MS(3)).await;
    world.post(&["e"]).await.unwrap();
    assert_eq!(groups(&world), 3);
}

#[tokio::test]
async fn outcomes_are_recorded_together_and_nobody_waits_for_that() {
    let world = World::with(|settings| settings.record_interval = MS(10)).await;
    world.webhook(1, &[]).await;
    world.post(&["a"]).await.unwrap();
    assert_eq!(world.succeeded(), 1, "the first is recorded at once");
    world.post(&["b"]).await.unwrap();
    world.post(&["c"]).await.unwrap();
    assert_eq!((world.sent().len(), world.succeeded()), (3, 1));
    world.pass(MS(10)).await;
    assert_eq!(world.succeeded(), 3);
}
