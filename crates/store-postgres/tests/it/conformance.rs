//! The suite that every store must pass, on PostgreSQL. One promise alone: `cargo test -p postrider-store-postgres conformance::jobs`.

use std::ops::Deref;

use postrider_store_postgres::{PostgresStore, connect};
use postrider_testkit::conformance::archive::Archives;

use crate::support::{Fresh, options};

postrider_testkit::every_promise!(crate::support::Fresh::empty);

/// Stores that can be read out and filled.
struct Databases;

impl Archives for Databases {
    type Kind = PostgresStore;
    type Opened = Movable;

    async fn empty(&self) -> Movable {
        Movable(Fresh::empty().await)
    }

    async fn open_again(&self, Movable(Fresh { store, database }): Movable) -> Movable {
        drop(store);
        let store = connect(options(database.url())).await.unwrap();
        Movable(Fresh { store, database })
    }
}

struct Movable(Fresh);

impl Deref for Movable {
    type Target = PostgresStore;

    fn deref(&self) -> &PostgresStore {
        &self.0.store
    }
}

async fn archives() -> Box<Databases> {
    Box::new(Databases)
}

postrider_testkit::every_promise!(archives: super::archives);

#[tokio::test]
async fn an_empty_store_has_its_schema_and_nothing_in_it() {
    let fresh = crate::support::Fresh::empty().await;
    assert_eq!(fresh.database.psql("SELECT count(*) FROM postrider.queue"), "0");
}
