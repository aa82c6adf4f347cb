//! Refill: from the store into lanes that have room. And the sweep beneath: it finds work of which memory knows nothing.

use std::sync::Arc;
use std::time::Duration;

use postrider_lanes::Input;
use postrider_lanes::input::{HostKey, LaneWebhook, Standing};
use postrider_model::health::Health;
use postrider_model::id::WebhookId;
use postrider_model::queue::Position;
use postrider_model::slot::SlotSet;
use postrider_ports::store::{DueAnswer, DueAsk, WaitingAsk};
use postrider_ports::{Clock, Store, StoreError};
use tokio::sync::mpsc;

use crate::directory::Directory;
use crate::dispatch::Message;

/// Lanes that are refilled by one call of the store.
const GROUP_LANES_MAX: usize = 64;
/// Webhooks that the sweep reads at a time.
const SWEEP_PAGE: usize = 1_000;

/// Carries out `Command::Refill`: many lanes in one read.
pub(crate) struct Refill {
    pub(crate) asks: mpsc::Receiver<DueAsk>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) dispatch: mpsc::Sender<Message>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Refill {
    pub(crate) async fn run(mut self) {
        let mut waiting = Vec::with_capacity(GROUP_LANES_MAX);
        while self.asks.recv_many(&mut waiting, GROUP_LANES_MAX).await > 0 {
            let asks = std::mem::take(&mut waiting);
            let webhooks: Vec<WebhookId> = asks.iter().map(|ask| ask.webhook).collect();
            let inputs = match self.fetch(asks).await {
                Ok(inputs) => inputs,
                Err(error) => {
                    tracing::warn!(%error, lanes = webhooks.len(), "waiting deliveries cannot be read yet, trying again");
                    webhooks.into_iter().map(|webhook| Input::RefillFailed { webhook }).collect()
                }
            };
            if self.dispatch.send(Message::Inputs(inputs)).await.is_err() {
                break;
            }
        }
    }

    async fn fetch(&self, asks: Vec<DueAsk>) -> Result<Vec<Input>, StoreError> {
        let mut inputs = Vec::with_capacity(asks.len());
        let mut sought = Vec::with_capacity(asks.len());
        for mut ask in asks {
            let lane = match self.directory.target(ask.account, ask.webhook).await? {
                Some(target) => target.lane(),
                None => gone(&ask),
            };
            if lane.standing == Standing::Deleted {
                inputs.push(nothing(lane));
                continue;
            }
            // While it is switched off only its tests go out: all else stays in the store.
            ask.tests_only = lane.standing == Standing::Paused;
            sought.push((ask, lane));
        }
        let (asks, lanes): (Vec<_>, Vec<_>) = sought.into_iter().unzip();
        if !asks.is_empty() {
            let answers = self.store.fetch_due(asks, self.clock.wall()).await?;
            inputs.extend(answers.into_iter().zip(lanes).map(|(answer, lane)| refilled(answer, lane)));
        }
        Ok(inputs)
    }
}

fn refilled(answer: DueAnswer, lane: LaneWebhook) -> Input {
    let DueAnswer {
        webhook: _,
        rows,
        complete,
        next_due,
        through,
        perhaps,
    } = answer;
    Input::Refilled {
        lane,
        rows,
        complete,
        next_due,
        through,
        perhaps,
    }
}

fn nothing(lane: LaneWebhook) -> Input {
    Input::Refilled {
        lane,
        rows: Vec::new(),
        complete: true,
        next_due: None,
        through: Position::default(),
        perhaps: Position::default(),
    }
}

fn gone(ask: &DueAsk) -> LaneWebhook {
    LaneWebhook {
        account: ask.account,
        webhook: ask.webhook,
        host: HostKey(0),
        health: Health::Unproven,
        standing: Standing::Deleted,
    }
}

/// Tells the lanes, every few seconds, for which webhooks something is pending. At start it is what makes them go on.
pub(crate) struct Sweep {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) dispatch: mpsc::Sender<Message>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) interval: Duration,
}

impl Sweep {
    pub(crate) async fn run(self) {
        while !self.dispatch.is_closed() {
            if let Err(error) = self.once().await {
                tracing::warn!(%error, "the sweep could not read the store, trying again");
            }
            self.clock.sleep_until(self.clock.mono() + self.interval).await;
        }
    }

    async fn once(&self) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let ask = WaitingAsk {
                slots: SlotSet::ALL,
                after,
                limit: SWEEP_PAGE,
            };
            let page = self.store.waiting(ask).await?;
            after = page.last().map(|waiting| (waiting.account, waiting.webhook));
            let is_last = page.len() < SWEEP_PAGE;
            let inputs = page
                .into_iter()
                .map(|waiting| Input::Waiting {
                    account: waiting.account,
                    webhook: waiting.webhook,
                    due: waiting.due,
                })
                .collect();
            if self.dispatch.send(Message::Inputs(inputs)).await.is_err() || is_last {
                return Ok(());
            }
        }
    }
}
