//! What the engine does around the scheduler, in miniature: a store that answers at once (or when told to), a clock that is moved,
//! and receivers that do as the test says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use postrider_lanes::input::{Finish, HostKey, LaneWebhook, Standing};
use postrider_lanes::{Command, Input, LanesConfig, Scheduler};
use postrider_model::delivery::{Change, Delivery, Progress, Status};
use postrider_model::health::Health;
use postrider_model::id::{AccountId, DeliveryId, EventId, MadeEventId, WebhookId};
use postrider_model::queue::{Position, Queued};
use postrider_model::slot::{Slot, SlotSet};
use postrider_model::time::{Monotonic, Now, Timestamp};

pub(crate) const ACCOUNT: AccountId = AccountId::from_u128(1);
pub(crate) const OK: Finish = Finish::Succeeded {
    latency: Duration::from_millis(5),
};
pub(crate) const TIMEOUT: Finish = Finish::Failed {
    is_illness: true,
    retry_after: None,
};
pub(crate) const STATUS_500: Finish = Finish::Failed {
    is_illness: false,
    retry_after: None,
};

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// What the store holds of one delivery.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) delivery: Delivery,
    pub(crate) position: Position,
    pub(crate) is_urgent: bool,
    pub(crate) body: Bytes,
}

pub(crate) struct World {
    pub(crate) scheduler: Scheduler,
    pub(crate) config: LanesConfig,
    pub(crate) now: Now,
    pub(crate) rows: BTreeMap<DeliveryId, Row>,
    pub(crate) webhooks: BTreeMap<WebhookId, LaneWebhook>,
    /// Sent and not finished, in the order of sending.
    pub(crate) in_flight: VecDeque<Queued>,
    /// Every send: when, and of what.
    pub(crate) sent: Vec<(Timestamp, DeliveryId)>,
    pub(crate) health_stored: Vec<(WebhookId, Health)>,
    pub(crate) node_ill: Vec<bool>,
    /// Refills that were asked for, newest last.
    pub(crate) refills: Vec<WebhookId>,
    /// Where set, refills wait for `answer_refills`, with what the store held when they were asked for.
    pub(crate) holds_refills: bool,
    held_refills: Vec<Input>,
    pub(crate) refills_fail: bool,
    /// Where set, answers bring nothing, and say that there is more.
    pub(crate) reads_nothing: bool,
    /// Stored by transactions that are still open: no answer has them.
    hidden: BTreeSet<DeliveryId>,
    /// By transactions that are open, and by those that have ended without a word.
    begun: Vec<Queued>,
    untold: Vec<Queued>,
    /// Those of them that another node has sent meanwhile.
    sent_elsewhere: BTreeSet<DeliveryId>,
    /// The slots of which the scheduler was told that they are its own.
    owned: SlotSet,
    /// Where set, outcomes wait for `record_held`.
    pub(crate) holds_records: bool,
    held_records: Vec<(WebhookId, DeliveryId, Change)>,
    next_id: u128,
    last_position: u64,
    /// Answers say only of what lies so many places behind the last that they have surely seen it, as where a transaction is open.
    pub(crate) lag: u64,
}

impl World {
    pub(crate) fn new(config: LanesConfig) -> Self {
        Self::at(config, Timestamp::from_millis(1_800_000_000_000))
    }

    fn at(config: LanesConfig, wall: Timestamp) -> Self {
        Self {
            scheduler: Scheduler::new(config.clone(), 7),
            config,
            now: Now {
                wall,
                mono: Monotonic::from_nanos(1),
            },
            rows: BTreeMap::new(),
            webhooks: BTreeMap::new(),
            in_flight: VecDeque::new(),
            sent: Vec::new(),
            health_stored: Vec::new(),
            node_ill: Vec::new(),
            refills: Vec::new(),
            holds_refills: false,
            held_refills: Vec::new(),
            refills_fail: false,
            reads_nothing: false,
            hidden: BTreeSet::new(),
            begun: Vec::new(),
            untold: Vec::new(),
            sent_elsewhere: BTreeSet::new(),
            owned: SlotSet::ALL,
            holds_records: false,
            held_records: Vec::new(),
            next_id: 1_000,
            last_position: 0,
            lag: 0,
        }
    }

    /// Everything in memory is gone; the store stays.
    pub(crate) fn restart(&mut self) {
        self.scheduler = Scheduler::new(self.config.clone(), 8);
        self.in_flight.clear();
        self.held_refills.clear();
        self.held_records.clear();
        // Nobody is left to tell of them.
        self.hidden.clear();
        self.begun.clear();
        self.untold.clear();
        self.owned = SlotSet::ALL;
    }

    pub(crate) fn webhook(&mut self, number: u128, host: u64, health: Health) -> WebhookId {
        let webhook = WebhookId::from_u128(number);
        let lane = LaneWebhook {
            account: ACCOUNT,
            webhook,
            host: HostKey(host),
            health,
            standing: Standing::Active,
        };
        self.webhooks.insert(webhook, lane);
        webhook
    }

    /// A delivery in the store, that nobody has told the scheduler of.
    pub(crate) fn store(&mut self, webhook: WebhookId) -> DeliveryId {
        self.store_with(webhook, b"{}", false)
    }

    pub(crate) fn store_with(&mut self, webhook: WebhookId, body: &'static [u8], is_test: bool) -> DeliveryId {
        self.next_id += 1;
        self.last_position += 1;
        let id = DeliveryId::from_u128(self.next_id);
        let delivery = Delivery {
            id,
            account: ACCOUNT,
            webhook,
            event: (!is_test).then_some(EventId::Made(MadeEventId::from_u128(self.next_id))),
            status: Status::Pending { due: self.now.wall },
            progress: Progress::new(self.now.wall),
            created_at: self.now.wall,
            modified_at: self.now.wall,
        };
        let row = Row {
            delivery,
            position: Position::counted(self.last_position),
            is_urgent: is_test,
            body: Bytes::from_static(body),
        };
        self.rows.insert(id, row);
        id
    }

    pub(crate) fn queued(&self, delivery: DeliveryId) -> Queued {
        let row = &self.rows[&delivery];
        let Status::Pending { due } = row.delivery.status else {
            panic!("{delivery} is over")
        };
        Queued {
            delivery,
            account: ACCOUNT,
            webhook: row.delivery.webhook,
            event: row.delivery.event.clone(),
            progress: row.delivery.progress,
            due,
            is_urgent: row.is_urgent,
            position: row.position,
            body: row.body.clone(),
        }
    }

    /// A delivery stored and handed over.
    pub(crate) fn commit(&mut self, webhook: WebhookId) -> DeliveryId {
        let delivery = self.store(webhook);
        self.hand_over(delivery);
        delivery
    }

    pub(crate) fn hand_over(&mut self, delivery: DeliveryId) {
        let queued = self.queued(delivery);
        let lane = self.webhooks[&queued.webhook];
        self.input(Input::Committed { queued, lane });
    }

    pub(crate) fn urgent(&mut self, delivery: DeliveryId) {
        let queued = self.queued(delivery);
        let lane = self.webhooks[&queued.webhook];
        self.input(Input::Urgent { queued, lane });
    }

    /// A manual retry, in the store and handed over.
    pub(crate) fn retry(&mut self, delivery: DeliveryId) {
        let now = self.now.wall;
        let row = self.rows.get_mut(&delivery).unwrap();
        row.delivery = row.delivery.clone().apply(Change::Retried, now).unwrap();
        row.is_urgent = true;
        self.urgent(delivery);
    }

    pub(crate) fn test(&mut self, webhook: WebhookId) -> DeliveryId {
        let delivery = self.store_with(webhook, b"{}", true);
        self.urgent(delivery);
        delivery
    }

    pub(crate) fn stand(&mut self, webhook: WebhookId, standing: Standing) {
        self.webhooks.get_mut(&webhook).unwrap().standing = standing;
        let lane = self.webhooks[&webhook];
        self.input(Input::WebhookChanged { lane });
    }

    pub(crate) fn finish(&mut self, delivery: DeliveryId, finish: Finish) {
        let at = self.in_flight.iter().position(|queued| queued.delivery == delivery);
        let queued = self.in_flight.remove(at.expect("in flight")).unwrap();
        self.input(Input::Finished {
            webhook: queued.webhook,
            delivery,
            finish,
        });
    }

    /// The oldest in flight ends like this. False where none is.
    pub(crate) fn finish_first(&mut self, finish: Finish) -> bool {
        let Some(delivery) = self.in_flight.front().map(|queued| queued.delivery) else {
            return false;
        };
        self.finish(delivery, finish);
        true
    }

    /// All in flight end, and all that are sent because of it.
    pub(crate) fn finish_all(&mut self, finish: Finish) {
        while self.finish_first(finish) {}
    }

    /// Those in flight now end, in the order in which they were sent.
    pub(crate) fn finish_each(&mut self, mut finish: impl FnMut(&Queued) -> Option<Finish>) {
        for queued in self.in_flight.clone() {
            if let Some(finish) = finish(&queued) {
                self.finish(queued.delivery, finish);
            }
        }
    }

    pub(crate) fn input(&mut self, input: Input) {
        match &input {
            Input::Own { slots } => self.owned = self.owned.iter().chain(slots.iter()).collect(),
            Input::Disown { slots } => self.owned = self.owned.iter().filter(|slot| !slots.contains(*slot)).collect(),
            _ => {}
        }
        let mut out = Vec::new();
        self.scheduler.handle(self.now, input, &mut out);
        let mut inputs: VecDeque<Input> = VecDeque::new();
        loop {
            for command in out.drain(..) {
                inputs.extend(self.carry_out(command));
            }
            let Some(input) = inputs.pop_front() else { break };
            self.scheduler.handle(self.now, input, &mut out);
        }
        self.check();
    }

    fn carry_out(&mut self, command: Command) -> Option<Input> {
        match command {
            Command::Send { queued } => self.send(queued),
            Command::Refill {
                webhook,
                rows_max,
                bytes_max,
                known,
                ..
            } => {
                self.refills.push(webhook);
                let answer = if self.refills_fail {
                    Input::RefillFailed { webhook }
                } else {
                    self.answer(webhook, rows_max, bytes_max, &known)
                };
                if self.holds_refills {
                    self.held_refills.push(answer);
                    return None;
                }
                return Some(answer);
            }
            Command::Record {
                webhook, delivery, change, ..
            } => {
                if self.holds_records {
                    self.held_records.push((webhook, delivery, change));
                    return None;
                }
                return Some(self.record(webhook, delivery, change));
            }
            Command::StoreHealth { webhook, health, .. } => {
                self.webhooks.get_mut(&webhook).unwrap().health = health;
                self.health_stored.push((webhook, health));
            }
            Command::NodeIll { is_ill } => self.node_ill.push(is_ill),
        }
        None
    }

    fn send(&mut self, queued: Queued) {
        let id = queued.delivery;
        assert!(
            self.in_flight.iter().all(|other| other.delivery != id),
            "{id} is sent twice at a time"
        );
        assert!(!self.rows[&id].delivery.status.is_final(), "{id} is over, and sent");
        assert_eq!(self.rows[&id].delivery.progress, queued.progress, "{id} is sent as it was before");
        self.sent.push((self.now.wall, id));
        self.in_flight.push_back(queued);
    }

    fn record(&mut self, webhook: WebhookId, delivery: DeliveryId, change: Change) -> Input {
        let row = self.rows.get_mut(&delivery).unwrap();
        if let Ok(changed) = row.delivery.clone().apply(change, self.now.wall) {
            row.delivery = changed;
            row.is_urgent = row.delivery.event.is_none();
        }
        Input::Recorded { webhook, delivery }
    }

    fn answer(&self, webhook: WebhookId, rows_max: usize, bytes_max: usize, known: &[DeliveryId]) -> Input {
        let known: BTreeSet<_> = known.iter().copied().collect();
        let mut pending: Vec<(Timestamp, Position, DeliveryId)> = Vec::new();
        for (id, row) in &self.rows {
            if let Status::Pending { due } = row.delivery.status
                && row.delivery.webhook == webhook
                && (row.delivery.event.is_none() || self.webhooks[&webhook].standing != Standing::Paused)
                && !known.contains(id)
                && !self.hidden.contains(id)
            {
                pending.push((due, row.position, *id));
            }
        }
        pending.sort_unstable();
        let (due, asleep): (Vec<_>, Vec<_>) = pending.into_iter().partition(|(due, ..)| *due <= self.now.wall);
        let (mut rows, mut bytes) = (Vec::new(), 0);
        for (_, _, id) in &due {
            let queued = self.queued(*id);
            bytes += queued.body.len();
            if self.reads_nothing || rows.len() == rows_max || (bytes > bytes_max && !rows.is_empty()) {
                break;
            }
            rows.push(queued);
        }
        Input::Refilled {
            lane: self.webhooks[&webhook],
            complete: rows.len() == due.len(),
            rows,
            next_due: asleep.first().map(|(due, ..)| *due),
            through: self.surely_seen(),
            perhaps: Position::counted(self.last_position),
        }
    }

    /// Everything up to here is seen by a read.
    fn surely_seen(&self) -> Position {
        let open = self.hidden.iter().map(|id| self.rows[id].position.major.saturating_sub(1)).min();
        let lagging = self.last_position.saturating_sub(self.lag);
        Position::counted(open.map_or(lagging, |open| open.min(lagging)))
    }

    /// Whether whoever stored it has said so: nobody knows of it before.
    pub(crate) fn is_told(&self, delivery: DeliveryId) -> bool {
        self.begun.iter().chain(&self.untold).all(|queued| queued.delivery != delivery)
    }

    /// Some transaction begins, stores a delivery, and does not end yet.
    pub(crate) fn begin(&mut self, webhook: WebhookId) {
        let delivery = self.store(webhook);
        self.hide(delivery);
        self.begun.push(self.queued(delivery));
    }

    /// One of those ends: from now on it is read.
    pub(crate) fn end(&mut self, which: usize) {
        if !self.begun.is_empty() {
            let queued = self.begun.remove(which % self.begun.len());
            self.show(queued.delivery);
            self.untold.push(queued);
        }
    }

    /// One of those that ended is handed over at last.
    pub(crate) fn tell(&mut self, which: usize) {
        if !self.untold.is_empty() {
            let queued = self.untold.remove(which % self.untold.len());
            // What this node has committed itself it routes at once: nobody can have sent it by then.
            if self.sent_elsewhere.contains(&queued.delivery) {
                self.bring_from_elsewhere(queued);
            } else {
                let lane = self.webhooks[&queued.webhook];
                self.input(Input::Committed { queued, lane });
            }
        }
    }

    /// One of those that ended was stored by another node, which hands it over at last.
    pub(crate) fn tell_elsewhere(&mut self, which: usize) {
        if !self.untold.is_empty() {
            let queued = self.untold.remove(which % self.untold.len());
            self.bring_from_elsewhere(queued);
        }
    }

    /// Another node owns the slot of one of those, and sends it, before it is handed over here.
    pub(crate) fn send_elsewhere(&mut self, which: usize) {
        let theirs = |queued: &&Queued| !self.owned.contains(Slot::of(queued.webhook));
        let Some(delivery) = self.untold.iter().filter(theirs).map(|queued| queued.delivery).nth(which) else {
            return;
        };
        let is_ours = self.in_flight.iter().any(|queued| queued.delivery == delivery)
            || self.held_records.iter().any(|(_, recorded, _)| *recorded == delivery);
        let row = self.rows.get_mut(&delivery).unwrap();
        let number = row.delivery.progress.attempts + 1;
        if !is_ours && let Ok(sent) = row.delivery.clone().apply(Change::Succeeded { number }, self.now.wall) {
            row.delivery = sent;
            self.sent_elsewhere.insert(delivery);
        }
    }

    /// Another node has stored it, and hands it over.
    pub(crate) fn commit_elsewhere(&mut self, webhook: WebhookId) -> DeliveryId {
        let delivery = self.store(webhook);
        self.bring_from_elsewhere(self.queued(delivery));
        delivery
    }

    fn bring_from_elsewhere(&mut self, queued: Queued) {
        let lane = self.webhooks[&queued.webhook];
        self.input(Input::CommittedElsewhere { queued, lane });
    }

    /// A delivery is stored by a transaction that is still open.
    pub(crate) fn hide(&mut self, delivery: DeliveryId) {
        self.hidden.insert(delivery);
    }

    /// That transaction has committed.
    pub(crate) fn show(&mut self, delivery: DeliveryId) {
        self.hidden.remove(&delivery);
    }

    pub(crate) fn reread(&mut self, webhook: WebhookId) {
        self.input(Input::Reread { account: ACCOUNT, webhook });
    }

    /// Another node stored it, and woke this one.
    pub(crate) fn stored_elsewhere(&mut self, delivery: DeliveryId) {
        let Queued { webhook, position, .. } = self.queued(delivery);
        self.input(Input::StoredElsewhere {
            account: ACCOUNT,
            webhook,
            through: position,
        });
    }

    pub(crate) fn answer_refills(&mut self) {
        for answer in std::mem::take(&mut self.held_refills) {
            self.input(answer);
        }
    }

    pub(crate) fn record_held(&mut self) {
        for (webhook, delivery, change) in std::mem::take(&mut self.held_records) {
            let input = self.record(webhook, delivery, change);
            self.input(input);
        }
    }

    /// Tells of everything that is pending, as the sweep does.
    pub(crate) fn sweep(&mut self) {
        let mut first: BTreeMap<WebhookId, Timestamp> = BTreeMap::new();
        for row in self.rows.values() {
            if let Status::Pending { due } = row.delivery.status {
                let earliest = first.entry(row.delivery.webhook).or_insert(due);
                *earliest = (*earliest).min(due);
            }
        }
        for (webhook, due) in first {
            self.input(Input::Waiting {
                account: ACCOUNT,
                webhook,
                due,
            });
        }
    }

    fn pass(&mut self, length: Duration) {
        self.now.mono = self.now.mono + length;
        let millis = self.now.mono.as_nanos() / 1_000_000;
        self.now.wall = Timestamp::from_millis(1_800_000_000_000 + i64::try_from(millis).unwrap());
    }

    /// Moves time to the scheduler's next moment, if that comes within `length`. False where it does not.
    pub(crate) fn wake_within(&mut self, length: Duration) -> bool {
        let Some(wake) = self.scheduler.next_wake() else { return false };
        let wait = wake.since(self.now.mono);
        if wait > length {
            return false;
        }
        // Rounded up to the milliseconds of the wall clock, and never standing still.
        self.pass(wait.max(Duration::from_nanos(1)));
        self.input(Input::Tick);
        true
    }

    /// Lets time pass, with a tick whenever the scheduler wants one.
    pub(crate) fn advance(&mut self, length: Duration) {
        let end = self.now.mono + length;
        for _ in 0..1_000_000 {
            let left = end.since(self.now.mono);
            if !self.wake_within(left) {
                self.pass(left);
                self.input(Input::Tick);
                return;
            }
        }
        panic!("the scheduler never sleeps");
    }

    pub(crate) fn status(&self, delivery: DeliveryId) -> Status {
        self.rows[&delivery].delivery.status
    }

    pub(crate) fn succeeded(&self) -> usize {
        let is_ok = |row: &&Row| matches!(row.delivery.status, Status::Succeeded { .. });
        self.rows.values().filter(is_ok).count()
    }

    pub(crate) fn sent_of(&self, delivery: DeliveryId) -> Vec<Timestamp> {
        self.sent.iter().filter(|(_, id)| *id == delivery).map(|(at, _)| *at).collect()
    }

    /// What must hold after every input.
    fn check(&self) {
        let stats = self.scheduler.stats();
        assert_eq!(stats.in_flight, self.in_flight.len());
        assert!(stats.in_flight <= self.config.in_flight_max);
        assert!(stats.refills <= self.config.refills_max);
        assert!(stats.idle_lanes <= self.config.idle_lanes_max);
    }
}

impl World {
    /// The store has recorded this delivery's outcome, and a manual retry behind it; the scheduler hears of the retry first.
    pub(crate) fn record_late(&mut self, delivery: DeliveryId) {
        let (webhook, _, change) = self.held_records.remove(0);
        let recorded = self.record(webhook, delivery, change);
        self.retry(delivery);
        self.input(recorded);
    }
}
