//! What the writer is asked to do.

use postrider_ports::StoreError;
use tokio::sync::oneshot;

use crate::fault::Outcome;
use crate::tx::Tx;

/// A call of the store that writes. It falls into units: each is stored whole or not at all, and never fails another.
pub(crate) trait Call: Send {
    /// How many units it has.
    fn units(&self) -> usize;
    /// About how many rows a unit writes.
    fn rows(&self, unit: usize) -> usize;
    /// Does a unit, and keeps what came of it. It is done again where the transaction was rolled back.
    fn run(&mut self, unit: usize, tx: &mut Tx<'_>) -> Outcome<()>;
    /// A unit was not stored: the store is gone, for all of its group.
    fn fail(&mut self, unit: usize, error: StoreError);
    /// A unit was not stored, and it alone is to blame.
    fn refuse(&mut self, unit: usize, error: StoreError) {
        self.fail(unit, error);
    }
    /// Every unit is durable or has failed: tells the caller.
    fn answer(self: Box<Self>);
}

/// A call of one unit.
pub(crate) struct One<T, F> {
    rows: usize,
    run: F,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> One<T, F> {
    /// Does `run` for who holds the other end of `reply`.
    pub(crate) fn new(rows: usize, run: F, reply: oneshot::Sender<Result<T, StoreError>>) -> Self {
        Self {
            rows,
            run,
            result: None,
            reply,
        }
    }
}

impl<T: Send, F: FnMut(&mut Tx<'_>) -> Outcome<T> + Send> Call for One<T, F> {
    fn units(&self) -> usize {
        1
    }

    fn rows(&self, _unit: usize) -> usize {
        self.rows
    }

    fn run(&mut self, _unit: usize, tx: &mut Tx<'_>) -> Outcome<()> {
        self.result = Some(Ok((self.run)(tx)?));
        Ok(())
    }

    fn fail(&mut self, _unit: usize, error: StoreError) {
        self.result = Some(Err(error));
    }

    fn answer(self: Box<Self>) {
        if let Some(result) = self.result {
            // Who asked may have gone away meanwhile: nobody is left to tell.
            let _ = self.reply.send(result);
        }
    }
}
