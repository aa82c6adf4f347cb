//! The one thread that writes: it takes all calls that wait into one transaction, commits once, and answers them all.

use postrider_model::limits::TRANSACTION_ROWS_MAX;
use postrider_ports::StoreError;
use rusqlite::Connection;
use tokio::sync::mpsc;

use crate::call::Call;
use crate::checkpoint::Checkpointer;
use crate::fault::{Fault, Outcome};
use crate::tx::{Memory, Tx};

/// Calls that wait for the writer; who comes later waits for room.
pub(crate) const CALLS_WAITING_MAX: usize = 1_024;

/// A call as it comes through the channel.
pub(crate) type BoxedCall = Box<dyn Call>;

/// One unit of one call of a group.
#[derive(Clone, Copy)]
struct Place {
    call: usize,
    unit: usize,
}

/// Who was to blame for a transaction that failed.
enum Blame {
    /// The unit at this index of the batch; the others can go without it.
    One(usize, StoreError),
    /// Nobody: the store cannot take any of them.
    Nobody(StoreError),
}

/// The state of the thread.
pub(crate) struct Writer {
    conn: Connection,
    memory: Memory,
    checkpointer: Checkpointer,
}

impl Writer {
    /// Owns the connection that writes.
    pub(crate) fn new(conn: Connection, memory: Memory, checkpointer: Checkpointer) -> Self {
        Self {
            conn,
            memory,
            checkpointer,
        }
    }

    /// Serves until the last sender is gone.
    pub(crate) fn run(mut self, mut calls: mpsc::Receiver<BoxedCall>) {
        while let Some(first) = calls.blocking_recv() {
            let mut rows = rows_of(&first);
            let mut group = vec![first];
            while rows < TRANSACTION_ROWS_MAX && group.len() < CALLS_WAITING_MAX {
                let Ok(next) = calls.try_recv() else { break };
                rows += rows_of(&next);
                group.push(next);
            }
            self.serve(group);
            self.checkpointer.after_commit(&self.conn);
        }
        self.checkpointer.at_end(&self.conn);
    }

    /// Does a group in as few transactions as its rows fit in.
    fn serve(&mut self, group: Vec<BoxedCall>) {
        let mut waiting: Vec<Option<BoxedCall>> = group.into_iter().map(Some).collect();
        let mut batch = Vec::new();
        let mut batch_rows = 0;
        for call in 0..waiting.len() {
            let units = waiting.get(call).and_then(Option::as_ref).map_or(0, |call| call.units());
            for unit in 0..units {
                let rows = waiting.get(call).and_then(Option::as_ref).map_or(0, |call| call.rows(unit));
                if batch_rows + rows > TRANSACTION_ROWS_MAX && !batch.is_empty() {
                    self.commit(&mut waiting, &mut batch);
                    batch_rows = 0;
                    answer(waiting.iter_mut().take(call));
                }
                batch.push(Place { call, unit });
                batch_rows += rows;
            }
        }
        self.commit(&mut waiting, &mut batch);
        answer(waiting.iter_mut());
    }

    /// Stores a batch. The guilty one is taken out until the rest can be stored.
    fn commit(&mut self, calls: &mut [Option<BoxedCall>], batch: &mut Vec<Place>) {
        while !batch.is_empty() {
            match self.attempt(calls, batch) {
                Ok(()) => break,
                Err(Blame::One(at, error)) => {
                    tracing::warn!(%error, "one call of a group cannot be stored");
                    let guilty = batch.remove(at);
                    if let Some(call) = calls.get_mut(guilty.call).and_then(Option::as_mut) {
                        call.refuse(guilty.unit, error);
                    }
                }
                Err(Blame::Nobody(error)) => {
                    tracing::error!(%error, "a group cannot be stored");
                    batch.iter().for_each(|place| fail(calls, *place, error.clone()));
                    break;
                }
            }
        }
        batch.clear();
    }

    /// One transaction over the whole batch.
    fn attempt(&mut self, calls: &mut [Option<BoxedCall>], batch: &[Place]) -> Result<(), Blame> {
        let nobody = |fault: Fault| Blame::Nobody(fault.into_store());
        execute(&self.conn, "BEGIN IMMEDIATE").map_err(nobody)?;
        let result = self.fill(calls, batch);
        if let Err(blame) = result {
            self.roll_back();
            return Err(blame);
        }
        if let Err(fault) = execute(&self.conn, "COMMIT") {
            self.roll_back();
            return Err(Blame::Nobody(fault.into_commit_error()));
        }
        Ok(())
    }

    fn fill(&mut self, calls: &mut [Option<BoxedCall>], batch: &[Place]) -> Result<(), Blame> {
        let nobody = |fault: Fault| Blame::Nobody(fault.into_store());
        self.memory.refresh(&self.conn).map_err(nobody)?;
        let mut tx = Tx::new(&self.conn, &mut self.memory);
        for (at, place) in batch.iter().enumerate() {
            let Some(call) = calls.get_mut(place.call).and_then(Option::as_mut) else {
                continue;
            };
            if let Err(fault) = call.run(place.unit, &mut tx) {
                let is_guilty = fault.is_of_one_call();
                let error = fault.into_store();
                return Err(if is_guilty { Blame::One(at, error) } else { Blame::Nobody(error) });
            }
        }
        tx.finish().map_err(nobody)
    }

    fn roll_back(&mut self) {
        self.memory.forget();
        // SQLite has rolled back by itself after some errors: a second time would only be an error again.
        if !self.conn.is_autocommit()
            && let Err(fault) = execute(&self.conn, "ROLLBACK")
        {
            tracing::error!(error = %fault.into_store(), "a transaction could not be rolled back");
        }
    }
}

fn execute(conn: &Connection, sql: &str) -> Outcome<()> {
    conn.prepare_cached(sql)?.execute([])?;
    Ok(())
}

fn rows_of(call: &BoxedCall) -> usize {
    (0..call.units()).map(|unit| call.rows(unit)).sum()
}

fn fail(calls: &mut [Option<BoxedCall>], place: Place, error: StoreError) {
    if let Some(call) = calls.get_mut(place.call).and_then(Option::as_mut) {
        call.fail(place.unit, error);
    }
}

fn answer<'a>(calls: impl Iterator<Item = &'a mut Option<BoxedCall>>) {
    calls.filter_map(Option::take).for_each(|call| call.answer());
}
