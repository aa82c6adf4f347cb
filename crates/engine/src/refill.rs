//! Refill: from the store into lanes that have room. And the sweep beneath: it finds work of which memory knows nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use postrider_lanes::Input;
use postrider_lanes::input::{HostKey, LaneWebhook, Standing};
use postrider_model::health::Health;
use postrider_model::id::{AccountId, WebhookId};
use postrider_model::queue::Position;
use postrider_model::slot::{Slot, SlotSet};
use postrider_model::time::{Monotonic, Timestamp};
use postrider_ports::store::{DueAnswer, DueAsk, Waiting, WaitingAsk};
use postrider_ports::{Clock, Store, StoreError};
use tokio::sync::{Notify, mpsc};

use crate::directory::Directory;
use crate::dispatch::Message;
use crate::others::Others;

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
                None => gone(ask.account, ask.webhook),
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

/// What the lane of a webhook is told that is not there any more.
pub(crate) const fn gone(account: AccountId, webhook: WebhookId) -> LaneWebhook {
    LaneWebhook {
        account,
        webhook,
        host: HostKey(0),
        health: Health::Unproven,
        standing: Standing::Deleted,
    }
}

/// Sweeps that follow a sweep at once wait for this long: many wakes make one.
const SWEEP_INTERVAL_MIN: Duration = Duration::from_millis(50);
/// Takings of slots that are remembered for another look; with more, looks are put together at the latest of their moments.
const AGAIN_MAX: usize = 8;

/// When to sweep besides every few seconds.
#[derive(Default)]
pub(crate) struct Sweeps {
    /// Sweep now.
    pub(crate) wanted: Notify,
    /// Wakes were lost: of what is due those lanes are told too that are at work.
    missed: AtomicBool,
    /// At these moments what waits for these slots is read whether their lanes are at work or not. At most `AGAIN_MAX`.
    again: Mutex<Vec<(Monotonic, SlotSet)>>,
}

impl Sweeps {
    /// Slots were taken: what waits for them is read now, and once more when no write under their old owner can come through any more.
    pub(crate) fn now_and_again(&self, slots: SlotSet, again: Monotonic) {
        let mut moments = self.again.lock();
        if moments.len() >= AGAIN_MAX
            && let Some((_, last)) = moments.pop()
        {
            let both = last.iter().chain(slots.iter()).collect();
            moments.push((again, both));
        } else {
            moments.push((again, slots));
        }
        drop(moments);
        self.wanted.notify_one();
    }

    /// Wakes were lost, and what they told of is to be found now. Who asks for the sweep itself says so by `wanted`.
    pub(crate) fn have_missed(&self) {
        self.missed.store(true, Ordering::Release);
    }

    fn next(&self) -> Option<Monotonic> {
        self.again.lock().iter().map(|(at, _)| *at).min()
    }

    /// The slots whose moment has come.
    fn take(&self, now: Monotonic) -> SlotSet {
        let mut moments = self.again.lock();
        let come: SlotSet = moments
            .iter()
            .filter(|(at, _)| *at <= now)
            .flat_map(|(_, slots)| slots.iter())
            .collect();
        moments.retain(|(at, _)| *at > now);
        come
    }
}

/// Tells the lanes, every few seconds, for which webhooks something is pending. At start it is what makes them go on.
pub(crate) struct Sweep {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) dispatch: mpsc::Sender<Message>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) interval: Duration,
    pub(crate) others: Option<Arc<Others>>,
}

impl Sweep {
    pub(crate) async fn run(self) {
        while !self.dispatch.is_closed() {
            let began = self.clock.mono();
            if let Err(error) = self.once().await {
                tracing::warn!(%error, "the sweep could not read the store, trying again");
            }
            self.wait(began).await;
        }
    }

    async fn wait(&self, began: Monotonic) {
        let next = self.clock.mono() + self.interval;
        let Some(others) = &self.others else {
            return self.clock.sleep_until(next).await;
        };
        let again = others.sweeps.next().map_or(next, |again| again.min(next));
        tokio::select! {
            biased;
            () = others.sweeps.wanted.notified() => self.clock.sleep_until(began + SWEEP_INTERVAL_MIN).await,
            () = self.clock.sleep_until(again) => {}
        }
    }

    async fn once(&self) -> Result<(), StoreError> {
        let (slots, to_reread, missed) = match &self.others {
            None => (SlotSet::ALL, SlotSet::EMPTY, false),
            Some(others) => {
                let missed = others.sweeps.missed.swap(false, Ordering::AcqRel);
                (others.owners.own(), others.sweeps.take(self.clock.mono()), missed)
            }
        };
        let due_until = missed.then(|| self.clock.wall());
        if slots.is_empty() {
            return Ok(());
        }
        let mut after = None;
        loop {
            let ask = WaitingAsk {
                slots,
                after,
                limit: SWEEP_PAGE,
            };
            let page = self.store.waiting(ask).await?;
            after = page.last().map(|waiting| (waiting.account, waiting.webhook));
            let is_last = page.len() < SWEEP_PAGE;
            let inputs = page.into_iter().map(|waiting| told(waiting, &to_reread, due_until)).collect();
            if self.dispatch.send(Message::Inputs(inputs)).await.is_err() || is_last {
                return Ok(());
            }
        }
    }
}

/// What is due is read where wakes were lost, and what waits for slots that were taken.
fn told(waiting: Waiting, to_reread: &SlotSet, due_until: Option<Timestamp>) -> Input {
    let Waiting { account, webhook, due } = waiting;
    if to_reread.contains(Slot::of(webhook)) || due_until.is_some_and(|until| due <= until) {
        Input::Reread { account, webhook }
    } else {
        Input::Waiting { account, webhook, due }
    }
}
