//! Nodes on PostgreSQL.

use std::sync::Arc;

use postrider_ports::Nodes;
use postrider_store_postgres::connect;

use crate::support::{Fresh, options};

#[tokio::test]
async fn every_promise_of_nodes_is_kept() {
    postrider_testkit::conformance::nodes::exercise_nodes(async || {
        let fresh = Fresh::empty().await;
        let beside = connect(options(fresh.database.url())).await.unwrap();
        let one: Arc<dyn Nodes> = Arc::new(fresh.store.nodes());
        let other: Arc<dyn Nodes> = Arc::new(beside.nodes());
        ((beside, fresh), one, other)
    })
    .await;
}
