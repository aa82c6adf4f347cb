//! The port of nodes that share this database.

use async_trait::async_trait;
use parking_lot::Mutex;
use postrider_model::slot::Slot;
use postrider_ports::nodes::{NodeReport, NodeToken, Roster, Wake};
use postrider_ports::{Nodes, StoreError};
use tokio_postgres::error::SqlState;

use crate::fault::{Fault, Outcome};
use crate::line::{Line, Way};
use crate::notify::{Ear, Mouth};
use crate::pool::Pools;
use crate::slots;

/// A node's connections for what it has to do with others: three, each for one purpose.
pub struct PostgresNodes {
    pools: Pools,
    /// For beats alone: driven by the runtime of who beats.
    heart: Line,
    /// For rosters without a beat.
    eye: Line,
    /// For waking others.
    mouth: Mouth,
    ear: Ear,
    /// Which history the last beat saw.
    history: Mutex<Option<u64>>,
}

impl PostgresNodes {
    pub(crate) fn new(pools: Pools, way: &Way) -> Self {
        Self {
            pools,
            heart: Line::new(way.clone()),
            eye: Line::new(way.clone()),
            mouth: Mouth::new(way.clone()),
            ear: Ear::new(way.clone()),
            history: Mutex::new(None),
        }
    }

    /// After a failover connections may still lead to the server of before, which takes no writes but answers reads.
    fn follow(&self, beaten: &Outcome<Roster>) {
        let is_elsewhere = match beaten {
            Ok(roster) => self
                .history
                .lock()
                .replace(roster.history)
                .is_some_and(|before| before != roster.history),
            Err(fault) => fault.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION),
        };
        if is_elsewhere {
            self.pools.renew();
            self.eye.drop_it();
            self.mouth.drop_it();
        }
    }
}

#[async_trait]
impl Nodes for PostgresNodes {
    async fn beat(&self, token: NodeToken, report: NodeReport) -> Result<Roster, StoreError> {
        let beaten = slots::beat(&self.heart, token, &report).await;
        self.follow(&beaten);
        beaten.map_err(Fault::into_store)
    }

    async fn roster(&self) -> Result<Roster, StoreError> {
        slots::roster(&self.eye).await.map_err(Fault::into_store)
    }

    async fn take_slots(&self, token: NodeToken, slots: Vec<(Slot, Option<NodeToken>)>) -> Result<Vec<Slot>, StoreError> {
        let conn = self.pools.other().await.map_err(Fault::into_store)?;
        slots::take(&conn, token, &slots).await.map_err(Fault::into_commit_error)
    }

    async fn release_slots(&self, token: NodeToken, slots: Vec<Slot>) -> Result<(), StoreError> {
        let conn = self.pools.other().await.map_err(Fault::into_store)?;
        slots::release(&conn, token, &slots).await.map_err(Fault::into_commit_error)
    }

    async fn remove_node(&self, token: NodeToken, beat: u64) -> Result<bool, StoreError> {
        let conn = self.pools.other().await.map_err(Fault::into_store)?;
        conn.begin().await.map_err(Fault::into_store)?;
        conn.end(slots::remove(&conn, token, beat).await).await
    }

    async fn wake(&self, from: NodeToken, to: Option<NodeToken>, wakes: Vec<Wake>) -> Result<(), StoreError> {
        self.mouth.wake(from, to, &wakes).await.map_err(Fault::into_store)
    }

    async fn woken(&self, token: NodeToken) -> Result<Vec<Wake>, StoreError> {
        self.ear.woken(token, &self.mouth).await.map_err(Fault::into_store)
    }
}
