//! THE loop: feeds the scheduler, and carries out its commands. It waits for its inbox and for one timer, nothing else;
//! every I/O runs in a task of its own and reports back as an input.

use std::sync::Arc;

use postrider_lanes::input::{Finish, LaneWebhook, Standing};
use postrider_lanes::{Command, Input, Scheduler};
use postrider_model::attempt::{Attempt, LocalFault, Outcome, Outgoing};
use postrider_model::id::{AccountId, AttemptId, DeliveryId, WebhookId};
use postrider_model::queue::Queued;
use postrider_model::slot::SlotSet;
use postrider_model::time::{Monotonic, Now};
use postrider_ports::clock::Sleep;
use postrider_ports::store::{DueAsk, OutcomeRecord};
use tokio::sync::{mpsc, oneshot, watch};

use crate::backlog::Backlog;
use crate::counters::Counters;
use crate::directory::Directory;
use crate::others::Others;
use crate::recent::Recent;
use crate::recorder::Record;
use crate::settings::Parts;
use crate::subscriptions::Target;

/// Messages taken in one turn of the loop.
const TURN_MESSAGES_MAX: usize = 256;

/// What the loop is told.
pub(crate) enum Message {
    /// Things that happened, in their order.
    Inputs(Vec<Input>),
    /// An attempt ended.
    Finished(Box<Finished>),
    /// Which of these are being sent, or were and are not recorded yet?
    InProgress(Vec<DeliveryId>, oneshot::Sender<Vec<bool>>),
    /// Somebody is about to ask for a test or a retry: what is recorded from now on comes after this mark.
    Mark(oneshot::Sender<u64>),
    /// A test, or a retry that was asked for after this mark: to the head of its lane.
    Urgent(Queued, LaneWebhook, u64),
    /// Which of these slots have something in flight or unrecorded?
    Busy(SlotSet, oneshot::Sender<SlotSet>),
    /// Send nothing more, and answer when nothing is under way.
    Stop(oneshot::Sender<()>),
}

/// An attempt that ended.
pub(crate) struct Finished {
    webhook: WebhookId,
    delivery: DeliveryId,
    number: u32,
    url: Arc<str>,
    result: Ended,
}

enum Ended {
    Attempted(Outcome),
    Faulted(LocalFault),
    /// Its webhook, of this account, was found paused or deleted; or this node may not send for it any more.
    Withdrawn(AccountId),
}

/// Numbers of the loop, for readiness, metrics and shutdown. Written by the loop once a turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// Attempts under way.
    pub in_flight: usize,
    /// Outcomes on their way to the store.
    pub unrecorded: usize,
    /// Deliveries that are due and wait in memory.
    pub waiting: usize,
    /// Deliveries in memory, those in flight and room kept for refills included.
    pub memory_rows: usize,
    /// Their bytes.
    pub memory_bytes: usize,
    /// Webhooks in memory.
    pub lanes: usize,
    /// Of these, such as have nothing to do.
    pub idle_lanes: usize,
    /// Hosts in memory.
    pub hosts: usize,
    /// Webhooks whose circuit is open.
    pub circuits_open: usize,
    /// Refills under way.
    pub refills: usize,
    /// Lanes that wait for a refill.
    pub refills_waiting: usize,
    /// Whether the node is taken for ill.
    pub is_ill: bool,
}

/// The loop.
pub(crate) struct Dispatch {
    pub(crate) scheduler: Scheduler,
    pub(crate) inbox: mpsc::Receiver<Message>,
    /// For the tasks that make attempts.
    pub(crate) outbox: mpsc::Sender<Message>,
    /// As large as the lanes let outcomes wait, so there is always room.
    pub(crate) records: mpsc::Sender<Record>,
    /// As large as the lanes let refills be under way, so there is always room.
    pub(crate) refills: mpsc::Sender<DueAsk>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) parts: Parts,
    pub(crate) others: Option<Arc<Others>>,
    pub(crate) load: watch::Sender<Load>,
    pub(crate) recent: Recent,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) counters: Arc<Counters>,
    /// Emptied in each turn; kept for its room.
    pub(crate) commands: Vec<Command>,
    /// Who waits for the end.
    pub(crate) stopping: Option<oneshot::Sender<()>>,
}

impl Dispatch {
    pub(crate) async fn run(mut self) {
        let mut messages = Vec::with_capacity(TURN_MESSAGES_MAX);
        let mut timer: Option<(Monotonic, Sleep)> = None;
        loop {
            self.set_timer(&mut timer);
            tokio::select! {
                biased;
                taken = self.inbox.recv_many(&mut messages, TURN_MESSAGES_MAX) => if taken == 0 { break },
                () = ring(&mut timer) => timer = None,
            }
            let now = self.parts.clock.now();
            for message in messages.drain(..) {
                self.take(now, message);
            }
            self.handle(now, Input::Tick);
            self.publish();
        }
    }

    /// One timer, made anew only when the scheduler's next moment has moved.
    fn set_timer(&self, timer: &mut Option<(Monotonic, Sleep)>) {
        let wake = self.scheduler.next_wake();
        if timer.as_ref().map(|(deadline, _)| *deadline) != wake {
            *timer = wake.map(|deadline| (deadline, self.parts.clock.sleep_until(deadline)));
        }
    }

    fn publish(&mut self) {
        let stats = self.scheduler.stats();
        self.load.send_replace(Load {
            in_flight: stats.in_flight,
            unrecorded: stats.unrecorded,
            waiting: stats.waiting,
            memory_rows: stats.memory_rows,
            memory_bytes: stats.memory_bytes,
            lanes: stats.lanes,
            idle_lanes: stats.idle_lanes,
            hosts: stats.hosts,
            circuits_open: stats.circuits_open,
            refills: stats.refills,
            refills_waiting: stats.refills_waiting,
            is_ill: stats.is_ill,
        });
        if self.scheduler.is_idle()
            && let Some(ended) = self.stopping.take()
        {
            // Whoever waited may have lost patience.
            let _ = ended.send(());
        }
    }

    fn take(&mut self, now: Now, message: Message) {
        match message {
            Message::Inputs(inputs) => {
                for input in inputs {
                    if let Input::Recorded { delivery, .. } = &input {
                        self.recent.push(*delivery);
                    }
                    self.handle(now, input);
                }
            }
            Message::Finished(finished) => self.finished(now, *finished),
            Message::InProgress(ids, answer) => {
                let in_progress = ids.into_iter().map(|id| self.scheduler.is_in_flight(id)).collect();
                // Whoever asked may have gone away.
                let _ = answer.send(in_progress);
            }
            Message::Mark(answer) => {
                // Whoever asked may have gone away.
                let _ = answer.send(self.recent.mark());
            }
            Message::Busy(slots, answer) => {
                // Whoever asked may have gone away.
                let _ = answer.send(self.scheduler.busy(&slots));
            }
            Message::Urgent(queued, lane, mark) => self.urgent(now, queued, lane, mark),
            Message::Stop(ended) => {
                self.handle(now, Input::Stop);
                self.stopping = Some(ended);
            }
        }
    }

    fn urgent(&mut self, now: Now, queued: Queued, lane: LaneWebhook, mark: u64) {
        // An outcome that was recorded meanwhile may have come after the read that this is from: then the store knows better.
        let input = if self.recent.may_have_since(mark, queued.delivery) {
            Input::Reread {
                account: queued.account,
                webhook: queued.webhook,
            }
        } else {
            Input::Urgent { queued, lane }
        };
        self.handle(now, input);
    }

    fn handle(&mut self, now: Now, input: Input) {
        let mut commands = std::mem::take(&mut self.commands);
        self.scheduler.handle(now, input, &mut commands);
        for command in commands.drain(..) {
            self.carry_out(now, command, None);
        }
        self.commands = commands;
    }

    fn finished(&mut self, now: Now, finished: Finished) {
        let Finished {
            webhook,
            delivery,
            number,
            url,
            result,
        } = finished;
        let (finish, mut attempt) = match result {
            Ended::Attempted(outcome) => (finish_of(&outcome), Some(self.attempt(number, url, outcome))),
            Ended::Faulted(fault) => {
                self.counters.local_faults.add(1);
                tracing::warn!(%fault, "a fault on our own side: the delivery waits, no attempt is counted");
                (Finish::LocalFault, None)
            }
            Ended::Withdrawn(account) => (self.withdrawn(account, webhook), None),
        };
        let mut commands = std::mem::take(&mut self.commands);
        self.scheduler
            .handle(now, Input::Finished { webhook, delivery, finish }, &mut commands);
        for command in commands.drain(..) {
            // The record of this very delivery carries the attempt; others that come with it (expired ones) carry none.
            let is_this = matches!(&command, Command::Record { delivery: recorded, .. } if *recorded == delivery);
            let attempt = if is_this { attempt.take() } else { None };
            self.carry_out(now, command, attempt);
        }
        self.commands = commands;
    }

    /// The webhook may have been changed again since, and the lane have been told: as it is now counts. Where nobody knows, the refill that
    /// follows will say.
    fn withdrawn(&self, account: AccountId, webhook: WebhookId) -> Finish {
        let target = self.directory.cached_target(account, webhook);
        Finish::Withdrawn {
            standing: target.map_or(Standing::Active, |target| target.standing()),
        }
    }

    fn attempt(&self, number: u32, url: Arc<str>, outcome: Outcome) -> Attempt {
        Attempt {
            id: AttemptId::new(outcome.started_at, self.parts.random.bits()),
            number,
            url,
            created_at: outcome.started_at,
            duration: outcome.duration,
            response: outcome.response,
            error: outcome.error,
        }
    }

    fn carry_out(&self, now: Now, command: Command, mut attempt: Option<Attempt>) {
        match command {
            Command::Send { queued } => self.send(queued),
            Command::Refill {
                account,
                webhook,
                rows_max,
                bytes_max,
                known,
            } => {
                let ask = DueAsk {
                    account,
                    webhook,
                    rows_max,
                    bytes_max,
                    known,
                    // Told by how the webhook stands when it is read.
                    tests_only: false,
                };
                if self.refills.try_send(ask).is_err() {
                    tracing::error!(%webhook, "no room for a refill: the sweep will find the work");
                }
            }
            Command::Record {
                account,
                webhook,
                delivery,
                change,
            } => {
                if let Some(response) = attempt.as_mut().and_then(|attempt| attempt.response.as_mut()) {
                    self.backlog.admit(response);
                }
                let record = OutcomeRecord {
                    account,
                    delivery,
                    change,
                    attempt,
                    at: now.wall,
                };
                self.record(Record::Outcome(webhook, record));
            }
            Command::StoreHealth { account, webhook, health } => {
                self.directory.learn(account, webhook, health);
                self.record(Record::Health(account, webhook, health));
            }
            Command::NodeIll { is_ill: true } => {
                tracing::error!(
                    "this node seems ill: most hosts fail at once, or something of its own is lacking; failures are not counted"
                );
            }
            Command::NodeIll { is_ill: false } => tracing::warn!("this node reaches hosts again"),
        }
    }

    fn record(&self, record: Record) {
        if self.records.try_send(record).is_err() {
            tracing::error!("no room for an outcome: the attempt will be made again");
        }
    }

    /// Makes the attempt in a task of its own, with the webhook as it is at that moment.
    fn send(&self, queued: Queued) {
        let (directory, parts, outbox) = (Arc::clone(&self.directory), self.parts.clone(), self.outbox.clone());
        let others = self.others.clone();
        tokio::spawn(async move {
            let finished = make_attempt(&directory, &parts, others.as_deref(), queued).await;
            // The loop takes what comes until every task has reported; where it was dropped, so is the outcome: as in a crash.
            let _ = outbox.send(Message::Finished(Box::new(finished))).await;
        });
    }
}

async fn ring(timer: &mut Option<(Monotonic, Sleep)>) {
    match timer {
        Some((_, sleep)) => sleep.await,
        None => std::future::pending().await,
    }
}

async fn make_attempt(directory: &Directory, parts: &Parts, others: Option<&Others>, queued: Queued) -> Finished {
    let Queued {
        delivery,
        account,
        webhook,
        event,
        progress,
        body,
        ..
    } = queued;
    let number = progress.attempts.saturating_add(1);
    let target = match directory.cached_target(account, webhook) {
        Some(target) => Ok(Some(target)),
        None => directory.target(account, webhook).await,
    };
    let finished = |url, result| Finished {
        webhook,
        delivery,
        number,
        url,
        result,
    };
    let target: Arc<Target> = match target {
        Ok(Some(target)) => target,
        Ok(None) => return finished(Arc::from(""), Ended::Withdrawn(account)),
        Err(error) => {
            return finished(
                Arc::from(""),
                Ended::Faulted(LocalFault {
                    message: error.to_string(),
                }),
            );
        }
    };
    let url = target.webhook.url.shared();
    // A test is sent to a webhook that is switched off, too.
    if target.standing() != Standing::Active && event.is_some() {
        return finished(url, Ended::Withdrawn(account));
    }
    // At the last moment: the process may have stood still since its lanes decided.
    if others.is_some_and(|others| !others.owners.may_send(webhook, parts.clock.mono())) {
        return finished(url, Ended::Withdrawn(account));
    }
    let outgoing = Outgoing {
        delivery,
        event,
        number,
        webhook: Arc::clone(&target.webhook),
        body,
    };
    match parts.sender.send(outgoing).await {
        Ok(outcome) => finished(url, Ended::Attempted(outcome)),
        Err(fault) => finished(url, Ended::Faulted(fault)),
    }
}

fn finish_of(outcome: &Outcome) -> Finish {
    match &outcome.error {
        None => Finish::Succeeded {
            latency: outcome.response.as_ref().map_or(outcome.duration, |response| response.duration),
        },
        Some(error) => Finish::Failed {
            is_illness: error.kind.is_illness(),
            retry_after: outcome.retry_after,
        },
    }
}
