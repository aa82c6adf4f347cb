//! The mover: carries out what the membership decides. Slots are taken by compare-and-set; what is handed over stops in the lanes first,
//! ends what is in flight, is recorded, and only then released.

use std::sync::Arc;
use std::time::Duration;

use postrider_lanes::Input;
use postrider_model::slot::{Slot, SlotSet};
use postrider_model::time::Monotonic;
use postrider_ports::nodes::{NodeToken, Roster, Wake};
use postrider_ports::{Clock, Nodes, Random};
use tokio::sync::{mpsc, oneshot};

use super::keeper::{Bell, Report, Reports};
use super::membership::{Membership, Plan, Terms};
use super::owners::Beaten;
use crate::directory::Directory;
use crate::dispatch::Message;
use crate::others::Others;

/// How often it is looked whether what is handed over has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Slots that are handed over are released after this, though something still is in flight or unrecorded: longer than any attempt.
/// What comes of it is recorded all the same; it may be sent twice.
const HAND_OVER_TIME_MAX: Duration = Duration::from_secs(40);

/// What a node that stops asks of its mover.
pub(crate) enum Leaving {
    /// Hand over what can be.
    Begin,
    /// All has ended, or the patience has: release the rest, remove the row of this node, and say so.
    End(oneshot::Sender<()>),
}

/// The task that moves slots.
pub(crate) struct Mover {
    pub(crate) nodes: Arc<dyn Nodes>,
    pub(crate) others: Arc<Others>,
    pub(crate) reports: Reports,
    pub(crate) bell: Arc<Bell>,
    pub(crate) leaving: mpsc::Receiver<Leaving>,
    pub(crate) dispatch: mpsc::Sender<Message>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) terms: Terms,
    /// The longest time for which a write of a node that died may still come through.
    pub(crate) write_time_max: Duration,
    pub(crate) membership: Membership,
    /// When the slots that are handed over are released at the latest.
    pub(crate) hand_over_until: Monotonic,
}

impl Mover {
    pub(crate) async fn run(mut self) {
        // The first beat was seen by who started the node, not yet by this task.
        self.reports.mark_changed();
        loop {
            let is_handing_over = !self.membership.leaving().is_empty();
            let look_at = self.clock.mono() + LOOK_INTERVAL;
            tokio::select! {
                // In a fixed order: a seed replays what happened.
                biased;
                leaving = self.leaving.recv() => match leaving {
                    Some(Leaving::Begin) => self.begin_to_leave().await,
                    Some(Leaving::End(answer)) => return self.leave(answer).await,
                    None => return,
                },
                changed = self.reports.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let report = self.reports.borrow_and_update().clone();
                    if let Some(Ok(report)) = report {
                        self.hear(&report).await;
                    }
                }
                () = self.others.slots.notified() => self.look().await,
                () = self.clock.sleep_until(look_at), if is_handing_over => self.release(false).await,
            }
        }
    }

    async fn hear(&mut self, report: &Report) {
        if report.token != self.others.owners.token() {
            return;
        }
        match report.beaten {
            Beaten::OtherHistory => self.begin_anew(report).await,
            Beaten::Held => self.see(report.asked, report.answered, &report.roster, report.lapses).await,
        }
    }

    /// Looks at the roster without a beat: something has changed.
    async fn look(&mut self) {
        let (asked, lapses) = (self.clock.mono(), self.others.owners.lapses());
        match self.nodes.roster().await {
            Ok(roster) => {
                self.others.owners.heard(&roster);
                self.see(asked, self.clock.mono(), &roster, lapses).await;
            }
            Err(error) => tracing::debug!(%error, "the roster cannot be read, the next beat brings it"),
        }
    }

    async fn see(&mut self, asked: Monotonic, answered: Monotonic, roster: &Roster, lapses: u64) {
        let plan = self.membership.see(asked, answered, roster);
        let Plan {
            own,
            lost,
            hand_over,
            take,
            dead,
        } = plan;
        if !lost.is_empty() {
            tracing::warn!(slots = lost.len(), "slots of this node were taken over by others");
            self.disown(&lost.into_iter().collect()).await;
        }
        // A beat that was answered beyond the lease leaves of the slots what its own roster says: those that were taken after it are among
        // what this node has, and are sent for by nobody.
        let sent_for = self.others.owners.own();
        let confirmed = self.membership.confirmed(asked, roster);
        let silent = confirmed.iter().filter(|slot| !sent_for.contains(*slot));
        let own: SlotSet = own.into_iter().chain(silent).collect();
        if !own.is_empty() {
            self.own(own, lapses).await;
        }
        if !hand_over.is_empty() {
            self.hand_over(&hand_over).await;
        }
        if !take.is_empty() {
            self.take(take).await;
        }
        self.bury(dead, roster).await;
    }

    async fn take(&mut self, slots: Vec<(Slot, Option<NodeToken>)>) {
        let owners = &self.others.owners;
        let (token, lapses) = (owners.token(), owners.lapses());
        match self.nodes.take_slots(token, slots).await {
            Ok(taken) if taken.is_empty() => {}
            Ok(taken) => {
                self.membership.taken(self.clock.mono(), &taken);
                self.own(taken.into_iter().collect(), lapses).await;
            }
            // Where the answer alone was lost, the next roster tells.
            Err(error) => tracing::debug!(%error, "no slots were taken"),
        }
    }

    /// Slots are this node's: first what is judged before each attempt, then the lanes, then what waits in the store for them.
    async fn own(&mut self, slots: SlotSet, lapses: u64) {
        if !self.others.owners.add(&slots, lapses, self.clock.mono()) {
            self.membership.not_held(&slots);
            return;
        }
        tracing::info!(slots = slots.len(), "this node sends for more slots");
        self.tell(Input::Own { slots }).await;
        // Whoever looked while they were nobody's tells nobody of what it takes in for them.
        self.others.waker.all(Wake::Slots);
        let (now, beat) = (self.clock.mono(), self.terms.beat());
        let looks = [
            Duration::ZERO,
            // All have heard whose they are,
            beat / 5,
            // or have seen it with their next beat, where that word was lost,
            2 * beat,
            // and no write that began under the old owner can come through any more.
            self.write_time_max,
        ];
        self.others.sweeps.look_at(&slots, looks.map(|after| now + after));
    }

    async fn disown(&self, slots: &SlotSet) {
        self.others.owners.remove(slots);
        self.tell(Input::Disown { slots: *slots }).await;
    }

    async fn hand_over(&mut self, slots: &[Slot]) {
        tracing::info!(slots = slots.len(), "this node hands slots over");
        self.membership.hands_over(slots);
        self.disown(&slots.iter().copied().collect()).await;
        self.hand_over_until = self.clock.mono() + HAND_OVER_TIME_MAX;
        self.release(false).await;
    }

    /// Releases those of the slots on their way of which nothing is under way any more; all of them where patience has ended.
    async fn release(&mut self, is_last: bool) {
        let leaving = *self.membership.leaving();
        let (answer, answered) = oneshot::channel();
        if self.dispatch.send(Message::Busy(leaving, answer)).await.is_err() {
            return;
        }
        let Ok(busy) = answered.await else { return };
        let is_over = is_last || self.clock.mono() >= self.hand_over_until;
        let idle: SlotSet = leaving.iter().filter(|slot| is_over || !busy.contains(*slot)).collect();
        if idle.is_empty() {
            return;
        }
        match self.nodes.release_slots(self.others.owners.token(), idle.iter().collect()).await {
            Ok(()) => {
                self.membership.released(self.clock.mono(), &idle);
                self.others.waker.all(Wake::Slots);
            }
            Err(error) => tracing::debug!(%error, "slots cannot be released yet, trying again"),
        }
    }

    /// Removes the rows of dead nodes, which frees their slots, and takes its share of those at once.
    async fn bury(&mut self, dead: Vec<(NodeToken, u64)>, roster: &Roster) {
        let mut is_any = false;
        for (token, beat) in dead {
            match self.nodes.remove_node(token, beat).await {
                Ok(true) => {
                    let name = roster
                        .nodes
                        .iter()
                        .find(|node| node.token == token)
                        .map(|node| node.report.name.as_str());
                    tracing::warn!(node = name, "another node is dead: its slots are taken over");
                    is_any = true;
                }
                Ok(false) => {}
                Err(error) => tracing::debug!(%error, "the row of a dead node cannot be removed yet"),
            }
        }
        if is_any {
            self.others.waker.all(Wake::Slots);
            self.others.slots.notify_one();
        }
    }

    /// The store has another history: all that this node knows may be of writes that are lost.
    async fn begin_anew(&mut self, report: &Report) {
        tracing::warn!("the store has another history since a failover: this node begins anew");
        let token = new_token(&*self.random);
        self.others.owners.renew(token);
        self.membership = Membership::new(self.terms, token, self.others.dispatches);
        self.tell(Input::Disown { slots: SlotSet::ALL }).await;
        self.directory.forget_all();
        self.others.feed.restart();
        let beat = report
            .roster
            .nodes
            .iter()
            .find(|node| node.token == report.token)
            .map(|node| node.beat);
        if let Some(beat) = beat
            && let Err(error) = self.nodes.remove_node(report.token, beat).await
        {
            tracing::debug!(%error, "the row of this node's former run stays until its lease has run out");
        }
        self.bell.hurry.notify_one();
    }

    async fn begin_to_leave(&mut self) {
        self.membership.leave();
        self.bell.leave();
        let owned: Vec<Slot> = self.membership.owned().iter().collect();
        if !owned.is_empty() {
            self.hand_over(&owned).await;
        }
    }

    async fn leave(mut self, answer: oneshot::Sender<()>) {
        if !self.membership.leaving().is_empty() {
            self.release(true).await;
        }
        self.bell.stop();
        // Ends with the keeper: no beat makes the row anew.
        while self.reports.changed().await.is_ok() {}
        let token = self.others.owners.token();
        if let Ok(roster) = self.nodes.roster().await
            && let Some(beat) = roster.nodes.iter().find(|node| node.token == token).map(|node| node.beat)
            && let Err(error) = self.nodes.remove_node(token, beat).await
        {
            tracing::debug!(%error, "the row of this node stays until its lease has run out");
        }
        if let Err(error) = self.nodes.wake(token, None, vec![Wake::Slots]).await {
            tracing::debug!(%error, "others see with their next beat that this node has gone");
        }
        // Whoever waited may have lost patience.
        let _ = answer.send(());
    }

    async fn tell(&self, input: Input) {
        if self.dispatch.send(Message::Inputs(vec![input])).await.is_err() {
            tracing::debug!("slots moved while stopping");
        }
    }
}

/// A token for one run of a node.
pub(crate) fn new_token(random: &dyn Random) -> NodeToken {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    NodeToken(u128::from_be_bytes(bytes))
}
