//! What this node may send for at this moment, and whom to wake for the rest.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use postrider_model::id::WebhookId;
use postrider_model::slot::{Slot, SlotSet};
use postrider_model::time::Monotonic;
use postrider_ports::nodes::{NodeToken, Roster};
use tokio::sync::watch;

/// Shared by all tasks. Held for a few instructions at a time, never across an await.
pub(crate) struct Owners {
    state: RwLock<State>,
    /// Until when the lease holds, for who waits for its end.
    lease: watch::Sender<Option<Monotonic>>,
}

struct State {
    token: NodeToken,
    /// Which history of the store the lease is of.
    history: Option<u64>,
    /// Written by the keeper after each beat, read before each attempt.
    lease_until: Option<Monotonic>,
    /// How often there was no lease: what was taken before that may be another's.
    lapses: u64,
    /// Slots that this node sends for. Written by the mover; by the keeper where the lease had run out.
    own: SlotSet,
    /// Who owned each slot when the store last said so. `SLOTS` entries.
    owners: Arc<[Option<NodeToken>]>,
}

/// What a beat has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beaten {
    /// The lease holds.
    Held,
    /// The store has another history than that of the lease: all that is known of it may be of writes that are lost.
    OtherHistory,
}

/// Whose a webhook's slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// This node's.
    Own,
    /// Another's: to be woken.
    Of(NodeToken),
    /// Nobody's, or on its way: whoever takes it reads what waits.
    Nobodys,
}

/// Who owned what at one moment: looked at once for a whole group.
pub(crate) struct Table {
    token: NodeToken,
    own: SlotSet,
    owners: Arc<[Option<NodeToken>]>,
}

impl Table {
    /// Whether this node owns anything.
    pub(crate) fn owns_any(&self) -> bool {
        !self.own.is_empty()
    }

    /// Whose the webhook is.
    pub(crate) fn whose(&self, webhook: WebhookId) -> Whose {
        let slot = Slot::of(webhook);
        if self.own.contains(slot) {
            return Whose::Own;
        }
        let owner = self.owners.get(usize::from(slot.number())).copied().flatten();
        owner.filter(|owner| *owner != self.token).map_or(Whose::Nobodys, Whose::Of)
    }
}

impl Owners {
    /// Owns nothing, and has no lease.
    pub(crate) fn new(token: NodeToken) -> Self {
        Self {
            state: RwLock::new(State {
                token,
                history: None,
                lease_until: None,
                lapses: 0,
                own: SlotSet::EMPTY,
                owners: Arc::from([]),
            }),
            lease: watch::Sender::new(None),
        }
    }

    /// By which this node is known.
    pub(crate) fn token(&self) -> NodeToken {
        self.state.read().token
    }

    /// Slots that this node sends for.
    pub(crate) fn own(&self) -> SlotSet {
        self.state.read().own
    }

    /// Who owns what now.
    pub(crate) fn table(&self) -> Table {
        let state = self.state.read();
        Table {
            token: state.token,
            own: state.own,
            owners: Arc::clone(&state.owners),
        }
    }

    /// Whether this node may start an attempt for the webhook now: it holds its lease by its own clock, and the slot.
    pub(crate) fn may_send(&self, webhook: WebhookId, now: Monotonic) -> bool {
        let state = self.state.read();
        state.lease_until.is_some_and(|until| now < until) && state.own.contains(Slot::of(webhook))
    }

    /// Whether the lease holds at this moment.
    pub(crate) fn has_lease(&self, now: Monotonic) -> bool {
        self.state.read().lease_until.is_some_and(|until| now < until)
    }

    /// How long the lease still holds; zero without one.
    pub(crate) fn lease_left(&self, now: Monotonic) -> Duration {
        self.state.read().lease_until.map_or(Duration::ZERO, |until| until.since(now))
    }

    /// Who owns slots, as the store last said.
    pub(crate) fn nodes(&self) -> usize {
        let owners = Arc::clone(&self.state.read().owners);
        owners.iter().flatten().collect::<BTreeSet<_>>().len()
    }

    /// Told when the lease is renewed.
    pub(crate) fn lease(&self) -> watch::Receiver<Option<Monotonic>> {
        self.lease.subscribe()
    }

    /// How often there was no lease so far.
    pub(crate) fn lapses(&self) -> u64 {
        self.state.read().lapses
    }

    /// A beat of this token was answered with this roster: the lease holds until `until`. Where it had run out before the answer, others may
    /// have taken slots: only what the roster says is ours is ours still.
    pub(crate) fn beaten(&self, token: NodeToken, answered: Monotonic, until: Monotonic, roster: &Roster) -> Beaten {
        let mut state = self.state.write();
        if state.token != token {
            // A beat of the token before: it says nothing of this one.
            return Beaten::Held;
        }
        if state.history.is_some_and(|history| history != roster.history) {
            state.lose();
            self.lease.send_replace(None);
            return Beaten::OtherHistory;
        }
        state.history = Some(roster.history);
        if state.lease_until.is_none_or(|before| answered >= before) {
            state.lapses += 1;
            let own = state.own.iter().filter(|slot| roster.owner(*slot) == Some(token)).collect();
            state.own = own;
        }
        state.lease_until = Some(until);
        state.owners = Arc::from(roster.owners.as_slice());
        drop(state);
        self.lease.send_replace(Some(until));
        Beaten::Held
    }

    /// What a roster without a beat says of the slots of others.
    pub(crate) fn heard(&self, roster: &Roster) {
        self.state.write().owners = Arc::from(roster.owners.as_slice());
    }

    /// Slots were taken by who held the lease all the time since it had run out `lapses` times. False where it did not: then they may be
    /// another's already, and the next roster says.
    pub(crate) fn add(&self, slots: &SlotSet, lapses: u64, now: Monotonic) -> bool {
        let mut state = self.state.write();
        if state.lapses != lapses || state.lease_until.is_none_or(|until| now >= until) {
            return false;
        }
        slots.iter().for_each(|slot| {
            state.own.insert(slot);
        });
        true
    }

    /// Slots go elsewhere: no attempt is started for them from now on.
    pub(crate) fn remove(&self, slots: &SlotSet) {
        let mut state = self.state.write();
        slots.iter().for_each(|slot| {
            state.own.remove(slot);
        });
    }

    /// This node begins anew under another token, with no lease and no slots.
    pub(crate) fn renew(&self, token: NodeToken) {
        let mut state = self.state.write();
        state.lose();
        state.token = token;
        state.history = None;
        drop(state);
        self.lease.send_replace(None);
    }
}

impl State {
    fn lose(&mut self) {
        self.lease_until = None;
        self.lapses += 1;
        self.own = SlotSet::EMPTY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_model::time::Timestamp;

    const US: NodeToken = NodeToken(1);
    const OTHER: NodeToken = NodeToken(2);

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_nanos(seconds * 1_000_000_000)
    }

    fn webhook() -> (WebhookId, Slot, SlotSet) {
        let webhook = WebhookId::from_u128(7);
        (webhook, Slot::of(webhook), SlotSet::from_iter([Slot::of(webhook)]))
    }

    fn roster(owner: Option<NodeToken>) -> Roster {
        let mut roster = Roster::empty(Timestamp::from_millis(0));
        roster.owners[usize::from(webhook().1.number())] = owner;
        roster
    }

    #[test]
    fn it_sends_while_it_holds_lease_and_slot() {
        let owners = Owners::new(US);
        let (webhook, _, slots) = webhook();
        assert!(!owners.may_send(webhook, at(1)), "no lease, no slot");
        owners.beaten(US, at(1), at(5), &roster(None));
        assert!(!owners.may_send(webhook, at(2)), "no slot");
        assert!(owners.add(&slots, owners.lapses(), at(2)));
        assert!(owners.may_send(webhook, at(4)));
        assert!(!owners.may_send(webhook, at(5)), "the lease has run out");
        owners.remove(&slots);
        assert!(!owners.may_send(webhook, at(4)));
    }

    #[test]
    fn who_comes_back_from_beyond_its_lease_has_what_the_store_says() {
        for (owner, is_ours) in [(Some(US), true), (Some(OTHER), false), (None, false)] {
            let owners = Owners::new(US);
            let (webhook, _, slots) = webhook();
            owners.beaten(US, at(1), at(5), &roster(None));
            owners.add(&slots, owners.lapses(), at(2));
            owners.beaten(US, at(4), at(9), &roster(None));
            assert!(
                owners.may_send(webhook, at(6)),
                "a roster from before it was taken is not believed while the lease holds"
            );
            owners.beaten(US, at(30), at(34), &roster(owner));
            assert_eq!(owners.may_send(webhook, at(31)), is_ours, "{owner:?}");
        }
    }

    #[test]
    fn slots_that_were_taken_under_a_lease_that_ran_out_meanwhile_do_not_count() {
        let owners = Owners::new(US);
        let (webhook, _, slots) = webhook();
        owners.beaten(US, at(1), at(5), &roster(None));
        let lapses = owners.lapses();
        assert!(!owners.add(&slots, lapses, at(6)), "it has run out");
        owners.beaten(US, at(30), at(34), &roster(Some(OTHER)));
        assert!(!owners.add(&slots, lapses, at(31)), "it had run out");
        assert!(!owners.may_send(webhook, at(31)));
    }

    #[test]
    fn another_history_ends_the_lease() {
        let owners = Owners::new(US);
        let (webhook, _, slots) = webhook();
        owners.beaten(US, at(1), at(5), &roster(Some(US)));
        owners.add(&slots, owners.lapses(), at(1));
        let mut other = roster(Some(US));
        other.history = 1;
        assert_eq!(owners.beaten(US, at(2), at(6), &other), Beaten::OtherHistory);
        assert!(!owners.may_send(webhook, at(2)));
        owners.renew(OTHER);
        owners.beaten(US, at(2), at(6), &other);
        assert!(!owners.has_lease(at(2)), "a beat of the old token comes late");
        assert_eq!(owners.beaten(OTHER, at(3), at(7), &other), Beaten::Held);
        assert!(owners.has_lease(at(3)) && !owners.may_send(webhook, at(3)));
    }

    #[test]
    fn work_is_ours_anothers_or_nobodys() {
        let owners = Owners::new(US);
        let (webhook, _, slots) = webhook();
        let whose = |owner| {
            owners.beaten(US, at(1), at(5), &roster(owner));
            owners.table().whose(webhook)
        };
        assert_eq!(whose(None), Whose::Nobodys);
        assert_eq!(whose(Some(OTHER)), Whose::Of(OTHER));
        assert_eq!(whose(Some(US)), Whose::Nobodys, "on its way from us, or to us");
        owners.add(&slots, owners.lapses(), at(2));
        assert_eq!(whose(Some(US)), Whose::Own);
    }
}
