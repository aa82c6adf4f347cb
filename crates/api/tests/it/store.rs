//! What the APIs of the tests keep their things in: memory, or PostgreSQL where the variable says so.

use std::sync::Arc;

use postrider_model::seal::SealKey;
use postrider_ports::Store;
use postrider_store_postgres::{OpenOptions, PostgresStore, connect};
use postrider_testkit::clock::SimClock;
use postrider_testkit::memory_store::MemoryStore;
use postrider_testkit::postgres::Database;
use postrider_testkit::random::SeededRandom;

/// `postgres` runs the tests on PostgreSQL; those that need a store with faults stay in memory.
const VARIABLE: &str = "POSTRIDER_TEST_STORE";

/// A store of one test, for as many APIs as it has.
#[derive(Clone)]
pub(crate) enum TestStore {
    /// In memory, with faults.
    Memory(Arc<MemoryStore>),
    /// In a database, which goes when the last of its users has gone.
    Postgres {
        store: Arc<PostgresStore>,
        _database: Arc<Database<'static>>,
    },
}

impl TestStore {
    /// A new one of the kind that the variable says.
    pub(crate) async fn of_the_variable(clock: &SimClock) -> Self {
        match std::env::var(VARIABLE).as_deref() {
            Ok("postgres") => Self::postgres(clock).await,
            Err(_) | Ok("" | "sqlite") => Self::memory(),
            Ok(other) => panic!("{VARIABLE} is {other}: it must be sqlite or postgres"),
        }
    }

    pub(crate) fn memory() -> Self {
        Self::Memory(Arc::new(MemoryStore::new()))
    }

    async fn postgres(clock: &SimClock) -> Self {
        let options = |url| {
            let key = SealKey::from_bytes(&[7; 32]).unwrap();
            OpenOptions::new(url, key, Arc::new(SeededRandom::new(9)), Arc::new(clock.clone()))
        };
        let database = Database::lent_copy(async |url| drop(connect(options(url)).await.unwrap())).await;
        let store = connect(options(database.url())).await.unwrap();
        Self::Postgres {
            store: Arc::new(store),
            _database: Arc::new(database),
        }
    }

    /// As the engine takes it.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => store.clone(),
            Self::Postgres { store, .. } => store.clone(),
        }
    }
}
