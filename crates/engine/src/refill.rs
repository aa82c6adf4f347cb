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
use crate::others::{Others, PAUSE};

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
/// Looks at slots that were taken that are still to come; with more, looks are put together at the later of their moments.
const LOOKS_MAX: usize = 32;

/// When to sweep besides every few seconds.
#[derive(Default)]
pub(crate) struct Sweeps {
    /// Sweep now.
    pub(crate) wanted: Notify,
    /// Wakes were lost: of what is due those lanes are told too that are at work.
    missed: AtomicBool,
    /// At these moments what is due of these slots is read whether their lanes are at work or not. At most `LOOKS_MAX`.
    looks: Mutex<Vec<(Monotonic, SlotSet)>>,
}

/// What a sweep is to find besides what lanes at rest know nothing of.
struct Sought {
    /// Of these slots what is due is read whether their lanes are at work or not.
    slots: SlotSet,
    /// Of all others too.
    missed: bool,
}

impl Sweeps {
    /// Slots were taken: what is due of them is read at each of these moments.
    pub(crate) fn look_at(&self, slots: &SlotSet, moments: impl IntoIterator<Item = Monotonic>) {
        let mut looks = self.looks.lock();
        moments.into_iter().for_each(|at| add(&mut looks, at, slots));
        drop(looks);
        self.wanted.notify_one();
    }

    /// Wakes were lost, and what they told of is to be found now. Who asks for the sweep itself says so by `wanted`.
    pub(crate) fn have_missed(&self) {
        self.missed.store(true, Ordering::Release);
    }

    fn next(&self) -> Option<Monotonic> {
        self.looks.lock().iter().map(|(at, _)| *at).min()
    }

    fn take(&self, now: Monotonic) -> Sought {
        let mut looks = self.looks.lock();
        let come = looks.iter().filter(|(at, _)| *at <= now);
        let slots = come.flat_map(|(_, slots)| slots.iter()).collect();
        looks.retain(|(at, _)| *at > now);
        Sought {
            slots,
            missed: self.missed.swap(false, Ordering::AcqRel),
        }
    }

    /// A sweep failed: what it was to find is sought again then.
    fn put_back(&self, sought: &Sought, at: Monotonic) {
        self.missed.fetch_or(sought.missed, Ordering::AcqRel);
        add(&mut self.looks.lock(), at, &sought.slots);
    }
}

fn add(looks: &mut Vec<(Monotonic, SlotSet)>, at: Monotonic, slots: &SlotSet) {
    if looks.len() < LOOKS_MAX {
        return looks.push((at, *slots));
    }
    // The first that comes later than this one, else the last.
    let by_moment = |(moment, _): &&mut (Monotonic, SlotSet)| (*moment < at, moment.since(at), at.since(*moment));
    if let Some((moment, together)) = looks.iter_mut().min_by_key(by_moment) {
        *moment = (*moment).max(at);
        *together = together.iter().chain(slots.iter()).collect();
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
        let mut has_failed = false;
        while !self.dispatch.is_closed() {
            let began = self.clock.mono();
            let swept = self.once().await;
            if let Err(error) = &swept
                && !has_failed
            {
                tracing::warn!(%error, "the sweep could not read the store, trying again");
            }
            has_failed = swept.is_err();
            self.wait(began).await;
        }
    }

    async fn wait(&self, began: Monotonic) {
        let next = self.clock.mono() + self.interval;
        let Some(others) = &self.others else {
            return self.clock.sleep_until(next).await;
        };
        let soonest = began + SWEEP_INTERVAL_MIN;
        let look = others.sweeps.next().map_or(next, |look| look.min(next).max(soonest));
        tokio::select! {
            biased;
            () = others.sweeps.wanted.notified() => self.clock.sleep_until(soonest).await,
            () = self.clock.sleep_until(look) => {}
        }
    }

    async fn once(&self) -> Result<(), StoreError> {
        let Some(others) = &self.others else {
            let nothing = Sought {
                slots: SlotSet::EMPTY,
                missed: false,
            };
            return self.sweep(SlotSet::ALL, &nothing).await;
        };
        let sought = others.sweeps.take(self.clock.mono());
        let swept = self.sweep(others.owners.own(), &sought).await;
        if swept.is_err() {
            others.sweeps.put_back(&sought, self.clock.mono() + PAUSE);
        }
        swept
    }

    async fn sweep(&self, slots: SlotSet, sought: &Sought) -> Result<(), StoreError> {
        if slots.is_empty() {
            return Ok(());
        }
        let now = self.clock.wall();
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
            let inputs = page.into_iter().map(|waiting| told(waiting, sought, now)).collect();
            if self.dispatch.send(Message::Inputs(inputs)).await.is_err() || is_last {
                return Ok(());
            }
        }
    }
}

/// What is due is read where wakes were lost, and where slots were taken. What is due later its lane only has to know of.
fn told(waiting: Waiting, sought: &Sought, now: Timestamp) -> Input {
    let Waiting { account, webhook, due } = waiting;
    if due <= now && (sought.missed || sought.slots.contains(Slot::of(webhook))) {
        Input::Reread { account, webhook }
    } else {
        Input::Waiting { account, webhook, due }
    }
}
