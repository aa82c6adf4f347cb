//! What the tests of the store share.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use postrider_model::seal::SealKey;
use postrider_ports::Store;
use postrider_store_postgres::{OpenOptions, PostgresStore, connect};
use postrider_testkit::clock::SimClock;
use postrider_testkit::postgres::Database;
use postrider_testkit::random::SeededRandom;

/// Bits that never come twice, spread over the whole number.
pub(crate) fn bits() -> u128 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    u128::from(NEXT.fetch_add(1, Ordering::Relaxed)).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

/// How the tests open a store in a database.
pub(crate) fn options(url: impl Into<String>) -> OpenOptions {
    // Two that are open at once make no id alike.
    static SEED: AtomicU64 = AtomicU64::new(7);
    let random = SeededRandom::new(SEED.fetch_add(1, Ordering::Relaxed));
    let key = SealKey::from_bytes(&[7; 32]).unwrap();
    OpenOptions::new(url, key, Arc::new(random), Arc::new(SimClock::new()))
}

/// An empty store in a database of its own, which goes with it.
pub(crate) struct Fresh {
    // In this order: the connections end before the database does.
    pub(crate) store: PostgresStore,
    pub(crate) database: Database<'static>,
}

impl Fresh {
    /// A new one. The schema is made once and copied.
    pub(crate) async fn empty() -> Self {
        let database = Database::lent_copy(async |url| drop(connect(options(url)).await.unwrap())).await;
        Self {
            store: connect(options(database.url())).await.unwrap(),
            database,
        }
    }
}

impl Deref for Fresh {
    type Target = dyn Store;

    fn deref(&self) -> &(dyn Store + 'static) {
        &self.store
    }
}
