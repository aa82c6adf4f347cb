//! What the APIs of the tests keep their things in: memory, or a real store where the variable says so.

use std::sync::Arc;
use std::time::Duration;

use postrider_model::seal::SealKey;
use postrider_model::time::{Monotonic, Timestamp};
use postrider_ports::Clock;
use postrider_ports::clock::Sleep;
use postrider_store_postgres::connect;
use postrider_store_sqlite::{SqliteStore, Synchronous};
use postrider_testkit::clock::SimClock;
use postrider_testkit::memory_store::MemoryStore;
use postrider_testkit::postgres::Database;
use postrider_testkit::random::SeededRandom;
use tempfile::TempDir;

use crate::watched::WatchedStore;

/// `sqlite` and `postgres` run the tests on those; the few that need a store with faults stay in memory.
const VARIABLE: &str = "POSTRIDER_TEST_STORE";

/// Longer than any run of the tests.
const NEVER: Duration = Duration::from_secs(24 * 3_600);

/// A store of one test, for as many APIs as it has.
#[derive(Clone)]
pub(crate) struct TestStore {
    pub(crate) watched: Arc<WatchedStore>,
    /// Where it is, if that is not memory: a folder or a database. It goes when the last of its users has gone.
    _place: Option<Arc<dyn Send + Sync>>,
}

impl TestStore {
    /// A new one of the kind that the variable says.
    pub(crate) async fn of_the_variable(clock: &SimClock) -> Self {
        match std::env::var(VARIABLE).as_deref() {
            Err(_) | Ok("") => Self::memory(Arc::default()),
            Ok("sqlite") => Self::sqlite(clock),
            Ok("postgres") => Self::postgres(clock).await,
            Ok(other) => panic!("{VARIABLE} is {other}: it must be sqlite or postgres"),
        }
    }

    pub(crate) fn memory(store: Arc<MemoryStore>) -> Self {
        Self {
            watched: Arc::new(WatchedStore::new(store)),
            _place: None,
        }
    }

    fn sqlite(clock: &SimClock) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("postrider.db");
        let store = SqliteStore::open(postrider_store_sqlite::OpenOptions {
            // No test cuts the power.
            synchronous: Synchronous::Off,
            read_time_max: NEVER,
            ..postrider_store_sqlite::OpenOptions::new(file, Arc::new(SeededRandom::new(9)), Arc::new(Patient(clock.clone())))
        });
        Self {
            watched: Arc::new(WatchedStore::new(Arc::new(store.unwrap()))),
            _place: Some(Arc::new(folder)),
        }
    }

    async fn postgres(clock: &SimClock) -> Self {
        let options = |url| {
            let key = SealKey::from_bytes(&[7; 32]).unwrap();
            postrider_store_postgres::OpenOptions {
                // No limit of real time ends an answer, nor is a machine that stands still for a while a fault of the code under test.
                connection_time_max: NEVER,
                ..postrider_store_postgres::OpenOptions::new(url, key, Arc::new(SeededRandom::new(9)), Arc::new(Patient(clock.clone())))
            }
        };
        let database = Database::lent_copy(async |url| drop(connect(options(url)).await.unwrap())).await;
        let store = connect(options(database.url())).await.unwrap();
        Self {
            watched: Arc::new(WatchedStore::new(Arc::new(store))),
            _place: Some(Arc::new(database)),
        }
    }
}

/// The clock of a store whose server works in real time: it shows simulated time, but lets none of it pass while an answer is waited for.
/// The server has its own limits.
struct Patient(SimClock);

impl Clock for Patient {
    fn wall(&self) -> Timestamp {
        self.0.wall()
    }

    fn mono(&self) -> Monotonic {
        self.0.mono()
    }

    fn sleep_until(&self, _: Monotonic) -> Sleep {
        Box::pin(std::future::pending())
    }
}
