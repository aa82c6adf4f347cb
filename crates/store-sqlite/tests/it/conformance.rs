//! The suite that every store must pass, on SQLite.

use std::sync::Arc;

use postrider_ports::Store;
use postrider_testkit::conformance;

#[tokio::test]
async fn it_keeps_every_promise() {
    let folder = crate::support::Folder::new();
    let count = std::sync::atomic::AtomicUsize::new(0);
    conformance::exercise(async || {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Arc::new(folder.open_as(&format!("{number}.db"))) as Arc<dyn Store>
    })
    .await;
}
