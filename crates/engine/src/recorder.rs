//! Recorder: outcomes, one commit shared by all that wait at that moment, and back to the lanes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use postrider_lanes::Input;
use postrider_model::health::Health;
use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::time::Monotonic;
use postrider_ports::store::{OutcomeRecord, Recorded};
use postrider_ports::{Clock, Store};
use tokio::sync::mpsc;

use crate::backlog::Backlog;
use crate::counters::Counters;
use crate::dispatch::Message;
use crate::failures::Failures;

/// Outcomes in one commit.
const GROUP_OUTCOMES_MAX: usize = 1_024;
/// Outcomes that make a group worth its while at once.
const GROUP_OUTCOMES_FULL: usize = 256;
/// The first pause after the store did not take outcomes; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest of these pauses.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long a lane is not told of an outcome that the store refuses: the delivery is due as before, and would be sent again at once. A
/// server that stops, or a slot that is handed over, waits as long.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);
/// Such outcomes at one time. Of what is beyond that lanes are told at once, so that no receiver can have all that may be unrecorded.
const REFUSED_MAX: usize = 1_024;

/// What is to be recorded.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are outcomes, which a box would allocate for each"
)]
pub(crate) enum Record {
    /// What happened to a delivery.
    Outcome(WebhookId, OutcomeRecord),
    /// How a receiver is doing.
    Health(AccountId, WebhookId, Health),
}

/// Takes all records that wait, and commits them together. Nothing is dropped while the store is gone: the lanes stop sending when too
/// many outcomes wait (`Input::Recorded` lets them go on), so the channel's capacity is that limit.
pub(crate) struct Recorder {
    pub(crate) records: mpsc::Receiver<Record>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) dispatch: mpsc::Sender<Message>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) failures: Failures,
    pub(crate) counters: Arc<Counters>,
    /// From the begin of one group to that of the next, unless `GROUP_OUTCOMES_FULL` wait.
    pub(crate) interval: Duration,
    /// Of which lanes are told later, and when; the first to be told comes first.
    pub(crate) refused: Refused,
}

/// Deliveries whose outcomes the store refused: at most `REFUSED_MAX`.
pub(crate) type Refused = VecDeque<(Monotonic, (WebhookId, DeliveryId))>;

impl Recorder {
    pub(crate) async fn run(mut self) {
        let mut waiting = Vec::with_capacity(GROUP_OUTCOMES_MAX);
        while self.take(&mut waiting).await > 0 {
            let mut outcomes = Vec::with_capacity(waiting.len());
            let mut named = Vec::with_capacity(waiting.len());
            let mut health = Vec::new();
            for record in waiting.drain(..) {
                match record {
                    Record::Outcome(webhook, outcome) => {
                        named.push((webhook, outcome.delivery));
                        outcomes.push(outcome);
                    }
                    Record::Health(account, webhook, learned) => health.push((account, webhook, learned)),
                }
            }
            let is_next_at = self.clock.mono() + self.interval;
            if !outcomes.is_empty() {
                let recorded = self.record(&outcomes).await;
                self.note(&named, &outcomes, &recorded);
                let known = self.keep_back(named, &recorded);
                self.tell(known).await;
            }
            self.store_health(health).await;
            if !self.interval.is_zero() && self.records.len() < GROUP_OUTCOMES_FULL {
                self.clock.sleep_until(is_next_at).await;
            }
        }
    }

    /// Waits for records, and tells lanes meanwhile of what was kept back. Zero where none comes any more.
    async fn take(&mut self, waiting: &mut Vec<Record>) -> usize {
        loop {
            let now = self.clock.mono();
            let due = self.refused.iter().take_while(|(at, _)| *at <= now).count();
            let named: Vec<_> = self.refused.drain(..due).map(|(_, named)| named).collect();
            if !named.is_empty() {
                self.tell(named).await;
            }
            let Some((until, _)) = self.refused.front().copied() else {
                return self.records.recv_many(waiting, GROUP_OUTCOMES_MAX).await;
            };
            tokio::select! {
                biased;
                taken = self.records.recv_many(waiting, GROUP_OUTCOMES_MAX) => return taken,
                () = self.clock.sleep_until(until) => {}
            }
        }
    }

    /// Keeps back what the store refuses. The others, of which the lanes are told now.
    fn keep_back(&mut self, named: Vec<(WebhookId, DeliveryId)>, recorded: &[Recorded]) -> Vec<(WebhookId, DeliveryId)> {
        if !recorded.contains(&Recorded::Refused) {
            return named;
        }
        let until = self.clock.mono() + REFUSED_PAUSE;
        let pairs = named.into_iter().zip(recorded);
        pairs
            .filter_map(|(named, recorded)| {
                let is_kept = *recorded == Recorded::Refused && self.refused.len() < REFUSED_MAX;
                if is_kept {
                    self.refused.push_back((until, named));
                }
                (!is_kept).then_some(named)
            })
            .collect()
    }

    /// Ends only when the store has them. What came of each.
    async fn record(&self, outcomes: &[OutcomeRecord]) -> Vec<Recorded> {
        let mut pause = PAUSE_MIN;
        let recorded = loop {
            match self.store.record_outcomes(outcomes.to_vec()).await {
                Ok(recorded) => break recorded,
                Err(error) => tracing::warn!(%error, waiting = outcomes.len(), "outcomes cannot be recorded yet, trying again"),
            }
            self.clock.sleep_until(self.clock.mono() + pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        };
        for response in outcomes.iter().filter_map(|outcome| outcome.attempt.as_ref()?.response.as_ref()) {
            self.backlog.give_back(response);
        }
        recorded
    }

    /// Before the lanes hear of it: once they know of the last outcome, a server that stops ends this task.
    fn note(&mut self, named: &[(WebhookId, DeliveryId)], outcomes: &[OutcomeRecord], recorded: &[Recorded]) {
        self.counters.recorded(outcomes.iter().zip(recorded.iter().copied()));
        let webhooks = named.iter().map(|(webhook, _)| *webhook);
        let group = webhooks.zip(outcomes).zip(recorded);
        let group = group.map(|((webhook, outcome), recorded)| (webhook, outcome, *recorded));
        self.failures.tell(self.clock.mono(), group);
    }

    async fn tell(&self, recorded: Vec<(WebhookId, DeliveryId)>) {
        let inputs = recorded
            .into_iter()
            .map(|(webhook, delivery)| Input::Recorded { webhook, delivery })
            .collect();
        if self.dispatch.send(Message::Inputs(inputs)).await.is_err() {
            tracing::debug!("recorded after dispatch had ended");
        }
    }

    async fn store_health(&self, health: Vec<(AccountId, WebhookId, Health)>) {
        if !health.is_empty()
            && let Err(error) = self.store.store_health(health).await
        {
            // It is learned again from the next attempts.
            tracing::debug!(%error, "the health of receivers was not stored");
        }
    }
}
