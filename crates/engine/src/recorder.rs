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
/// When an outcome is recorded again whose row others hold: the store has waited for it as long already, and all others wait behind it.
const LOCKED_PAUSE: Duration = Duration::from_secs(2);

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
    pub(crate) kept_back: KeptBack,
}

/// What is for later, in the order in which its time comes. Lanes stop sending when too much is unrecorded, this included.
#[derive(Default)]
pub(crate) struct KeptBack {
    /// Deliveries whose outcomes the store refused, and when their lanes are told. At most `LanesConfig::unrecorded_max`.
    refused: VecDeque<(Monotonic, (WebhookId, DeliveryId))>,
    /// Outcomes whose rows others hold, and when they are recorded again. At most `LanesConfig::unrecorded_max`.
    locked: VecDeque<(Monotonic, (WebhookId, OutcomeRecord))>,
}

impl KeptBack {
    fn next(&self) -> Option<Monotonic> {
        let refused = self.refused.front().map(|(at, _)| *at);
        let locked = self.locked.front().map(|(at, _)| *at);
        refused.into_iter().chain(locked).min()
    }
}

/// Those whose time has come.
fn take_due<T>(later: &mut VecDeque<(Monotonic, T)>, now: Monotonic) -> impl Iterator<Item = T> {
    let due = later.iter().take_while(|(at, _)| *at <= now).count();
    later.drain(..due).map(|(_, one)| one)
}

/// Outcomes that are recorded together, each with its webhook.
type Group = (Vec<(WebhookId, DeliveryId)>, Vec<OutcomeRecord>);

impl Recorder {
    pub(crate) async fn run(mut self) {
        let mut waiting = Vec::with_capacity(GROUP_OUTCOMES_MAX);
        while self.take(&mut waiting).await > 0 {
            let mut group: Group = (Vec::with_capacity(waiting.len()), Vec::with_capacity(waiting.len()));
            let mut health = Vec::new();
            for record in waiting.drain(..) {
                match record {
                    Record::Outcome(webhook, outcome) => {
                        group.0.push((webhook, outcome.delivery));
                        group.1.push(outcome);
                    }
                    Record::Health(account, webhook, learned) => health.push((account, webhook, learned)),
                }
            }
            let is_next_at = self.clock.mono() + self.interval;
            if !group.1.is_empty() {
                let recorded = self.record(&group.1).await;
                let ((named, outcomes), recorded) = self.keep_back_locked(group, recorded);
                self.note(&named, &outcomes, &recorded);
                let known = self.keep_back_refused(named, &recorded);
                self.tell(known).await;
            }
            self.store_health(health).await;
            if !self.interval.is_zero() && self.records.len() < GROUP_OUTCOMES_FULL {
                self.clock.sleep_until(is_next_at).await;
            }
        }
    }

    /// Waits for records, or until something that was kept back is to be recorded; tells lanes meanwhile of what they are told later. Zero where
    /// no records come any more.
    async fn take(&mut self, waiting: &mut Vec<Record>) -> usize {
        loop {
            let now = self.clock.mono();
            let refused: Vec<_> = take_due(&mut self.kept_back.refused, now).collect();
            if !refused.is_empty() {
                self.tell(refused).await;
            }
            let locked = take_due(&mut self.kept_back.locked, now);
            waiting.extend(locked.map(|(webhook, outcome)| Record::Outcome(webhook, outcome)));
            if !waiting.is_empty() {
                return waiting.len();
            }
            let Some(until) = self.kept_back.next() else {
                return self.records.recv_many(waiting, GROUP_OUTCOMES_MAX).await;
            };
            tokio::select! {
                biased;
                taken = self.records.recv_many(waiting, GROUP_OUTCOMES_MAX) => return taken,
                () = self.clock.sleep_until(until) => {}
            }
        }
    }

    /// Takes out what is to be recorded again. The others, and what came of each.
    fn keep_back_locked(&mut self, group: Group, recorded: Vec<Recorded>) -> (Group, Vec<Recorded>) {
        if !recorded.contains(&Recorded::Locked) {
            return (group, recorded);
        }
        let until = self.clock.mono() + LOCKED_PAUSE;
        let (named, outcomes) = group;
        let (mut group, mut judged) = (Group::default(), Vec::with_capacity(recorded.len()));
        for ((named, outcome), recorded) in named.into_iter().zip(outcomes).zip(recorded) {
            if recorded == Recorded::Locked {
                self.kept_back.locked.push_back((until, (named.0, outcome)));
            } else {
                group.0.push(named);
                group.1.push(outcome);
                judged.push(recorded);
            }
        }
        tracing::warn!(
            locked = self.kept_back.locked.len(),
            "outcomes wait for rows that others hold, another node that stands still perhaps"
        );
        (group, judged)
    }

    /// Keeps back of which lanes are told later. The others, of which they are told now.
    fn keep_back_refused(&mut self, named: Vec<(WebhookId, DeliveryId)>, recorded: &[Recorded]) -> Vec<(WebhookId, DeliveryId)> {
        if !recorded.contains(&Recorded::Refused) {
            return named;
        }
        let until = self.clock.mono() + REFUSED_PAUSE;
        let mut known = Vec::with_capacity(named.len());
        for (named, recorded) in named.into_iter().zip(recorded) {
            match recorded {
                Recorded::Refused => self.kept_back.refused.push_back((until, named)),
                _ => known.push(named),
            }
        }
        known
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
        let ended = outcomes
            .iter()
            .zip(&recorded)
            .filter(|(_, recorded)| **recorded != Recorded::Locked);
        for response in ended.filter_map(|(outcome, _)| outcome.attempt.as_ref()?.response.as_ref()) {
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
