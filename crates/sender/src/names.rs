//! Answers about names: asked for once at a time, kept for as long as they are good, and used for longer where nobody answers.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use postrider_model::time::Monotonic;
use postrider_ports::Clock;
use rustc_hash::FxHashMap;
use tokio::sync::watch;

use crate::resolve::{Answer, Resolve, ResolveError};

/// Most names whose addresses are kept.
pub(crate) const NAMES_MAX: usize = 16_384;
/// An answer is used at least so long: a burst of attempts is one question.
const GOOD_TIME_MIN: Duration = Duration::from_secs(5);
/// And at most so long, whatever its TTL: as long as a connection lives.
const GOOD_TIME_MAX: Duration = Duration::from_secs(5 * 60);
/// How long it is believed that there is no such name.
const NOT_FOUND_TIME: Duration = Duration::from_secs(5);
/// How old an answer may be that is used because nobody answers (RFC 8767 allows up to three days).
const STALE_TIME_MAX: Duration = Duration::from_secs(6 * 3600);
/// After a question that nobody answered the old answer is used for so long without asking (RFC 8767 §5).
const STALE_PAUSE: Duration = Duration::from_secs(30);

type Found = Result<Arc<[std::net::IpAddr]>, ResolveError>;

/// A cache before a resolver. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Names(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    resolver: Arc<dyn Resolve>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// At most `NAMES_MAX`.
    known: FxHashMap<Box<str>, Known>,
    /// Questions on their way: at most one for each attempt in flight.
    asked: FxHashMap<Box<str>, watch::Receiver<Option<Found>>>,
}

struct Known {
    found: Found,
    /// When it was answered.
    at: Monotonic,
    good_until: Monotonic,
}

impl Names {
    pub(crate) fn new(clock: Arc<dyn Clock>, resolver: Arc<dyn Resolve>) -> Self {
        Self(Arc::new(Inner {
            clock,
            resolver,
            state: Mutex::default(),
        }))
    }

    /// The addresses of a host.
    pub(crate) async fn find(&self, host: &str) -> Found {
        let mut asked = match self.ask(host) {
            Ok(found) => return found,
            Err(asked) => asked,
        };
        let answered = asked.wait_for(Option::is_some).await;
        answered
            .ok()
            .and_then(|found| found.clone())
            .unwrap_or_else(|| Err(ResolveError::Failed(format!("the lookup of {host} was given up"))))
    }

    /// What is known, or where the answer will come. A question goes on though whoever asked it gives up: others may wait for it.
    fn ask(&self, host: &str) -> Result<Found, watch::Receiver<Option<Found>>> {
        let now = self.0.clock.mono();
        let mut state = self.0.state.lock();
        if let Some(known) = state.known.get(host).filter(|known| now < known.good_until) {
            return Ok(known.found.clone());
        }
        if let Some(asked) = state.asked.get(host) {
            return Err(asked.clone());
        }
        let (answer, asked) = watch::channel(None);
        state.asked.insert(host.into(), asked.clone());
        drop(state);
        let names = self.clone();
        let host: Box<str> = host.into();
        tokio::spawn(async move {
            let unasked = Unasked { names, host };
            let result = unasked.names.0.resolver.resolve(&unasked.host).await;
            let found = unasked.names.learn(&unasked.host, result);
            drop(unasked);
            answer.send_replace(Some(found));
        });
        Err(asked)
    }

    fn learn(&self, host: &str, result: Result<Answer, ResolveError>) -> Found {
        let now = self.0.clock.mono();
        let mut state = self.0.state.lock();
        let (found, good_for) = match result {
            Ok(answer) if answer.addresses.is_empty() => (not_found(host), NOT_FOUND_TIME),
            Ok(answer) => (Ok(answer.addresses.into()), answer.good_for.clamp(GOOD_TIME_MIN, GOOD_TIME_MAX)),
            Err(error @ ResolveError::NotFound(_)) => (Err(error), NOT_FOUND_TIME),
            // Nothing was learned: an old answer is better than none.
            Err(error) => return state.stale(host, now).unwrap_or(Err(error)),
        };
        state.make_room(now);
        let known = Known {
            found: found.clone(),
            at: now,
            good_until: now + good_for,
        };
        state.known.insert(host.into(), known);
        found
    }
}

/// Takes a question off the list, though its task be dropped.
struct Unasked {
    names: Names,
    host: Box<str>,
}

impl Drop for Unasked {
    fn drop(&mut self) {
        self.names.0.state.lock().asked.remove(&self.host);
    }
}

impl State {
    fn stale(&mut self, host: &str, now: Monotonic) -> Option<Found> {
        let known = self.known.get_mut(host)?;
        if known.found.is_err() || now.since(known.at) > STALE_TIME_MAX {
            return None;
        }
        tracing::debug!(host, "no name server answers: an old answer is used");
        known.good_until = now + STALE_PAUSE;
        Some(known.found.clone())
    }

    /// At the limit what is no longer good goes, and where that is nothing, everything: it is a cache.
    fn make_room(&mut self, now: Monotonic) {
        if self.known.len() >= NAMES_MAX {
            self.known.retain(|_, known| now < known.good_until);
        }
        if self.known.len() >= NAMES_MAX {
            self.known.clear();
        }
    }
}

fn not_found(host: &str) -> Found {
    Err(ResolveError::NotFound(format!("{host} has no address")))
}
