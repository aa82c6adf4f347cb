//! The in-memory store keeps every promise of the port, so that it may stand in for a real one.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use postrider_ports::{Nodes, Store};
use postrider_testkit::clock::SimClock;
use postrider_testkit::memory_nodes::MemoryNodes;
use postrider_testkit::memory_store::MemoryStore;

async fn empty_store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

postrider_testkit::every_promise!(super::empty_store);

/// How a promise is written: it takes a store, or what makes stores, and answers nothing. All else is there to make and read stores.
const PROMISES: [&str; 2] = ["(store: &dyn Store) {", "(stores: &impl Archives) {"];

/// A promise that is not in the list would be a test that nobody runs.
#[test]
fn every_promise_is_in_the_list() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/conformance");
    let list = std::fs::read_to_string(format!("{folder}/mod.rs")).unwrap();
    let mut promises = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Those have a list of their own.
        if path.ends_with("nodes.rs") {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        let functions = text.lines().filter_map(|line| line.strip_prefix("pub async fn "));
        for promise in functions.filter_map(|line| PROMISES.iter().find_map(|rest| line.strip_suffix(rest))) {
            assert!(list.contains(&format!("{promise},\n")), "{promise} is missing in every_promise");
            promises += 1;
        }
    }
    assert_eq!(
        promises,
        list.lines()
            .filter(|line| line.starts_with(&" ".repeat(16)) && line.ends_with(','))
            .count()
    );
}

#[tokio::test]
async fn nodes_in_memory_keep_theirs() {
    postrider_testkit::conformance::nodes::exercise_nodes(async || {
        let one = MemoryNodes::new(SimClock::new());
        let other = one.beside();
        ((), Arc::new(one) as Arc<dyn Nodes>, Arc::new(other) as Arc<dyn Nodes>)
    })
    .await;
}
