//! One connection, lent by a pool: statements, transactions, and a limit of time over each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use deadpool_postgres::{Client, Object};
use postrider_ports::{Clock, StoreError};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Row, Statement};

use crate::fault::{Fault, Outcome, unavailable};
use crate::param::{Param, typed, values};
use crate::pool::BY_INDEX;

/// What all connections of a store go by.
pub(crate) struct Manner {
    pub(crate) clock: Arc<dyn Clock>,
    /// How long an answer is waited for: a little longer than the server's own limit of a statement, for where the network is gone.
    pub(crate) answer_time_max: Duration,
    /// Statements are prepared once for each connection. Not through a pooler that knows nothing of it: then each is sent whole.
    pub(crate) is_prepared: bool,
    /// Counts how often all connections were made anew. Written by `Pools::renew`.
    pub(crate) renewals: AtomicU64,
}

/// A connection. Where it is dropped within a transaction, has not answered in time, or leads to a server that takes no writes any more,
/// it is closed and not lent again.
pub(crate) struct Conn {
    client: Option<Client>,
    manner: Arc<Manner>,
    /// Within a transaction, or in a state that nobody knows. Written by the statements, read at the end.
    is_spoilt: AtomicBool,
    /// Something was not answered in time: what is sent now stands in line behind it. Written by the statements, read at the end.
    is_silent: AtomicBool,
    /// How often all had been made anew when it was lent.
    lent_at: u64,
}

impl Conn {
    pub(crate) fn new(client: Client, manner: Arc<Manner>) -> Self {
        Self {
            client: Some(client),
            lent_at: manner.renewals.load(Ordering::Relaxed),
            manner,
            is_spoilt: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
        }
    }

    /// Runs a statement, and gives its rows.
    pub(crate) async fn query(&self, sql: &str, params: &[&dyn Param]) -> Outcome<Vec<Row>> {
        let client = self.client()?;
        self.in_time(async {
            match self.prepared(client, sql, params).await? {
                Some(statement) => client.query(&statement, &values(params)).await,
                None => client.query_typed(sql, &typed(params)).await,
            }
        })
        .await
    }

    /// Runs a statement that gives at most one row.
    pub(crate) async fn query_opt(&self, sql: &str, params: &[&dyn Param]) -> Outcome<Option<Row>> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// Runs a statement that gives one row at least: the first.
    pub(crate) async fn query_one(&self, sql: &str, params: &[&dyn Param]) -> Outcome<Row> {
        let row = self.query_opt(sql, params).await?;
        row.ok_or_else(|| unavailable("the server gave no row where there is always one").into())
    }

    /// Runs a statement, and tells how many rows it has touched.
    pub(crate) async fn execute(&self, sql: &str, params: &[&dyn Param]) -> Outcome<u64> {
        let client = self.client()?;
        self.in_time(async {
            match self.prepared(client, sql, params).await? {
                Some(statement) => client.execute(&statement, &values(params)).await,
                None => client.execute_typed(sql, &typed(params)).await,
            }
        })
        .await
    }

    /// The statement as this connection has it prepared; `None` where none are, and it is sent whole.
    async fn prepared(&self, client: &Client, sql: &str, params: &[&dyn Param]) -> Result<Option<Statement>, tokio_postgres::Error> {
        if !self.manner.is_prepared {
            return Ok(None);
        }
        let types: Vec<Type> = params.iter().map(|param| param.sql_type()).collect();
        client.prepare_typed_cached(sql, &types).await.map(Some)
    }

    /// Runs statements without parameters, parted by semicolons.
    pub(crate) async fn batch(&self, sql: &str) -> Outcome<()> {
        let client = self.client()?;
        self.in_time(client.batch_execute(sql)).await
    }

    /// The same, for what may take as long as it needs.
    pub(crate) async fn batch_without_limit(&self, sql: &str) -> Outcome<()> {
        let client = self.client()?;
        let was_spoilt = self.is_spoilt.swap(true, Ordering::Relaxed);
        client.batch_execute(sql).await?;
        self.is_spoilt.store(was_spoilt, Ordering::Relaxed);
        Ok(())
    }

    /// It is not lent again unless `unspoil` follows: what was set on it is not for others.
    pub(crate) fn spoil(&self) {
        self.is_spoilt.store(true, Ordering::Relaxed);
    }

    /// It is as it was lent.
    pub(crate) fn unspoil(&self) {
        self.is_spoilt.store(false, Ordering::Relaxed);
    }

    /// Begins a transaction that writes: each of its statements sees what was committed before it.
    pub(crate) async fn begin(&self) -> Outcome<()> {
        self.is_spoilt.store(true, Ordering::Relaxed);
        self.batch("BEGIN").await
    }

    /// The same, for what waits for no lock for longer than this.
    pub(crate) async fn begin_impatient(&self, lock_time_max: Duration) -> Outcome<()> {
        self.is_spoilt.store(true, Ordering::Relaxed);
        let wait = lock_time_max.as_millis();
        self.batch(&format!("BEGIN; SET LOCAL lock_timeout = {wait}")).await
    }

    /// The same, for what looks at few rows of much.
    pub(crate) async fn begin_by_index(&self) -> Outcome<()> {
        self.is_spoilt.store(true, Ordering::Relaxed);
        self.batch(&format!("BEGIN; {BY_INDEX}")).await
    }

    /// Begins a transaction whose reads are all of one snapshot.
    pub(crate) async fn begin_snapshot(&self) -> Outcome<()> {
        self.is_spoilt.store(true, Ordering::Relaxed);
        self.batch(&format!("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; {BY_INDEX}"))
            .await
    }

    /// Ends the transaction: commits where `done` is a result, and takes all back where it is not.
    ///
    /// # Errors
    /// What `done` says; `Unknown` where the answer to the COMMIT was lost.
    pub(crate) async fn end<T>(&self, done: Outcome<T>) -> Result<T, StoreError> {
        match done {
            Ok(value) => match self.batch("COMMIT").await {
                Ok(()) => {
                    self.is_spoilt.store(false, Ordering::Relaxed);
                    Ok(value)
                }
                Err(fault) => Err(fault.into_commit_error()),
            },
            Err(fault) => {
                self.roll_back().await;
                Err(fault.into_store())
            }
        }
    }

    /// Takes the transaction back. Where that fails too, the connection is not lent again, and the server does it: so where nothing is
    /// answered any more, nobody waits for this.
    pub(crate) async fn roll_back(&self) {
        if !self.is_silent.load(Ordering::Relaxed) && self.batch("ROLLBACK").await.is_ok() {
            self.is_spoilt.store(false, Ordering::Relaxed);
        }
    }

    fn client(&self) -> Outcome<&Client> {
        self.client.as_ref().ok_or_else(|| unavailable("the connection is closed").into())
    }

    async fn in_time<T>(&self, call: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Outcome<T> {
        let was_spoilt = self.is_spoilt.swap(true, Ordering::Relaxed);
        let clock = &self.manner.clock;
        let deadline = clock.mono() + self.manner.answer_time_max;
        let answer = tokio::select! {
            biased;
            answer = call => answer,
            () = clock.sleep_until(deadline) => {
                self.is_silent.store(true, Ordering::Relaxed);
                return Err(Fault::Unanswered);
            }
        };
        let is_read_only = matches!(&answer, Err(error) if error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION));
        self.is_spoilt.store(was_spoilt || is_read_only, Ordering::Relaxed);
        Ok(answer?)
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        let is_outdated = self.lent_at != self.manner.renewals.load(Ordering::Relaxed);
        if (is_outdated || self.is_spoilt.load(Ordering::Relaxed))
            && let Some(client) = self.client.take()
        {
            // Out of the pool: what it was doing is broken off, and taken back by the server.
            drop(Object::take(client));
        }
    }
}
