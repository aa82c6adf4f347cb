//! The keeper: renews the lease. It waits for nothing else, and where the settings say so it has a thread of its own, so that whatever the
//! process is busy with, its lease does not run out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postrider_model::time::{Monotonic, Timestamp};
use postrider_ports::nodes::{NodeReport, NodeToken, Roster};
use postrider_ports::{Clock, Nodes, StoreError};
use tokio::sync::{Notify, watch};

use super::membership::Terms;
use super::owners::Beaten;
use crate::dispatch::Load;
use crate::others::Others;
use crate::settings::{Keeper, NodeSettings};

/// What a beat brought.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// Whose beat it was.
    pub(crate) token: NodeToken,
    pub(crate) asked: Monotonic,
    pub(crate) answered: Monotonic,
    pub(crate) roster: Roster,
    pub(crate) beaten: Beaten,
    /// How often the lease had run out by then.
    pub(crate) lapses: u64,
}

/// The last beat, or why there is none yet.
pub(crate) type Reports = watch::Receiver<Option<Result<Arc<Report>, StoreError>>>;

/// Makes the beats. Ends when nobody reads what they bring, or when it is told to stop.
pub(crate) struct Beats {
    pub(crate) nodes: Arc<dyn Nodes>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) others: Arc<Others>,
    pub(crate) load: watch::Receiver<Load>,
    pub(crate) started_at: Timestamp,
    pub(crate) settings: NodeSettings,
    pub(crate) terms: Terms,
    pub(crate) bell: Arc<Bell>,
}

/// What others tell the keeper.
#[derive(Default)]
pub(crate) struct Bell {
    /// Beat now.
    pub(crate) hurry: Notify,
    pub(crate) is_leaving: AtomicBool,
    pub(crate) is_to_stop: AtomicBool,
}

impl Bell {
    /// This node is about to stop, and says so with its next beat.
    pub(crate) fn leave(&self) {
        self.is_leaving.store(true, Ordering::Release);
        self.hurry.notify_one();
    }

    /// No more beats.
    pub(crate) fn stop(&self) {
        self.is_to_stop.store(true, Ordering::Release);
        self.hurry.notify_one();
    }
}

impl Beats {
    /// Begins to beat where the settings say. What the beats bring; the first is awaited by who starts a node.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(crate) fn start(self, spawn: impl FnOnce(BoxedTask)) -> Result<Reports, StoreError> {
        let (sender, reports) = watch::channel(None);
        match self.settings.keeper {
            Keeper::Task => spawn(Box::pin(self.run(sender))),
            Keeper::Thread => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.map_err(no_thread)?;
                let thread = std::thread::Builder::new().name("keeper".to_owned());
                thread.spawn(move || runtime.block_on(self.run(sender))).map_err(no_thread)?;
            }
        }
        Ok(reports)
    }

    async fn run(self, reports: watch::Sender<Option<Result<Arc<Report>, StoreError>>>) {
        let mut was_gone = false;
        loop {
            let asked = self.clock.mono();
            let beaten = tokio::select! {
                biased;
                () = reports.closed() => return,
                beaten = self.beat(asked) => beaten,
            };
            match beaten {
                Ok(report) => {
                    was_gone = false;
                    reports.send_replace(Some(Ok(Arc::new(report))));
                }
                Err(error) => {
                    if !was_gone {
                        tracing::warn!(%error, "the lease of this node cannot be renewed, trying again");
                    }
                    was_gone = true;
                    if reports.borrow().is_none() {
                        reports.send_replace(Some(Err(error)));
                    }
                }
            }
            if self.bell.is_to_stop.load(Ordering::Acquire) {
                return;
            }
            tokio::select! {
                biased;
                () = reports.closed() => return,
                () = self.bell.hurry.notified() => {}
                () = self.clock.sleep_until(asked + self.terms.beat()) => {}
            }
            if self.bell.is_to_stop.load(Ordering::Acquire) {
                return;
            }
        }
    }

    /// One beat. The lease counts from the moment before it was sent.
    async fn beat(&self, asked: Monotonic) -> Result<Report, StoreError> {
        let owners = &self.others.owners;
        let token = owners.token();
        let roster = tokio::select! {
            biased;
            roster = self.nodes.beat(token, self.report()) => roster?,
            // What comes later than that is worth nothing.
            () = self.clock.sleep_until(asked + self.terms.held()) => return Err(unanswered()),
        };
        let answered = self.clock.mono();
        self.clock.follow(asked, answered, roster.wall);
        let beaten = owners.beaten(token, answered, asked + self.terms.held(), &roster);
        Ok(Report {
            token,
            asked,
            answered,
            roster,
            beaten,
            lapses: owners.lapses(),
        })
    }

    fn report(&self) -> NodeReport {
        let load = *self.load.borrow();
        NodeReport {
            name: self.settings.name.clone(),
            version: self.settings.version.clone(),
            roles: self.settings.roles,
            started_at: self.started_at,
            in_flight: load.in_flight as u64,
            waiting: load.waiting as u64,
            unrecorded: load.unrecorded as u64,
            is_leaving: self.bell.is_leaving.load(Ordering::Acquire),
        }
    }
}

/// A task that is spawned by who has the runtime.
pub(crate) type BoxedTask = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn unanswered() -> StoreError {
    StoreError::Unavailable {
        reason: "it did not answer a beat within the lease".to_owned(),
        retry_after: Duration::from_secs(1),
    }
}

fn no_thread(error: std::io::Error) -> StoreError {
    StoreError::Unavailable {
        reason: format!("no thread for the keeper of the lease: {error}"),
        retry_after: Duration::from_secs(1),
    }
}
