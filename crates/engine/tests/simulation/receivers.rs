//! What the receivers do, and what is judged whenever something is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use postrider_model::attempt::{AttemptError, ErrorKind, LocalFault, Outcome, Outgoing, Response};
use postrider_model::delivery::{Delivery, Status};
use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_ports::{Clock as _, Sender};
use postrider_testkit::clock::SimClock;
use postrider_testkit::memory_store::MemoryStore;
use postrider_testkit::random::SeededRandom;

/// What a receiver does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Succeed,
    Fail,
    FailWithRetryAfter,
    Hang,
    Refuse,
    LocalFault,
    /// One of the others each time.
    Fickle,
}

const STEADY: [Mode; 6] = [
    Mode::Succeed,
    Mode::Fail,
    Mode::FailWithRetryAfter,
    Mode::Hang,
    Mode::Refuse,
    Mode::LocalFault,
];

impl Mode {
    pub(crate) fn random(chance: &SeededRandom) -> Self {
        match chance.below(10) {
            0..4 => Self::Succeed,
            4..7 => Self::Fickle,
            _ => Self::steady(chance),
        }
    }

    fn steady(chance: &SeededRandom) -> Self {
        STEADY[usize::try_from(chance.below(STEADY.len() as u64)).unwrap_or(0)]
    }
}

/// How an attempt ended, in the eyes of its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Succeeded,
    Answered,
    /// Not recorded where our own side seems ill.
    MayNotCount,
}

#[derive(Default)]
struct State {
    modes: BTreeMap<WebhookId, Mode>,
    /// Attempts under way in this life.
    in_flight: BTreeSet<DeliveryId>,
    /// How the last attempt of a delivery in this life ended, and its number.
    ended: BTreeMap<DeliveryId, (u32, End)>,
    acknowledged: BTreeSet<DeliveryId>,
    /// Changes of an account that are under way, or whose answer said an error: what was changed may or may not be known.
    unsure: BTreeMap<AccountId, u32>,
    violations: Vec<String>,
    /// What was sent, folded into a number: the same seed must give the same.
    digest: u64,
    sends: u64,
}

/// All receivers, of all lives.
pub(crate) struct Receivers {
    /// Locked by attempts and by the world in turn, on one thread.
    state: Mutex<State>,
    store: Arc<MemoryStore>,
    clock: SimClock,
    chance: SeededRandom,
}

/// An attempt under way. Dropped with its life, too.
struct Flight<'a>(&'a Receivers, DeliveryId);

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.state.lock().in_flight.remove(&self.1);
    }
}

impl Receivers {
    pub(crate) fn new(store: Arc<MemoryStore>, clock: SimClock, seed: u64) -> Self {
        Self {
            state: Mutex::default(),
            store,
            clock,
            chance: SeededRandom::new(seed),
        }
    }

    pub(crate) fn follow(&self, webhook: WebhookId, mode: Mode) {
        self.state.lock().modes.insert(webhook, mode);
    }

    pub(crate) fn all_succeed(&self) {
        let mut state = self.state.lock();
        state.modes.values_mut().for_each(|mode| *mode = Mode::Succeed);
    }

    /// A change of an account begins.
    pub(crate) fn change_begins(&self, account: AccountId) {
        *self.state.lock().unsure.entry(account).or_default() += 1;
    }

    /// It was answered with success: from now on everybody knows.
    pub(crate) fn change_is_known(&self, account: AccountId) {
        if let Some(count) = self.state.lock().unsure.get_mut(&account) {
            *count -= 1;
        }
    }

    /// Another life begins: it knows what the store knows, and nothing of what the other did.
    pub(crate) fn life_begins(&self) {
        let mut state = self.state.lock();
        state.unsure.clear();
        state.ended.clear();
        let left: Vec<_> = state.in_flight.iter().copied().collect();
        if !left.is_empty() {
            state.violations.push(format!("attempts outlived their life: {left:?}"));
        }
    }

    pub(crate) fn violation(&self, violation: String) {
        self.state.lock().violations.push(violation);
    }

    pub(crate) fn first_violation(&self) -> Option<String> {
        self.state.lock().violations.first().cloned()
    }

    pub(crate) fn has_acknowledged(&self, delivery: DeliveryId) -> bool {
        self.state.lock().acknowledged.contains(&delivery)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.state.lock().in_flight.len()
    }

    pub(crate) fn sends(&self) -> u64 {
        self.state.lock().sends
    }

    pub(crate) fn digest(&self) -> u64 {
        self.state.lock().digest
    }

    fn take_off(&self, outgoing: &Outgoing) -> Flight<'_> {
        let is_unsure = self
            .state
            .lock()
            .unsure
            .get(&outgoing.webhook.account)
            .is_some_and(|count| *count > 0);
        let judged = self.judge(outgoing, is_unsure);
        let mut state = self.state.lock();
        if let Err(wrong) = judged {
            state
                .violations
                .push(format!("{} attempt {}: {wrong}", outgoing.delivery, outgoing.number));
        }
        if !state.in_flight.insert(outgoing.delivery) {
            state.violations.push(format!(
                "{} is sent twice at a time, attempt {}",
                outgoing.delivery, outgoing.number
            ));
        }
        match state.ended.get(&outgoing.delivery).copied() {
            Some((number, end)) if end == End::Succeeded || (end == End::Answered && number == outgoing.number) => {
                state.violations.push(format!(
                    "{} is sent again in one life as attempt {}, after attempt {number}: {end:?}",
                    outgoing.delivery, outgoing.number
                ));
            }
            _ => {}
        }
        state.sends += 1;
        let millis = self.clock.wall().as_millis().unsigned_abs();
        for part in [outgoing.delivery.as_u128() as u64, u64::from(outgoing.number), millis] {
            state.digest = (state.digest.rotate_left(5) ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        Flight(self, outgoing.delivery)
    }

    /// Whether this may be sent now.
    fn judge(&self, outgoing: &Outgoing, is_unsure: bool) -> Result<(), String> {
        let webhook = &outgoing.webhook;
        let delivery = self
            .store
            .look_delivery(outgoing.delivery)
            .ok_or("the store has no such delivery")?;
        if delivery.webhook != webhook.id || delivery.account != webhook.account || delivery.event != outgoing.event {
            return Err(format!("goes to {} but is {delivery:?}", webhook.id));
        }
        if outgoing.number != delivery.progress.attempts + 1 {
            return Err(format!("the store has {} attempts", delivery.progress.attempts));
        }
        if is_unsure {
            return Ok(());
        }
        self.judge_due(&delivery)?;
        let account = self.store.look_account(webhook.account).ok_or("the account is deleted")?;
        let truth = self
            .store
            .look_webhook(webhook.account, webhook.id)
            .ok_or("the webhook is deleted")?;
        if truth.url.as_str() != webhook.url.as_str() || truth.secrets != webhook.secrets {
            return Err("goes to an old url or is signed with an old secret".to_owned());
        }
        let is_active = account.account.is_active && truth.is_active;
        if !is_active && outgoing.event.is_some() {
            return Err("the webhook is switched off".to_owned());
        }
        Ok(())
    }

    fn judge_due(&self, delivery: &Delivery) -> Result<(), String> {
        match delivery.status {
            Status::Pending { due } if due <= self.clock.wall() => Ok(()),
            status => Err(format!("is {status:?} at {}", self.clock.wall())),
        }
    }

    fn landed(&self, outgoing: &Outgoing, end: End) {
        let mut state = self.state.lock();
        state.ended.insert(outgoing.delivery, (outgoing.number, end));
        if end == End::Succeeded {
            state.acknowledged.insert(outgoing.delivery);
        }
    }

    async fn pause(&self, length: Duration) {
        self.clock.sleep_until(self.clock.mono() + length).await;
    }
}

#[async_trait]
impl Sender for Receivers {
    async fn send(&self, outgoing: Outgoing) -> Result<Outcome, LocalFault> {
        let _flight = self.take_off(&outgoing);
        let started_at = self.clock.wall();
        let began = self.clock.mono();
        let mode = match self.state.lock().modes.get(&outgoing.webhook.id) {
            Some(Mode::Fickle) => Mode::steady(&self.chance),
            Some(mode) => *mode,
            None => Mode::Succeed,
        };
        let latency = [0, 0, 1, 20, 700, 9_000][usize::try_from(self.chance.below(6)).unwrap_or(0)];
        let (length, error) = match mode {
            Mode::Hang => (25_000, Some(ErrorKind::Timeout)),
            Mode::Refuse => (latency, Some(ErrorKind::Connect)),
            Mode::Fail | Mode::FailWithRetryAfter => (latency, Some(ErrorKind::Http)),
            Mode::Succeed | Mode::Fickle | Mode::LocalFault => (latency, None),
        };
        self.pause(Duration::from_millis(length)).await;
        if mode == Mode::LocalFault {
            self.landed(&outgoing, End::MayNotCount);
            return Err(LocalFault {
                message: "no file handles left".to_owned(),
            });
        }
        self.landed(
            &outgoing,
            match error {
                None => End::Succeeded,
                Some(ErrorKind::Http) => End::Answered,
                Some(_) => End::MayNotCount,
            },
        );
        let duration = self.clock.mono().since(began);
        let status = match error {
            None => Some(200),
            Some(ErrorKind::Http) => Some(500),
            Some(_) => None,
        };
        Ok(Outcome {
            started_at,
            duration,
            response: status.map(|status| Response {
                status,
                duration,
                headers: None,
                body: None,
                truncated: false,
            }),
            error: error.map(|kind| AttemptError {
                kind,
                message: "as scripted".to_owned(),
            }),
            retry_after: (mode == Mode::FailWithRetryAfter).then_some(Duration::from_secs(90)),
        })
    }
}
