//! What this node wakes others for, and whom: collected while a wake is under way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use postrider_model::id::{AccountId, WebhookId};
use postrider_model::queue::{Position, Queued};
use postrider_ports::nodes::{Committed, NodeToken, Wake};
use postrider_ports::{Clock, Nodes};
use tokio::sync::{Notify, mpsc};

use crate::dispatch::Message;
use crate::others::{Others, PAUSE};

/// A node is woken at most this often by another.
const WAKE_INTERVAL: Duration = Duration::from_millis(6);
/// Webhooks that are named to one node at once; with more it is told to look at all.
const WEBHOOKS_NAMED_MAX: usize = 512;
/// Bytes of bodies that are handed over to one node at once; what comes behind is named, and read from the store.
const HANDED_OVER_BYTES_MAX: usize = 512 * 1024;
/// Deliveries that are handed over to one node at once.
const HANDED_OVER_MAX: usize = 1_024;

/// Collects whom to wake, while a wake is under way: after the commit, beside it.
#[derive(Default)]
pub(crate) struct Waker {
    pending: Mutex<Pending>,
    bell: Notify,
}

#[derive(Default)]
struct Pending {
    /// At most as many as there are nodes.
    work: BTreeMap<NodeToken, ForNode>,
    /// What all others are woken for: at most one of each kind.
    all: Vec<Wake>,
}

/// What one node is woken for.
#[derive(Default)]
struct ForNode {
    /// What is to be read from the store. At most `WEBHOOKS_NAMED_MAX` and one.
    named: BTreeMap<(AccountId, WebhookId), Position>,
    /// What comes along. At most `HANDED_OVER_MAX`, with at most `HANDED_OVER_BYTES_MAX` bytes of bodies.
    committed: Vec<Committed>,
    bytes: usize,
}

impl ForNode {
    fn name(&mut self, webhook: (AccountId, WebhookId), through: Position) {
        // One more than are named says that there are more.
        if self.named.len() <= WEBHOOKS_NAMED_MAX || self.named.contains_key(&webhook) {
            let last = self.named.entry(webhook).or_default();
            *last = (*last).max(through);
        }
    }

    fn hand_over(&mut self, committed: Committed) {
        let bytes = self.bytes + committed.queued.body.len();
        if self.committed.len() < HANDED_OVER_MAX && bytes <= HANDED_OVER_BYTES_MAX {
            self.bytes = bytes;
            self.committed.push(committed);
        } else {
            let Queued {
                account,
                webhook,
                position,
                ..
            } = committed.queued;
            self.name((account, webhook), position);
        }
    }

    fn wakes(self) -> Vec<Wake> {
        let committed = self.committed.into_iter().map(|committed| Wake::Committed(Box::new(committed)));
        if self.named.len() > WEBHOOKS_NAMED_MAX {
            return committed.chain([Wake::AnyWork]).collect();
        }
        let named = self.named.into_iter();
        let named = named.map(|((account, webhook), through)| Wake::Work { account, webhook, through });
        committed.chain(named).collect()
    }
}

impl Waker {
    /// Work for these webhooks was stored, up to these places: their owners are woken.
    pub(crate) fn work(&self, work: impl IntoIterator<Item = (NodeToken, ((AccountId, WebhookId), Position))>) {
        self.note(work, |node, (webhook, through)| node.name(webhook, through));
    }

    /// These deliveries were stored: they are handed over to their owners.
    pub(crate) fn committed(&self, committed: impl IntoIterator<Item = (NodeToken, Committed)>) {
        self.note(committed, ForNode::hand_over);
    }

    fn note<T>(&self, work: impl IntoIterator<Item = (NodeToken, T)>, add: impl Fn(&mut ForNode, T)) {
        let mut pending = self.pending.lock();
        let mut is_any = false;
        for (owner, one) in work {
            is_any = true;
            add(pending.work.entry(owner).or_default(), one);
        }
        drop(pending);
        if is_any {
            self.bell.notify_one();
        }
    }

    /// All other nodes are woken for this.
    pub(crate) fn all(&self, wake: Wake) {
        let mut pending = self.pending.lock();
        if !pending.all.contains(&wake) {
            pending.all.push(wake);
        }
        drop(pending);
        self.bell.notify_one();
    }

    fn take(&self) -> Vec<(Option<NodeToken>, Vec<Wake>)> {
        let Pending { work, all } = std::mem::take(&mut *self.pending.lock());
        let work = work.into_iter().map(|(owner, node)| (Some(owner), node.wakes()));
        let all = (!all.is_empty()).then_some((None, all));
        work.chain(all).collect()
    }
}

/// Wakes others, one after the other, on a way of its own.
pub(crate) struct Wakes {
    pub(crate) nodes: Arc<dyn Nodes>,
    pub(crate) others: Arc<Others>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dispatch: mpsc::Sender<Message>,
}

impl Wakes {
    pub(crate) async fn run(self) {
        while !self.dispatch.is_closed() {
            self.others.waker.bell.notified().await;
            let from = self.others.owners.token();
            let mut pause = WAKE_INTERVAL;
            for (to, wakes) in self.others.waker.take() {
                let work: Vec<_> = wakes.iter().filter_map(work_of).collect();
                if let Err(error) = self.nodes.wake(from, to, wakes).await {
                    tracing::debug!(%error, "another node was not woken");
                    pause = PAUSE;
                    // Its next sweep finds most of it, but not what is behind other work of the same webhook.
                    self.others.waker.work(work.into_iter().filter_map(|work| Some((to?, work))));
                }
            }
            self.clock.sleep_until(self.clock.mono() + pause).await;
        }
    }
}

/// For which webhook work is told of, and where it stands.
fn work_of(wake: &Wake) -> Option<((AccountId, WebhookId), Position)> {
    match wake {
        Wake::Committed(committed) => {
            let Queued {
                account,
                webhook,
                position,
                ..
            } = committed.queued;
            Some(((account, webhook), position))
        }
        Wake::Work { account, webhook, through } => Some(((*account, *webhook), *through)),
        Wake::AnyWork | Wake::Changes | Wake::Slots | Wake::Missed => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NodeToken = NodeToken(1);

    fn webhook(number: u128) -> (AccountId, WebhookId) {
        (AccountId::from_u128(1), WebhookId::from_u128(number))
    }

    #[test]
    fn what_comes_while_a_wake_is_under_way_makes_one_wake() {
        let waker = Waker::default();
        let at = Position::counted;
        waker.work([
            (ONE, (webhook(1), at(5))),
            (ONE, (webhook(1), at(3))),
            (NodeToken(2), (webhook(2), at(4))),
        ]);
        waker.all(Wake::Changes);
        waker.all(Wake::Changes);
        let work = |number, through| {
            let (account, webhook) = webhook(number);
            Wake::Work { account, webhook, through }
        };
        let expected = vec![
            (Some(ONE), vec![work(1, at(5))]),
            (Some(NodeToken(2)), vec![work(2, at(4))]),
            (None, vec![Wake::Changes]),
        ];
        assert_eq!(waker.take(), expected);
        assert!(waker.take().is_empty(), "said once");
    }

    #[test]
    fn who_has_too_much_to_be_named_looks_at_all() {
        let waker = Waker::default();
        let many = WEBHOOKS_NAMED_MAX as u128 * 3;
        waker.work((0..many).map(|number| (ONE, (webhook(number), Position::counted(1)))));
        assert_eq!(
            waker.pending.lock().work[&ONE].named.len(),
            WEBHOOKS_NAMED_MAX + 1,
            "and no more is kept"
        );
        assert_eq!(waker.take(), vec![(Some(ONE), vec![Wake::AnyWork])]);
    }
}
