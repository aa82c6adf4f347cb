//! The in-memory store keeps every promise of the port, so that it may stand in for a real one.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use postrider_ports::Store;
use postrider_testkit::memory_store::MemoryStore;

async fn empty_store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

postrider_testkit::every_promise!(super::empty_store);

/// A promise that is not in the list would be a test that nobody runs.
#[test]
fn every_promise_is_in_the_list() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/conformance");
    let list = std::fs::read_to_string(format!("{folder}/mod.rs")).unwrap();
    let mut promises = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        // Those have a list of their own.
        let list = if path.ends_with("nodes.rs") { &text } else { &list };
        for promise in text.lines().filter_map(|line| line.strip_prefix("pub async fn ")?.split_once('(')) {
            assert!(
                list.contains(&format!("{},\n", promise.0)),
                "{} is missing in every_promise",
                promise.0
            );
            promises += usize::from(!path.ends_with("nodes.rs"));
        }
    }
    assert_eq!(
        promises,
        list.lines()
            .filter(|line| line.starts_with(&" ".repeat(16)) && line.ends_with(','))
            .count()
    );
}

mod nodes {
    use postrider_testkit::clock::SimClock;
    use postrider_testkit::memory_nodes::MemoryNodes;

    async fn two_doors() -> ((), Box<MemoryNodes>, Box<MemoryNodes>) {
        let one = MemoryNodes::new(SimClock::new());
        let other = one.beside();
        ((), Box::new(one), Box::new(other))
    }

    postrider_testkit::every_promise_of_nodes!(two_doors);
}
