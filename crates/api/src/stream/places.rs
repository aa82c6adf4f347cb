//! How many streams there are, all together and of each account.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use postrider_model::id::AccountId;
use postrider_model::limits::{EVENT_STREAMS_MAX, EVENT_STREAMS_PER_ACCOUNT_MAX};
use rustc_hash::FxHashMap;
use tokio::sync::{Semaphore, watch};

/// When to come again where all places are taken.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(10);
/// Streams that hold a page of events at one time: at 4 MiB for a page, so much memory is what they take together.
const PAGES_MAX: usize = 64;

/// All streams of a server.
pub(crate) struct Streams {
    open: Mutex<Open>,
    /// Taken while a stream holds a page.
    pub(super) pages: Semaphore,
    /// True once the server stops.
    pub(super) stopping: watch::Sender<bool>,
}

#[derive(Default)]
struct Open {
    all: usize,
    /// Accounts that have streams: at most as many as there are streams, [`EVENT_STREAMS_MAX`].
    of_account: FxHashMap<AccountId, usize>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    OfAccount,
    OfAll,
}

/// The place of one stream; given back when it is dropped.
pub(super) struct Place {
    pub(super) streams: Arc<Streams>,
    account: AccountId,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            open: Mutex::default(),
            pages: Semaphore::new(PAGES_MAX),
            stopping: watch::Sender::new(false),
        }
    }
}

impl Streams {
    /// A place for one more.
    pub(super) fn enter(streams: &Arc<Self>, account: AccountId) -> Result<Place, Full> {
        let mut open = streams.open.lock();
        if open
            .of_account
            .get(&account)
            .is_some_and(|count| *count >= EVENT_STREAMS_PER_ACCOUNT_MAX)
        {
            return Err(Full::OfAccount);
        }
        if open.all >= EVENT_STREAMS_MAX {
            return Err(Full::OfAll);
        }
        open.all += 1;
        *open.of_account.entry(account).or_default() += 1;
        drop(open);
        Ok(Place {
            streams: Arc::clone(streams),
            account,
        })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.open.lock().all
    }

    /// Ends all of them: the server stops.
    pub(crate) fn end(&self) {
        self.stopping.send_replace(true);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock();
        open.all = open.all.saturating_sub(1);
        if let Some(count) = open.of_account.get_mut(&self.account) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.of_account.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_so_many_and_all_together_so_many() {
        let streams = Arc::new(Streams::default());
        let enter = |account: u128| Streams::enter(&streams, AccountId::from_u128(account));
        let mut places: Vec<_> = (0..EVENT_STREAMS_PER_ACCOUNT_MAX)
            .map(|_| enter(1).unwrap_or_else(|_| panic!()))
            .collect();
        assert_eq!(enter(1).err(), Some(Full::OfAccount));
        places.pop();
        places.extend(enter(1).ok());
        let mut account = 2;
        while let Ok(place) = enter(account) {
            places.push(place);
            account += 1;
        }
        assert_eq!((places.len(), enter(account).err()), (EVENT_STREAMS_MAX, Some(Full::OfAll)));
        drop(places);
        assert_eq!((streams.count(), streams.open.lock().of_account.len()), (0, 0));
    }
}
