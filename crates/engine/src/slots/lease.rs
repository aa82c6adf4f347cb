//! Tells the lanes when the lease runs out, and when there is one again. It only spares them useless work: that nothing is started
//! without a lease is judged before each attempt.

use std::sync::Arc;

use postrider_lanes::Input;
use postrider_ports::Clock;
use tokio::sync::mpsc;

use crate::dispatch::Message;
use crate::others::Others;

/// Watches the lease.
pub(crate) struct Lease {
    pub(crate) others: Arc<Others>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dispatch: mpsc::Sender<Message>,
}

impl Lease {
    pub(crate) async fn run(self) {
        let mut lease = self.others.owners.lease();
        let mut is_suspended = false;
        loop {
            let until = *lease.borrow_and_update();
            let is_held = self.others.owners.has_lease(self.clock.mono());
            if is_held == is_suspended {
                let input = if is_held {
                    tracing::warn!("this node has a lease again");
                    Input::Resume
                } else {
                    tracing::warn!("this node has no lease: nothing is sent until the store answers");
                    Input::Suspend
                };
                is_suspended = !is_held;
                if self.dispatch.send(Message::Inputs(vec![input])).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                biased;
                changed = lease.changed() => if changed.is_err() { return },
                () = self.clock.sleep_until(until.unwrap_or_default()), if is_held => {}
            }
        }
    }
}
