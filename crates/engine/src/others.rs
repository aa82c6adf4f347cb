//! What a node among others knows and hears: who owns what, whom to wake, and what it was woken for itself. A node alone has none of it.

use std::sync::Arc;
use std::time::Duration;

use postrider_lanes::Input;
use postrider_model::id::{AccountId, WebhookId};
use postrider_model::queue::Position;
use postrider_ports::nodes::{Committed, NodeToken, Wake};
use postrider_ports::{Clock, Nodes};
use tokio::sync::{Notify, mpsc};

use crate::directory::Directory;
use crate::dispatch::Message;
use crate::feed::FeedBell;
use crate::refill::Sweeps;
use crate::slots::owners::{Owners, Whose};
use crate::waker::Waker;

/// How long after it could not be told or asked the store is told or asked again.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// Shared by all tasks of a node among others.
pub(crate) struct Others {
    pub(crate) owners: Owners,
    pub(crate) waker: Waker,
    pub(crate) sweeps: Sweeps,
    pub(crate) feed: FeedBell,
    /// Whether this node has lanes and does background steps.
    pub(crate) dispatches: bool,
    /// Told when slots were released elsewhere.
    pub(crate) slots: Notify,
    /// Asks for background steps now.
    pub(crate) steps: Arc<Notify>,
    /// Told when a job was made.
    pub(crate) jobs: Arc<Notify>,
}

impl Others {
    pub(crate) fn new(token: NodeToken, dispatches: bool, steps: Arc<Notify>, jobs: Arc<Notify>) -> Self {
        Self {
            dispatches,
            owners: Owners::new(token),
            waker: Waker::default(),
            sweeps: Sweeps::default(),
            feed: FeedBell::default(),
            slots: Notify::new(),
            steps,
            jobs,
        }
    }
}

impl Others {
    /// There may be work of any kind that this node knows nothing of.
    fn look_for_work(&self) {
        self.sweeps.wanted.notify_one();
        self.steps.notify_one();
        self.jobs.notify_one();
    }

    /// There is work in steps, which some node that dispatches is to take up now: this one does where it is one.
    pub(crate) fn wake_who_dispatches(&self) {
        if !self.dispatches {
            self.waker.all(Wake::AnyWork);
        }
    }
}

/// Hears what this node is woken for.
pub(crate) struct Woken {
    pub(crate) nodes: Arc<dyn Nodes>,
    pub(crate) others: Arc<Others>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dispatch: mpsc::Sender<Message>,
}

impl Woken {
    pub(crate) async fn run(self) {
        let mut lease = self.others.owners.lease();
        while !self.dispatch.is_closed() {
            let token = self.others.owners.token();
            let woken = tokio::select! {
                biased;
                // It may go by another token now.
                _ = lease.wait_for(|_| self.others.owners.token() != token) => continue,
                woken = self.nodes.woken(token) => woken,
            };
            match woken {
                Ok(wakes) => self.hear(wakes).await,
                Err(error) => {
                    tracing::debug!(%error, "this node cannot be woken by others for now");
                    self.clock.sleep_until(self.clock.mono() + PAUSE).await;
                }
            }
        }
    }

    async fn hear(&self, wakes: Vec<Wake>) {
        let mut inputs = Vec::new();
        for wake in wakes {
            match wake {
                Wake::Committed(committed) => inputs.push(self.take(*committed)),
                Wake::Work { account, webhook, through } => inputs.push(Input::StoredElsewhere { account, webhook, through }),
                Wake::AnyWork => self.others.look_for_work(),
                Wake::Changes => self.others.feed.wanted.notify_one(),
                Wake::Slots => self.others.slots.notify_one(),
                Wake::Missed => {
                    self.others.sweeps.have_missed();
                    self.others.look_for_work();
                    self.others.feed.wanted.notify_one();
                    self.others.slots.notify_one();
                }
            }
        }
        if !inputs.is_empty() && self.dispatch.send(Message::Inputs(inputs)).await.is_err() {
            tracing::debug!("woken while stopping");
        }
    }
}

impl Woken {
    /// A delivery goes on with the webhook as memory knows it only where that is how it was when the event was taken in.
    fn take(&self, committed: Committed) -> Input {
        let Committed { queued, version } = committed;
        let (account, webhook) = (queued.account, queued.webhook);
        match self.directory.cached_target_of(account, version, webhook) {
            Some(target) => Input::CommittedElsewhere {
                queued,
                lane: target.lane(),
            },
            None => Input::StoredElsewhere {
                account,
                webhook,
                through: queued.position,
            },
        }
    }
}

/// Tells whoever sends for them of webhooks that have new work in the store: the lanes of this node, or the node that owns them.
#[derive(Clone)]
pub(crate) struct Router {
    pub(crate) dispatch: mpsc::Sender<Message>,
    pub(crate) others: Option<Arc<Others>>,
}

impl Router {
    /// Work that is to be read from the store. False where the engine has ended.
    pub(crate) async fn left_behind(&self, work: impl IntoIterator<Item = (AccountId, WebhookId, Position)>) -> bool {
        let table = self.others.as_ref().map(|others| others.owners.table());
        let (mut inputs, mut elsewhere) = (Vec::new(), Vec::new());
        for (account, webhook, through) in work {
            match table.as_ref().map_or(Whose::Own, |table| table.whose(webhook)) {
                // Whether the webhook still is there is judged when it is refilled.
                Whose::Own => inputs.push(Input::LeftBehind { account, webhook, through }),
                Whose::Of(owner) => elsewhere.push((owner, ((account, webhook), through))),
                Whose::Nobodys => {}
            }
        }
        if let Some(others) = self.others.as_ref().filter(|_| !elsewhere.is_empty()) {
            others.waker.work(elsewhere);
        }
        inputs.is_empty() || self.dispatch.send(Message::Inputs(inputs)).await.is_ok()
    }
}
