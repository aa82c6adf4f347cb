//! Ingest: an event, who wants it, one commit shared by all that wait at that moment, and on to dispatch.

use std::sync::Arc;
use std::time::Duration;

use postrider_lanes::Input;
use postrider_model::delivery::Progress;
use postrider_model::event::{Event, EventDraft, Resource};
use postrider_model::id::{AccountId, DeliveryId, EventId, WebhookId};
use postrider_model::limits::REQUEST_DELIVERIES_MAX;
use postrider_model::name::EventName;
use postrider_model::queue::{Position, Queued};
use postrider_model::time::Timestamp;
use postrider_ports::nodes::{Committed, NodeToken};
use postrider_ports::once::{AnswerKey, Keep, Kept, KeptAnswer, Written};
use postrider_ports::registry::AccountVersion;
use postrider_ports::store::{NewEvent, StoredEvent, Submission, Submitted};
use postrider_ports::{Clock, Random, Store, StoreError};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::counters::Counters;
use crate::dispatch::Message;
use crate::others::Others;
use crate::pace::Pace;
use crate::slots::owners::{Table, Whose};
use crate::streams::Waiters;
use crate::subscriptions::{AccountEntry, Target};

/// Requests in one commit.
const GROUP_REQUESTS_MAX: usize = 1_024;
/// When to come again after an overload.
const OVERLOAD_RETRY_AFTER: Duration = Duration::from_secs(1);

/// An event as a caller gives it; `data` is a JSON object as it was written.
#[derive(Clone, Debug)]
pub struct EventIn<'a> {
    /// What happened.
    pub name: EventName,
    /// To what.
    pub resource: Resource,
    /// The object, as it was written.
    pub data: &'a str,
    /// The caller's own id, where it gives one.
    pub id: Option<EventId>,
}

/// An event that is stored.
#[derive(Clone, Debug)]
pub struct Ingested {
    /// The event; where it was posted before, the first one.
    pub event: Arc<Event>,
    /// Whether it is new.
    pub is_new: bool,
}

/// Asks for a request's answer to be kept with its events, under its idempotency key.
#[derive(Clone)]
pub struct KeepIngested {
    /// Where.
    pub at: AnswerKey,
    /// Of which request.
    pub fingerprint: [u8; 32],
    /// Makes the answer. It may be called again where the transaction was rolled back.
    pub render: RenderIngested,
}

/// Makes the answer of the events that are stored; `None` where it is not one to be kept.
pub type RenderIngested = Arc<dyn Fn(&[Ingested]) -> Option<KeptAnswer> + Send + Sync>;

/// Why a request's events were not stored. None of them was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    /// Another event has this id, with other content.
    #[error("another event has this id, with other content")]
    IdTaken {
        /// Which event of the request.
        index: usize,
    },
    /// One request may not make so many deliveries.
    #[error("the request would make {count} deliveries, at most {REQUEST_DELIVERIES_MAX} are allowed")]
    TooManyDeliveries {
        /// How many it would make.
        count: usize,
    },
    /// An answer stands under the request's idempotency key already.
    #[error("the idempotency key has an answer already")]
    Kept(Box<Kept>),
    /// The account is gone.
    #[error("the account is deleted")]
    AccountGone,
    /// The key that was used is gone, or may no longer do this: authenticate again.
    #[error("the key has changed")]
    KeyChanged,
    /// Too many requests wait already.
    #[error("too many requests wait to be stored")]
    Overloaded {
        /// When to come again.
        retry_after: Duration,
    },
    /// The engine is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// The store did not take them.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// For each event of a request, the webhooks that want it.
type Wanted = Vec<Vec<Arc<Target>>>;

/// A request on its way to a commit.
pub(crate) struct Request {
    submission: Submission,
    /// The targets of each event's deliveries, in their order.
    targets: Wanted,
    answer: oneshot::Sender<Result<Submitted, StoreError>>,
}

/// What handlers hold: makes events, and hands them to the collector.
pub(crate) struct Ingest {
    collector: mpsc::Sender<Request>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

/// What came of one try.
pub(crate) enum Tried {
    /// All are stored.
    Stored(Vec<Ingested>),
    /// The account changed meanwhile: read it anew and fan out again.
    Stale,
}

impl Ingest {
    pub(crate) fn new(collector: mpsc::Sender<Request>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { collector, clock, random }
    }

    /// Requests that wait for the next commit.
    pub(crate) fn waiting(&self) -> usize {
        self.collector.max_capacity() - self.collector.capacity()
    }

    /// Fans the events out to the webhooks that `account` has now, and stores all or none of them.
    pub(crate) async fn try_once(
        &self,
        account: &AccountEntry,
        events: &[EventIn<'_>],
        keep: Option<KeepIngested>,
    ) -> Result<Tried, IngestError> {
        let now = self.clock.wall();
        let (mut submission, targets) = self.fan_out(account, events, now)?;
        let made: Vec<_> = submission.events.iter().map(|new| Arc::clone(&new.event)).collect();
        submission.keep = keep.map(|keep| keep_with(keep, made.clone(), now));
        let (answer, answered) = oneshot::channel();
        self.collector
            .try_send(Request {
                submission,
                targets,
                answer,
            })
            .map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => IngestError::Overloaded {
                    retry_after: OVERLOAD_RETRY_AFTER,
                },
                mpsc::error::TrySendError::Closed(_) => IngestError::Stopping,
            })?;
        match answered.await.map_err(|_| IngestError::Stopping)?? {
            Submitted::Stored(stored) => Ok(Tried::Stored(ingested(&made, &stored))),
            Submitted::Stale => Ok(Tried::Stale),
            Submitted::NoAccount => Err(IngestError::AccountGone),
            Submitted::IdTaken { index } => Err(IngestError::IdTaken { index }),
            Submitted::Kept(kept) => Err(IngestError::Kept(Box::new(kept))),
            Submitted::Refused(error) => Err(IngestError::Store(error)),
        }
    }

    fn fan_out(&self, account: &AccountEntry, events: &[EventIn<'_>], now: Timestamp) -> Result<(Submission, Wanted), IngestError> {
        let id = account.snapshot.account.id;
        let wanted: Wanted = events
            .iter()
            .map(|event| account.wanting(&event.name).into_iter().cloned().collect())
            .collect();
        let count = wanted.iter().map(Vec::len).sum();
        if count > REQUEST_DELIVERIES_MAX {
            return Err(IngestError::TooManyDeliveries { count });
        }
        let new_events = events.iter().zip(&wanted).map(|(event, targets)| {
            let draft = EventDraft {
                name: event.name.clone(),
                resource: event.resource.clone(),
                data: event.data,
            };
            let event_id = event.id.clone().unwrap_or_else(|| EventId::new(now, self.random.bits()));
            NewEvent {
                event: Arc::new(Event::new(id, event_id, draft, now)),
                deliveries: self.deliveries(targets, now),
            }
        });
        let submission = Submission {
            account: id,
            version: account.snapshot.version,
            events: new_events.collect(),
            keep: None,
        };
        Ok((submission, wanted))
    }

    fn deliveries(&self, targets: &[Arc<Target>], now: Timestamp) -> Vec<(DeliveryId, WebhookId)> {
        targets
            .iter()
            .map(|target| (DeliveryId::new(now, self.random.bits()), target.webhook.id))
            .collect()
    }
}

/// The events that a request made, or those that were there already.
fn ingested(made: &[Arc<Event>], stored: &[StoredEvent]) -> Vec<Ingested> {
    let pairs = made.iter().zip(stored);
    pairs
        .map(|(event, stored)| match stored {
            StoredEvent::New { .. } => Ingested {
                event: Arc::clone(event),
                is_new: true,
            },
            StoredEvent::Repeated(first) => Ingested {
                event: Arc::clone(first),
                is_new: false,
            },
        })
        .collect()
}

/// The answer is made of what was stored, so the store is told how, with the events that were made for it.
fn keep_with(keep: KeepIngested, made: Vec<Arc<Event>>, now: Timestamp) -> Keep {
    let KeepIngested { at, fingerprint, render } = keep;
    Keep {
        at,
        fingerprint,
        now,
        render: Arc::new(move |written| match written {
            Written::Events(stored) => render(&ingested(&made, stored)),
            _ => None,
        }),
    }
}

/// The collector: takes all requests that wait, commits them together, hands what is stored to dispatch, answers. Those that come while a
/// commit runs make the next group.
pub(crate) struct Collector {
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) dispatch: mpsc::Sender<Message>,
    /// Told when a fan-out was stored that is too large to be queued at once.
    pub(crate) fanouts: Arc<Notify>,
    pub(crate) clock: Arc<dyn Clock>,
    /// From the begin of one commit to that of the next, unless many wait.
    pub(crate) interval: Duration,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) others: Option<Arc<Others>>,
}

impl Collector {
    pub(crate) async fn run(mut self) {
        let mut waiting = Vec::with_capacity(GROUP_REQUESTS_MAX);
        let mut pace = Pace::new(self.interval);
        while self.requests.recv_many(&mut waiting, GROUP_REQUESTS_MAX).await > 0 {
            self.gather(&mut waiting, &pace).await;
            let (group, began) = (waiting.len(), self.clock.mono());
            self.commit(std::mem::take(&mut waiting)).await;
            pace.committed(group, self.requests.len(), (began, self.clock.mono()));
        }
    }

    /// Lets others join a small group until its time has come.
    async fn gather(&mut self, waiting: &mut Vec<Request>, pace: &Pace) {
        while let Some(until) = pace.wait(waiting.len(), self.clock.mono()) {
            let room = GROUP_REQUESTS_MAX - waiting.len();
            tokio::select! {
                biased;
                taken = self.requests.recv_many(waiting, room) => if taken == 0 { return },
                () = self.clock.sleep_until(until) => {}
            }
        }
    }

    async fn commit(&self, group: Vec<Request>) {
        let submissions = group.iter().map(|request| request.submission.clone()).collect();
        match self.store.commit_events(submissions).await {
            Ok(results) => self.hand_on(group, results).await,
            Err(error) => {
                for request in group {
                    answer(request.answer, Err(error.clone()));
                }
            }
        }
    }

    /// First to dispatch, then to the callers: so that whoever asks for a retry finds it there.
    async fn hand_on(&self, group: Vec<Request>, results: Vec<Submitted>) {
        let mut inputs = Vec::with_capacity(group.len());
        let mut answers = Vec::with_capacity(group.len());
        let mut made = Made::default();
        // Whose a delivery is is decided after the commit: who takes a slot from now on finds it in the store.
        let table = self.others.as_ref().map(|others| others.owners.table());
        let mut work = Work {
            inputs: &mut inputs,
            table: table.as_ref(),
            elsewhere: Vec::new(),
            all_queued: true,
        };
        for (request, result) in group.into_iter().zip(results) {
            if let Submitted::Stored(stored) = &result {
                made.add(&request, stored);
                work.add(&request, stored);
            }
            answers.push((request.answer, result));
        }
        let Work { elsewhere, all_queued, .. } = work;
        if !all_queued {
            self.fanouts.notify_one();
        }
        if let Some(others) = &self.others {
            others.waker.committed(elsewhere);
            if !all_queued {
                others.wake_who_dispatches();
            }
        }
        made.count(&self.counters);
        self.waiters.wake(made.accounts.iter().copied());
        if !inputs.is_empty() && self.dispatch.send(Message::Inputs(inputs)).await.is_err() {
            // Dispatch has ended: the deliveries stand in the store, and the next start finds them.
            tracing::debug!("stored while stopping: left to the next start");
        }
        for (sender, result) in answers {
            answer(sender, Ok(result));
        }
    }
}

/// What a group has made.
#[derive(Default)]
struct Made {
    events: usize,
    deliveries: usize,
    /// Whose events they are, one after the other: at most one entry for each request of the group.
    accounts: Vec<AccountId>,
}

impl Made {
    fn add(&mut self, request: &Request, stored: &[StoredEvent]) {
        let account = request.submission.account;
        if self.accounts.last() != Some(&account) {
            self.accounts.push(account);
        }
        for (new, stored) in request.submission.events.iter().zip(stored) {
            if matches!(stored, StoredEvent::New { .. }) {
                self.events += 1;
                self.deliveries += new.deliveries.len();
            }
        }
    }

    fn count(&self, counters: &Counters) {
        counters.ingest_groups.add(1);
        counters.events_accepted.add(self.events);
        counters.deliveries_created.add(self.deliveries);
    }
}

/// What is to be sent of a group.
struct Work<'a> {
    inputs: &'a mut Vec<Input>,
    /// `None` where this node owns all.
    table: Option<&'a Table>,
    /// What other nodes send: at most one entry for each delivery of the group.
    elsewhere: Vec<(NodeToken, Committed)>,
    /// Whether all of it stands in the queue already.
    all_queued: bool,
}

impl Work<'_> {
    fn add(&mut self, request: &Request, stored: &[StoredEvent]) {
        for ((new, targets), stored) in request.submission.events.iter().zip(&request.targets).zip(stored) {
            match stored {
                StoredEvent::New { position, queued: true } => {
                    for ((delivery, _), target) in new.deliveries.iter().zip(targets) {
                        let queued = queued(&new.event, *delivery, target.webhook.id, *position);
                        self.add_delivery(queued, target, request.submission.version);
                    }
                }
                StoredEvent::New { queued: false, .. } => self.all_queued = false,
                StoredEvent::Repeated(_) => {}
            }
        }
    }

    fn add_delivery(&mut self, queued: Queued, target: &Target, version: AccountVersion) {
        match self.table.map_or(Whose::Own, |table| table.whose(queued.webhook)) {
            Whose::Own => self.inputs.push(Input::Committed {
                queued,
                lane: target.lane(),
            }),
            Whose::Of(owner) => self.elsewhere.push((owner, Committed { queued, version })),
            Whose::Nobodys => {}
        }
    }
}

fn queued(event: &Event, delivery: DeliveryId, webhook: WebhookId, position: Position) -> Queued {
    Queued {
        delivery,
        account: event.account,
        webhook,
        event: Some(event.id.clone()),
        progress: Progress::new(event.created_at),
        due: event.created_at,
        is_urgent: false,
        position,
        body: event.body.clone(),
    }
}

fn answer(sender: oneshot::Sender<Result<Submitted, StoreError>>, result: Result<Submitted, StoreError>) {
    // A caller that has gone away needs no answer; what was stored is delivered all the same.
    let _ = sender.send(result);
}
