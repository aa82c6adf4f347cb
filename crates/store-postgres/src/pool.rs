//! Connections: a few for what every delivery needs, and the others for everything else, so that many slow reads hold up no commit.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use postrider_ports::StoreError;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error};

use crate::conn::{Conn, Manner};
use crate::fault::{Fault, Outcome, told, unavailable};
use crate::line::{Driver, Way};

/// Connections for commits, outcomes, refills and the sweep.
pub(crate) const HOT_CONNECTIONS: usize = 6;
/// How long a call waits for a connection to be free, and for a new one to be made.
pub const CONNECTION_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a statement waits for a lock on those: groups are stored one after the other, so all that comes waits as long. It is longer than the
/// second after which the server looks whether two wait for each other, for one of those goes on at once.
pub(crate) const HOT_LOCK_TIME_MAX: Duration = Duration::from_secs(2);

/// What the planner is told on those: each statement is written for one plan, which is right for an empty table and for a full one.
/// Left to itself it would plan anew each time, or keep a plan that was made when the queue was empty.
pub(crate) const HOT_SETTINGS: &str = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off -c enable_hashjoin=off \
     -c enable_mergejoin=off -c enable_sort=off";

/// What it is told for the rest of a transaction on the others: each row is looked up by an index, what is joined to it too, and rows come in
/// the order of an index wherever there is one. Left to itself it sorts all that a history holds of an account, reads all events for a hundred
/// ids, and all that waits for one of it: it believes that the queue is empty, where it was when it was last cleaned up. Behind a pooler that
/// takes no options, what is switched off looks so dear that each statement would be compiled.
pub(crate) const BY_INDEX: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_hashjoin = off;
    SET LOCAL enable_mergejoin = off; SET LOCAL enable_sort = off; SET LOCAL jit = off";

/// The connections of a store. Clones share them.
#[derive(Clone)]
pub(crate) struct Pools {
    hot: Pool,
    others: Pool,
    manner: Arc<Manner>,
}

impl Pools {
    /// Opens none yet: the others go the first way, the hot ones the second. `connections_max` counts both kinds; a call waits at most
    /// `time_max` for one of them.
    pub(crate) fn new(
        (way, hot): (&Way, &Way),
        connections_max: usize,
        time_max: Duration,
        manner: Arc<Manner>,
    ) -> Result<Self, StoreError> {
        let others_max = connections_max.saturating_sub(HOT_CONNECTIONS).max(2);
        Ok(Self {
            hot: pool(hot, HOT_CONNECTIONS, time_max)?,
            others: pool(way, others_max, time_max)?,
            manner,
        })
    }

    /// A connection for what every delivery needs.
    pub(crate) async fn hot(&self) -> Outcome<Conn> {
        Ok(Conn::new(self.hot.get().await?, Arc::clone(&self.manner)))
    }

    /// A connection for everything else.
    pub(crate) async fn other(&self) -> Outcome<Conn> {
        Ok(Conn::new(self.others.get().await?, Arc::clone(&self.manner)))
    }

    /// Closes what is idle; what is lent is closed when it comes back. New connections are made when they are asked for.
    pub(crate) fn renew(&self) {
        self.manner.renewals.fetch_add(1, Ordering::Relaxed);
        for pool in [&self.hot, &self.others] {
            pool.retain(|_, _| false);
        }
    }
}

/// Gives a new connection, in time.
type Making<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

impl Connect for Way {
    fn connect(&self, _: &Config) -> Making<'_, (Client, JoinHandle<()>)> {
        Box::pin(async {
            match self.reach().await {
                Ok((client, driver)) => Ok((client, tokio::spawn(drive(driver)))),
                Err(Fault::Sql(error)) => Err(error),
                // None has answered, for which the pool has a word of its own, once its time is over.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

async fn drive(driver: Driver) {
    if let Err(error) = driver.await {
        tracing::warn!(error = told(&error), "a connection to the database broke");
    }
}

fn pool(way: &Way, connections_max: usize, time_max: Duration) -> Result<Pool, StoreError> {
    let manager = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    Pool::builder(Manager::from_connect(way.config.clone(), way.clone(), manager))
        .max_size(connections_max)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(time_max))
        .create_timeout(Some(time_max))
        .build()
        .map_err(|error| unavailable(error.to_string()))
}
