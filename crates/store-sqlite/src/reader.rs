//! Connections that read, each with a limit of time: an open read keeps the log from being begun anew.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use postrider_model::time::Monotonic;
use postrider_ports::{Clock, StoreError};
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::checkpoint::Gate;
use crate::connection;
use crate::fault::{Fault, Outcome, unavailable};

/// Steps of SQLite's machine between two looks at the clock.
const STEPS_BETWEEN_LOOKS: i32 = 2_000;

/// A read in one snapshot, with the moment at which it must have ended.
pub(crate) struct Snapshot<'a> {
    pub(crate) conn: &'a Connection,
    clock: &'a dyn Clock,
    deadline: Monotonic,
}

impl Snapshot<'_> {
    /// To be asked in loops over many short statements.
    pub(crate) fn check_time(&self) -> Outcome<()> {
        if self.clock.mono() > self.deadline {
            return Err(Fault::Store(unavailable("the read took too long")));
        }
        Ok(())
    }
}

struct ReadConnection {
    conn: Connection,
    /// When the read under way must have ended, in nanoseconds. Written by reads, read by SQLite's progress handler.
    deadline: Arc<AtomicU64>,
}

/// A pool of connections that read.
pub(crate) struct Readers {
    /// Those that are free.
    free: Mutex<Vec<ReadConnection>>,
    /// One for each connection.
    permits: Semaphore,
    gate: Gate,
    clock: Arc<dyn Clock>,
    time_max: Duration,
}

impl Readers {
    /// Opens `count` connections.
    pub(crate) fn open(path: &Path, count: usize, gate: Gate, clock: Arc<dyn Clock>, time_max: Duration) -> Outcome<Self> {
        let free = (0..count)
            .map(|_| open_one(path, &clock))
            .collect::<Outcome<Vec<ReadConnection>>>()?;
        Ok(Self {
            free: Mutex::new(free),
            permits: Semaphore::new(count),
            gate,
            clock,
            time_max,
        })
    }

    /// Reads in one snapshot, on a thread that may block.
    pub(crate) async fn read<T, F>(self: &Arc<Self>, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Snapshot<'_>) -> Outcome<T> + Send + 'static,
    {
        let permit = self.permits.acquire().await.map_err(|_| unavailable("the store is closed"))?;
        let readers = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || readers.read_now(read)).await;
        drop(permit);
        done.map_err(|_| unavailable("a read was broken off"))?.map_err(Fault::into_store)
    }

    fn read_now<T>(&self, read: impl FnOnce(&Snapshot<'_>) -> Outcome<T>) -> Outcome<T> {
        let reader = self
            .free
            .lock()
            .pop()
            .ok_or_else(|| Fault::Store(unavailable("no connection is free")))?;
        let result = self.read_on(&reader, read);
        self.free.lock().push(reader);
        result
    }

    fn read_on<T>(&self, reader: &ReadConnection, read: impl FnOnce(&Snapshot<'_>) -> Outcome<T>) -> Outcome<T> {
        let _shared = self.gate.read();
        let deadline = self.clock.mono() + self.time_max;
        reader.deadline.store(deadline.as_nanos(), Ordering::Relaxed);
        let transaction = reader.conn.unchecked_transaction()?;
        // Dropping the transaction ends it: there is nothing to commit.
        read(&Snapshot {
            conn: &transaction,
            clock: &*self.clock,
            deadline,
        })
    }
}

fn open_one(path: &Path, clock: &Arc<dyn Clock>) -> Outcome<ReadConnection> {
    let mut conn = connection::open_reader(path)?;
    let deadline = Arc::new(AtomicU64::new(u64::MAX));
    let (at, clock) = (Arc::clone(&deadline), Arc::clone(clock));
    conn.progress_handler(
        STEPS_BETWEEN_LOOKS,
        Some(move || clock.mono().as_nanos() > at.load(Ordering::Relaxed)),
    )?;
    Ok(ReadConnection { conn, deadline })
}
