//! Retention: what was kept long enough is taken away, and so is what deleted accounts have left. In small steps with pauses between
//! them: whoever wants to write waits for one of them at most.

use std::sync::Arc;
use std::time::Duration;

use postrider_ports::store::Retire;
use postrider_ports::{Clock, Store, StoreError};
use tokio::sync::{Notify, mpsc};

use crate::counters::Counters;
use crate::dispatch::Message;

/// Rows of one step: few enough that the store's writer is not held for longer than a few ms.
const STEP_ROWS_MAX: usize = 250;
/// The shortest pause between two steps; it is as long as the step took, so that at least half of the time is for others.
const PAUSE_MIN: Duration = Duration::from_millis(2);
/// How often it is looked whether there is something to take away.
const INTERVAL: Duration = Duration::from_secs(60);

/// The task that takes away.
pub(crate) struct Retention {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) dispatch: mpsc::Sender<Message>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counters: Arc<Counters>,
    /// How long events and ended deliveries are kept.
    pub(crate) kept: Duration,
    /// Told when an account was deleted and all that was pending of it has ended.
    pub(crate) wanted: Arc<Notify>,
}

impl Retention {
    pub(crate) async fn run(self) {
        while !self.dispatch.is_closed() {
            if let Err(error) = self.all().await {
                tracing::warn!(%error, "what is kept no longer cannot be taken away yet, trying again");
            }
            tokio::select! {
                // In a fixed order: a seed replays what happened.
                biased;
                () = self.wanted.notified() => {}
                () = self.clock.sleep_until(self.clock.mono() + INTERVAL) => {}
            }
        }
    }

    /// Both kinds in turn: neither waits for the end of the other.
    async fn all(&self) -> Result<(), StoreError> {
        let (mut is_retiring, mut is_erasing) = (true, true);
        while (is_retiring || is_erasing) && !self.dispatch.is_closed() {
            if is_retiring {
                is_retiring = self.paced(self.retire()).await?;
            }
            if is_erasing {
                is_erasing = self.paced(self.store.erase_deleted(STEP_ROWS_MAX)).await?;
            }
        }
        Ok(())
    }

    async fn retire(&self) -> Result<bool, StoreError> {
        let now = self.clock.wall();
        let retired = self
            .store
            .retire(Retire {
                before: now - self.kept,
                now,
                rows_max: STEP_ROWS_MAX,
            })
            .await?;
        self.counters.events_retired.add(retired.events);
        self.counters.deliveries_retired.add(retired.deliveries);
        Ok(retired.has_more)
    }

    /// One step, and after it as long a pause as it took, where there is more to do.
    async fn paced(&self, step: impl Future<Output = Result<bool, StoreError>>) -> Result<bool, StoreError> {
        let began = self.clock.mono();
        let has_more = step.await?;
        if has_more {
            let ended = self.clock.mono();
            self.clock.sleep_until(ended + ended.since(began).max(PAUSE_MIN)).await;
        }
        Ok(has_more)
    }
}
