//! Outcomes of attempts: compare-and-set on their delivery.

use postrider_model::attempt::Attempt;
use postrider_model::id::DeliveryId;
use postrider_ports::StoreError;
use postrider_ports::store::{OutcomeRecord, Recorded};
use rusqlite::params;
use tokio::sync::oneshot;

use crate::call::Call;
use crate::codec;
use crate::deliveries::{self, Stored};
use crate::fault::Outcome;
use crate::tx::Tx;

/// Rows that an outcome writes: its delivery, the queue, its attempt.
const ROWS: usize = 3;

/// A call of `record_outcomes`: each outcome is a unit.
pub(crate) struct RecordOutcomes {
    group: Vec<OutcomeRecord>,
    results: Vec<Recorded>,
    failed: Option<StoreError>,
    /// The first that cannot be recorded, and why.
    refused: Option<(DeliveryId, StoreError)>,
    reply: oneshot::Sender<Result<Vec<Recorded>, StoreError>>,
}

impl RecordOutcomes {
    /// Records `group` for who holds the other end of `reply`.
    pub(crate) fn new(group: Vec<OutcomeRecord>, reply: oneshot::Sender<Result<Vec<Recorded>, StoreError>>) -> Self {
        let results = vec![Recorded::Superseded; group.len()];
        Self {
            group,
            results,
            failed: None,
            refused: None,
            reply,
        }
    }
}

impl Call for RecordOutcomes {
    fn units(&self) -> usize {
        self.group.len()
    }

    fn rows(&self, _unit: usize) -> usize {
        ROWS
    }

    fn run(&mut self, unit: usize, tx: &mut Tx<'_>) -> Outcome<()> {
        if let (Some(outcome), Some(result)) = (self.group.get(unit), self.results.get_mut(unit)) {
            *result = record(tx, outcome)?;
        }
        Ok(())
    }

    fn fail(&mut self, _unit: usize, error: StoreError) {
        self.failed = Some(error);
    }

    fn refuse(&mut self, unit: usize, error: StoreError) {
        if let (Some(outcome), Some(result)) = (self.group.get(unit), self.results.get_mut(unit)) {
            self.refused.get_or_insert((outcome.delivery, error));
            *result = Recorded::Refused;
        }
    }

    fn answer(self: Box<Self>) {
        if let Some((delivery, error)) = &self.refused {
            let outcomes = self.results.iter().filter(|result| **result == Recorded::Refused).count();
            tracing::error!(outcomes, %delivery, %error, "outcomes cannot be recorded, and are given up, that of this delivery among them");
        }
        let answer = match self.failed {
            Some(error) => Err(error),
            None => Ok(self.results),
        };
        // Who asked may have gone away meanwhile: nobody is left to tell.
        let _ = self.reply.send(answer);
    }
}

fn record(tx: &mut Tx<'_>, outcome: &OutcomeRecord) -> Outcome<Recorded> {
    let Some(mut stored) = deliveries::find(tx.conn, outcome.delivery)?.filter(|stored| stored.account == outcome.account) else {
        return Ok(Recorded::Superseded);
    };
    let before = stored.state.status;
    let Ok(after) = stored.judged().apply(outcome.change, outcome.at) else {
        return Ok(Recorded::Superseded);
    };
    stored.state.take(&after);
    // A retry that its owner asked for goes to the head once; a test always does.
    stored.state.is_urgent = stored.event.is_none();
    if let Some(attempt) = &outcome.attempt {
        keep_attempt(tx, &mut stored, attempt)?;
    }
    deliveries::rewrite(tx, &stored, before)?;
    Ok(Recorded::Applied)
}

fn keep_attempt(tx: &mut Tx<'_>, stored: &mut Stored, attempt: &Attempt) -> Outcome<()> {
    let url = tx.url_number(stored.webhook, &attempt.url)?;
    if let Some(success) = codec::success_of(attempt, url) {
        stored.state.success = Some(success);
        return Ok(());
    }
    tx.conn
        .prepare_cached("INSERT OR REPLACE INTO attempts (delivery, number, attempt) VALUES (?, ?, ?)")?
        .execute(params![
            stored.id.as_u128().to_be_bytes(),
            attempt.number,
            codec::encode_attempt(attempt, url)
        ])?;
    Ok(())
}
