//! The in-memory store keeps every promise of the port, so that it may stand in for a real one.

use std::sync::Arc;

use postrider_ports::Store;
use postrider_testkit::conformance;
use postrider_testkit::memory_store::MemoryStore;

#[tokio::test]
async fn the_store_in_memory_keeps_every_promise() {
    conformance::exercise(async || Arc::new(MemoryStore::new()) as Arc<dyn Store>).await;
}
