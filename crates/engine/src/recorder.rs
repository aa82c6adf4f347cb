//! Recorder: outcomes, one commit shared by all that wait at that moment, and back to the lanes.

use std::sync::Arc;
use std::time::Duration;

use postrider_lanes::Input;
use postrider_model::health::Health;
use postrider_model::id::{AccountId, DeliveryId, WebhookId};
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
}

impl Recorder {
    pub(crate) async fn run(mut self) {
        let mut waiting = Vec::with_capacity(GROUP_OUTCOMES_MAX);
        while self.records.recv_many(&mut waiting, GROUP_OUTCOMES_MAX).await > 0 {
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
                self.tell(named).await;
            }
            self.store_health(health).await;
            if !self.interval.is_zero() && self.records.len() < GROUP_OUTCOMES_FULL {
                self.clock.sleep_until(is_next_at).await;
            }
        }
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
