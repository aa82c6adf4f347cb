//! Wakes whoever waits for new events of an account. While nobody does, a commit costs one look at a number.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use postrider_model::id::AccountId;
use rustc_hash::FxHashMap;
use tokio::sync::watch;

use crate::Engine;

/// Who waits. Told by the collector after each commit.
#[derive(Default)]
pub(crate) struct Waiters {
    /// How many wait, all together.
    count: AtomicUsize,
    /// The accounts that are waited for: no more than there are waiters, whose number the API bounds.
    accounts: Mutex<FxHashMap<AccountId, watch::Sender<()>>>,
}

impl Waiters {
    /// Events of these accounts were stored.
    pub(crate) fn wake(&self, accounts: impl Iterator<Item = AccountId>) {
        // Whoever begins to wait after this look reads the store after it, and so sees what was committed before.
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let waiting = self.accounts.lock();
        for account in accounts {
            if let Some(sender) = waiting.get(&account) {
                sender.send_replace(());
            }
        }
    }
}

/// Says when there may be new events of an account.
pub struct NewEvents {
    account: AccountId,
    waiters: Arc<Waiters>,
    news: watch::Receiver<()>,
}

impl NewEvents {
    fn begin(waiters: &Arc<Waiters>, account: AccountId) -> Self {
        waiters.count.fetch_add(1, Ordering::SeqCst);
        let news = waiters.accounts.lock().entry(account).or_default().subscribe();
        Self {
            account,
            waiters: Arc::clone(waiters),
            news,
        }
    }

    /// What is stored from now on is news: to be called before the store is read.
    pub fn mark_seen(&mut self) {
        self.news.mark_unchanged();
    }

    /// Ends when events were stored since `mark_seen`. What other processes store it does not know: look every now and then all the same.
    pub async fn wait(&mut self) {
        if self.news.changed().await.is_err() {
            // The sender lives as long as this does.
            std::future::pending().await
        }
    }
}

impl Drop for NewEvents {
    fn drop(&mut self) {
        let mut accounts = self.waiters.accounts.lock();
        // This one is still counted.
        if accounts.get(&self.account).is_some_and(|sender| sender.receiver_count() <= 1) {
            accounts.remove(&self.account);
        }
        self.waiters.count.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Engine {
    /// Tells of new events of an account from now on.
    pub fn new_events(&self, account: AccountId) -> NewEvents {
        NewEvents::begin(&self.inner.waiters, account)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const ONE: AccountId = AccountId::from_u128(1);
    const TWO: AccountId = AccountId::from_u128(2);

    fn is_told(news: &mut NewEvents) -> bool {
        pin!(news.wait()).as_mut().poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn only_those_of_the_account_are_woken_and_nothing_between_is_missed() {
        let waiters = Arc::new(Waiters::default());
        let (mut one, mut two) = (NewEvents::begin(&waiters, ONE), NewEvents::begin(&waiters, TWO));
        one.mark_seen();
        waiters.wake([ONE].into_iter());
        assert!(is_told(&mut one), "stored between the read and the wait");
        assert!(!is_told(&mut two));
        assert!(!is_told(&mut one), "told once");
        waiters.wake([ONE].into_iter());
        one.mark_seen();
        assert!(!is_told(&mut one), "read since");
    }

    #[test]
    fn who_has_gone_leaves_nothing_behind() {
        let waiters = Arc::new(Waiters::default());
        let (first, second) = (NewEvents::begin(&waiters, ONE), NewEvents::begin(&waiters, ONE));
        drop(first);
        assert_eq!(waiters.accounts.lock().len(), 1);
        drop(second);
        assert!(waiters.accounts.lock().is_empty());
        assert_eq!(waiters.count.load(Ordering::SeqCst), 0);
    }
}
