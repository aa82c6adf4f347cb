//! The suite that every store must pass, on PostgreSQL. One promise alone: `cargo test -p postrider-store-postgres conformance::jobs`.

use std::ops::Deref;

use postrider_store_postgres::{PostgresStore, connect};
use postrider_testkit::conformance::archive::Reopened;

use crate::support::{Fresh, options};

postrider_testkit::every_promise!(crate::support::Fresh::empty);

/// A store as what can be read out and filled.
struct Movable(Fresh);

impl Deref for Movable {
    type Target = PostgresStore;

    fn deref(&self) -> &PostgresStore {
        &self.0.store
    }
}

impl Reopened for Movable {
    async fn open_again(self) -> Self {
        let Fresh { store, database } = self.0;
        drop(store);
        let store = connect(options(database.url())).await.unwrap();
        Self(Fresh { store, database })
    }
}

async fn empty_archive() -> Movable {
    Movable(Fresh::empty().await)
}

postrider_testkit::every_promise_of_archives!(super::empty_archive);

#[tokio::test]
async fn an_empty_store_has_its_schema_and_nothing_in_it() {
    let fresh = crate::support::Fresh::empty().await;
    assert_eq!(fresh.database.psql("SELECT count(*) FROM postrider.queue"), "0");
}
