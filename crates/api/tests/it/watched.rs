//! A store whose calls are watched: a test knows when nothing is under way, however long a real store takes, and may step in between.

mod ports;

use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use postrider_ports::{Store, StoreError};
use tokio::sync::watch;

/// After so many turns of all tasks in which none called the store, all of them wait for time or for the test.
const QUIET_TURNS: usize = 200;

/// What is done before a call of this name goes on.
type Before = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The calls of a store. Clones watch the same ones.
#[derive(Clone)]
pub(crate) struct Calls(Arc<watch::Sender<Count>>);

#[derive(Clone, Copy, Default)]
struct Count {
    begun: u64,
    under_way: usize,
}

impl Calls {
    /// Ends when all that was set going waits for time or for the test: no call is under way, and none is made though every task has had
    /// its turns. Real time may pass, simulated time does not.
    pub(crate) async fn settle(&self) {
        let mut count = self.0.subscribe();
        loop {
            // It fails only where the sender is gone, and `self` holds it.
            let begun = count.wait_for(|count| count.under_way == 0).await.unwrap().begun;
            for _ in 0..QUIET_TURNS {
                tokio::task::yield_now().await;
            }
            let now = *self.0.borrow();
            if now.under_way == 0 && now.begun == begun {
                return;
            }
        }
    }
}

/// One call, until it ends or is given up.
struct UnderWay<'a>(&'a watch::Sender<Count>);

impl<'a> UnderWay<'a> {
    fn begin(calls: &'a Calls) -> Self {
        calls.0.send_modify(|count| {
            count.begun += 1;
            count.under_way += 1;
        });
        Self(&calls.0)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| count.under_way -= 1);
    }
}

/// The store that is watched.
pub(crate) struct WatchedStore {
    store: Arc<dyn Store>,
    calls: Calls,
    before: Mutex<Option<(&'static str, Before)>>,
}

impl WatchedStore {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            calls: Calls(Arc::new(watch::Sender::new(Count::default()))),
            before: Mutex::new(None),
        }
    }

    pub(crate) fn calls(&self) -> &Calls {
        &self.calls
    }

    /// The store itself, whose calls nobody watches.
    pub(crate) fn unwatched(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// From now on this is done before each call of this name.
    pub(crate) fn before<F: Future<Output = ()> + Send + 'static>(&self, call: &'static str, act: impl Fn() -> F + Send + Sync + 'static) {
        *self.before.lock() = Some((call, Arc::new(move || Box::pin(act()))));
    }

    /// Nothing is done before calls any more.
    pub(crate) fn before_nothing(&self) {
        *self.before.lock() = None;
    }

    async fn watch<T>(&self, name: &str, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let _under_way = UnderWay::begin(&self.calls);
        let before = self.before.lock().clone().filter(|(of, _)| *of == name);
        if let Some((_, act)) = before {
            act().await;
        }
        call.await
    }
}
