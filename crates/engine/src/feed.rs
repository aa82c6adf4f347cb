//! The feed of changes that others made: another node, or another process on the same store.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postrider_lanes::Input;
use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::key::KeyOwner;
use postrider_ports::registry::{Changed, Told};
use postrider_ports::{Clock, Store, StoreError};
use rustc_hash::FxHashSet;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::directory::Directory;
use crate::dispatch::Message;
use crate::others::Others;
use crate::refill::gone;
use crate::slots::owners::Whose;
use crate::subscriptions::AccountEntry;

/// Lines that are known again when they are told again: more than are told while one write is open.
const LINES_KNOWN_MAX: usize = 16_384;

/// Tells the feed when to look.
#[derive(Default)]
pub(crate) struct FeedBell {
    /// It has grown.
    pub(crate) wanted: Notify,
    is_to_restart: AtomicBool,
}

impl FeedBell {
    /// The store has another history: places in the feed mean nothing any more.
    pub(crate) fn restart(&self) {
        self.is_to_restart.store(true, Ordering::Release);
        self.wanted.notify_one();
    }
}

/// Lines that were dealt with.
#[derive(Default)]
struct Known {
    /// Newest last, at most `LINES_KNOWN_MAX`.
    order: VecDeque<u64>,
    /// The same, so at most `LINES_KNOWN_MAX` too.
    places: FxHashSet<u64>,
}

impl Known {
    fn add(&mut self, place: u64) {
        if self.places.insert(place) {
            self.order.push_back(place);
        }
        if self.order.len() > LINES_KNOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
    }
}

/// Hears what others changed.
pub(crate) struct Feed {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) dispatch: mpsc::Sender<Message>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) interval: Duration,
    /// Where the feed stood before anything was cached.
    pub(crate) through: u64,
    pub(crate) others: Option<Arc<Others>>,
    known: Known,
}

impl Feed {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        directory: Arc<Directory>,
        (dispatch, clock): (mpsc::Sender<Message>, Arc<dyn Clock>),
        (through, interval): (u64, Duration),
        others: Option<Arc<Others>>,
    ) -> Self {
        Self {
            store,
            directory,
            dispatch,
            clock,
            interval,
            through,
            others,
            known: Known::default(),
        }
    }

    pub(crate) async fn run(mut self) {
        while !self.dispatch.is_closed() {
            self.wait().await;
            if let Err(error) = self.read().await {
                tracing::warn!(%error, "changes that others made cannot be read yet, trying again");
            }
        }
    }

    async fn wait(&self) {
        let next = self.clock.sleep_until(self.clock.mono() + self.interval);
        match &self.others {
            None => next.await,
            Some(others) => tokio::select! {
                biased;
                () = others.feed.wanted.notified() => {}
                () = next => {}
            },
        }
    }

    async fn read(&mut self) -> Result<(), StoreError> {
        let is_to_restart = |others: &Arc<Others>| others.feed.is_to_restart.swap(false, Ordering::AcqRel);
        if self.others.as_ref().is_some_and(is_to_restart) {
            self.through = self.store.changes(None).await?.through;
            self.known = Known::default();
            // What was cached before this place was known.
            self.directory.forget_all();
        }
        let feed = self.store.changes(Some(self.through)).await?;
        let news: Vec<Told> = feed
            .changes
            .into_iter()
            .filter(|told| !self.known.places.contains(&told.place))
            .collect();
        // Of an account that changed a hundred times since the last look, the last state says all.
        let mut touched: BTreeMap<AccountId, Vec<Touched>> = BTreeMap::new();
        let mut wanted = Vec::new();
        for told in &news {
            match told.changed {
                Changed::OperatorKeys => self.directory.forget_keys(KeyOwner::Operator),
                Changed::Account(account) => touched.entry(account).or_default().push(Touched::Account),
                Changed::Webhook(account, webhook) => touched.entry(account).or_default().push(Touched::Webhook(webhook)),
                Changed::Delivery(account, webhook, delivery) => wanted.push((account, webhook, delivery)),
            }
        }
        for (account, touched) in touched {
            // What is not cached is read when it is asked for; only the lanes of it have to be told.
            if self.directory.is_cached(account) || self.may_have_lanes(&touched) {
                tell(&self.directory, &self.dispatch, account, &touched).await?;
            } else {
                self.directory.forget_keys(KeyOwner::Account(account));
            }
        }
        for (account, webhook, delivery) in wanted {
            self.hurry(account, webhook, delivery).await?;
        }
        if self.others.is_some() {
            news.iter().for_each(|told| self.known.add(told.place));
        }
        self.through = feed.through;
        Ok(())
    }

    /// Whether lanes of this node may be of what was changed though the account is not cached. (Beside a server on SQLite another process
    /// changes keys alone.)
    fn may_have_lanes(&self, touched: &[Touched]) -> bool {
        let Some(others) = &self.others else { return false };
        let table = others.owners.table();
        let is_own = |webhook| table.whose(webhook) == Whose::Own;
        table.owns_any() && touched.iter().any(|touched| touched.webhook().is_none_or(is_own))
    }

    /// An attempt of a delivery is wanted now: to the head of its lane, where this node sends for it. It may be wanted no more: it was
    /// found by a sweep, or handed over by the very request that made it so.
    async fn hurry(&self, account: AccountId, webhook: WebhookId, delivery: DeliveryId) -> Result<(), StoreError> {
        let is_own = |others: &Arc<Others>| others.owners.table().whose(webhook) == Whose::Own;
        if !self.others.as_ref().is_some_and(is_own) {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        if self.dispatch.send(Message::Mark(answer)).await.is_err() {
            return Ok(());
        }
        let mark = answered.await.unwrap_or_default();
        let queued = self.store.queued(account, delivery).await?;
        if let Some(queued) = queued.filter(|queued| queued.is_urgent && queued.due <= self.clock.wall())
            && let Some(target) = self.directory.target(account, webhook).await?
            && self.dispatch.send(Message::Urgent(queued, target.lane(), mark)).await.is_err()
        {
            tracing::debug!("wanted while stopping: the next start sees it in the store");
        }
        Ok(())
    }
}

/// What was changed of an account.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Touched {
    /// The account itself, or its keys.
    Account,
    /// One of its webhooks.
    Webhook(WebhookId),
}

impl Touched {
    const fn webhook(self) -> Option<WebhookId> {
        match self {
            Self::Account => None,
            Self::Webhook(webhook) => Some(webhook),
        }
    }
}

/// Forgets what is cached of an account and its keys, and tells the lanes how its webhooks stand now. One at a time: who read the older
/// state must not speak last.
pub(crate) async fn tell(
    directory: &Directory,
    dispatch: &mpsc::Sender<Message>,
    account: AccountId,
    touched: &[Touched],
) -> Result<(), StoreError> {
    let _turn = directory.telling.lock().await;
    let inputs = refresh(directory, account, touched).await?;
    if !inputs.is_empty() && dispatch.send(Message::Inputs(inputs)).await.is_err() {
        tracing::debug!("changed while stopping: the next start sees it in the store");
    }
    Ok(())
}

async fn refresh(directory: &Directory, account: AccountId, touched: &[Touched]) -> Result<Vec<Input>, StoreError> {
    let before = directory.forget_account(account);
    directory.forget_keys(KeyOwner::Account(account));
    let after = directory.account(account).await?;
    let mut inputs = Vec::new();
    for target in before.iter().flat_map(|entry| entry.targets()) {
        let now = after.as_ref().and_then(|entry| entry.target(target.webhook.id));
        if now.is_none() {
            let mut lane = target.lane();
            lane.standing = postrider_lanes::input::Standing::Deleted;
            inputs.push(Input::WebhookChanged { lane });
        }
    }
    // A lane may be there though its account is not cached: whoever was deleted on another node is told to it all the same.
    for webhook in touched.iter().filter_map(|touched| touched.webhook()) {
        let is_of = |entry: &Arc<AccountEntry>| entry.target(webhook).is_some();
        if !before.as_ref().is_some_and(is_of) && !after.as_ref().is_some_and(is_of) {
            inputs.push(Input::WebhookChanged {
                lane: gone(account, webhook),
            });
        }
    }
    let known = |webhook| before.as_ref().and_then(|entry| entry.target(webhook));
    for target in after.iter().flat_map(|entry| entry.targets()) {
        let lane = target.lane();
        // Its lane may not know what the cache knew (a change whose answer was lost): what was touched is always told. The others need no
        // word where nothing changed: their lanes would only be read anew.
        let is_touched = touched.iter().any(|touched| match touched {
            Touched::Account => true,
            Touched::Webhook(webhook) => *webhook == target.webhook.id,
        });
        if is_touched || known(target.webhook.id).is_none_or(|old| old.lane() != lane) {
            inputs.push(Input::WebhookChanged { lane });
        }
    }
    Ok(inputs)
}
