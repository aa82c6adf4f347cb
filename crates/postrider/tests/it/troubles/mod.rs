//! Three nodes and one PostgreSQL under load, and whatever may befall them, in an order that a seed says: all that was acknowledged is
//! delivered, everything ends, and what came twice is explained.
//!
//! A long run: `POSTRIDER_TROUBLES=500 POSTRIDER_SEED=7 cargo test -p postrider --test it troubles -- --nocapture`.

mod fleet;
mod look;
mod stage;
mod trouble;

use postrider_testkit::random::SeededRandom;

pub(crate) use look::wait_until;
use stage::Stage;
use trouble::Trouble;

/// Troubles of a run that nobody asked to be longer. Each kind comes once before one comes again.
const STEPS: u64 = Trouble::ALL.len() as u64;

fn number(variable: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return default };
    text.parse()
        .unwrap_or_else(|_| panic!("{variable} is {text:?}: it must be a number"))
}

#[test]
fn every_acknowledged_event_is_delivered_whatever_befalls_the_nodes_and_their_database() {
    let seed = number("POSTRIDER_SEED", 1);
    let steps = number("POSTRIDER_TROUBLES", STEPS);
    println!("POSTRIDER_SEED={seed} POSTRIDER_TROUBLES={steps}");
    let random = SeededRandom::new(seed);
    let mut stage = Stage::set(steps);
    let mut left = Vec::new();
    for step in 0..steps {
        if left.is_empty() {
            left = Trouble::ALL.to_vec();
        }
        let index = random.below(left.len() as u64) as usize;
        let trouble = left.swap_remove(index);
        let node = random.below(stage::NODES as u64) as usize;
        println!("step {step}: {trouble:?} at node {node}");
        stage.step(trouble, node);
    }
    stage.finish();
}
