//! Nodes that share a store in memory: one hall, and a door for each node, with faults of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use postrider_model::slot::{SLOTS, Slot};
use postrider_ports::nodes::{NODES_MAX, NodeReport, NodeSeen, NodeToken, Roster, Wake};
use postrider_ports::{Clock, Nodes, StoreError};
use tokio::sync::{Notify, watch};

use crate::clock::SimClock;

/// What all nodes share.
#[derive(Debug, Default)]
struct Hall {
    state: Mutex<State>,
    /// Told when there is mail for somebody.
    mail: Notify,
}

#[derive(Debug, Default)]
struct State {
    history: u64,
    /// Beats of all nodes so far.
    beats: u64,
    nodes: BTreeMap<NodeToken, NodeSeen>,
    owners: BTreeMap<Slot, NodeToken>,
    /// What nodes are woken for and have not heard yet. As many as a test wakes.
    mail: BTreeMap<NodeToken, Vec<Wake>>,
}

/// A node's door to the others.
pub struct MemoryNodes {
    hall: Arc<Hall>,
    /// The store's clock.
    clock: SimClock,
    is_cut_off: AtomicBool,
    loses_wakes: AtomicBool,
    /// Whether answers of beats are on their way for as long as this.
    are_answers_held: watch::Sender<bool>,
    /// How often it woke somebody.
    wakes: AtomicUsize,
}

impl MemoryNodes {
    /// The first node's door; the store has this clock.
    pub fn new(clock: SimClock) -> Self {
        Self {
            hall: Arc::default(),
            clock,
            is_cut_off: AtomicBool::new(false),
            loses_wakes: AtomicBool::new(false),
            are_answers_held: watch::Sender::new(false),
            wakes: AtomicUsize::new(0),
        }
    }

    /// Another node's door to the same hall.
    pub fn beside(&self) -> Self {
        Self {
            hall: Arc::clone(&self.hall),
            ..Self::new(self.clock.clone())
        }
    }

    /// From now on no call of this node comes through, or they do again.
    pub fn cut_off(&self, is_cut_off: bool) {
        self.is_cut_off.store(is_cut_off, Ordering::Release);
        self.hall.mail.notify_waiters();
    }

    /// From now on whom this node wakes does not hear it, or does again.
    pub fn lose_wakes(&self, loses: bool) {
        self.loses_wakes.store(loses, Ordering::Release);
    }

    /// From now on this node's beats are made, and what they answer stays on its way; or it comes through.
    pub fn hold_answers(&self, are_held: bool) {
        self.are_answers_held.send_replace(are_held);
    }

    /// How often this node has woken others so far, whatever for.
    pub fn look_wakes(&self) -> usize {
        self.wakes.load(Ordering::Acquire)
    }

    /// The store has another history from now on, as after a failover.
    pub fn fail_over(&self) {
        self.hall.state.lock().history += 1;
    }

    /// The roster as it is, past all faults.
    pub fn look_roster(&self) -> Roster {
        self.hall.state.lock().roster(&self.clock)
    }

    async fn passed(&self) -> Result<(), StoreError> {
        // Other tasks get their turn, as they do while a real store works.
        tokio::task::yield_now().await;
        if self.is_cut_off.load(Ordering::Acquire) {
            return Err(StoreError::Unavailable {
                reason: "a test cut this node off".to_owned(),
                retry_after: Duration::from_secs(1),
            });
        }
        Ok(())
    }
}

impl State {
    fn beat(&mut self, token: NodeToken, report: NodeReport, clock: &SimClock) -> Result<Roster, StoreError> {
        if self.nodes.len() >= NODES_MAX && !self.nodes.contains_key(&token) {
            return Err(StoreError::Unavailable {
                reason: format!("the store has {NODES_MAX} nodes"),
                retry_after: Duration::from_secs(1),
            });
        }
        self.beats += 1;
        let seen = NodeSeen {
            token,
            beat: self.beats,
            seen_at: clock.wall(),
            report,
        };
        self.nodes.insert(token, seen);
        Ok(self.roster(clock))
    }

    fn roster(&self, clock: &SimClock) -> Roster {
        Roster {
            wall: clock.wall(),
            history: self.history,
            nodes: self.nodes.values().cloned().collect(),
            owners: (0..SLOTS)
                .map(|number| self.owners.get(&Slot::from_number(number)?).copied())
                .collect(),
        }
    }
}

#[async_trait]
impl Nodes for MemoryNodes {
    async fn beat(&self, token: NodeToken, report: NodeReport) -> Result<Roster, StoreError> {
        self.passed().await?;
        let beaten = self.hall.state.lock().beat(token, report, &self.clock);
        // It fails only where the sender is gone, and `self` holds it.
        let _ = self.are_answers_held.subscribe().wait_for(|are_held| !are_held).await;
        beaten
    }

    async fn roster(&self) -> Result<Roster, StoreError> {
        self.passed().await?;
        Ok(self.look_roster())
    }

    async fn take_slots(&self, token: NodeToken, slots: Vec<(Slot, Option<NodeToken>)>) -> Result<Vec<Slot>, StoreError> {
        self.passed().await?;
        let mut state = self.hall.state.lock();
        if !state.nodes.contains_key(&token) {
            return Ok(Vec::new());
        }
        let mut taken = Vec::new();
        for (slot, owner) in slots {
            if state.owners.get(&slot).copied() == owner {
                state.owners.insert(slot, token);
                taken.push(slot);
            }
        }
        Ok(taken)
    }

    async fn release_slots(&self, token: NodeToken, slots: Vec<Slot>) -> Result<(), StoreError> {
        self.passed().await?;
        let mut state = self.hall.state.lock();
        for slot in slots {
            if state.owners.get(&slot) == Some(&token) {
                state.owners.remove(&slot);
            }
        }
        Ok(())
    }

    async fn remove_node(&self, token: NodeToken, beat: u64) -> Result<bool, StoreError> {
        self.passed().await?;
        let mut state = self.hall.state.lock();
        if state.nodes.get(&token).is_none_or(|seen| seen.beat != beat) {
            return Ok(false);
        }
        state.nodes.remove(&token);
        state.mail.remove(&token);
        state.owners.retain(|_, owner| *owner != token);
        Ok(true)
    }

    async fn wake(&self, from: NodeToken, to: Option<NodeToken>, wakes: Vec<Wake>) -> Result<(), StoreError> {
        self.passed().await?;
        self.wakes.fetch_add(1, Ordering::AcqRel);
        if self.loses_wakes.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut state = self.hall.state.lock();
        let State { nodes, mail, .. } = &mut *state;
        let heard = nodes.keys().filter(|node| to.map_or(**node != from, |to| **node == to));
        for node in heard {
            mail.entry(*node).or_default().extend(wakes.iter().cloned());
        }
        drop(state);
        self.hall.mail.notify_waiters();
        Ok(())
    }

    async fn woken(&self, token: NodeToken) -> Result<Vec<Wake>, StoreError> {
        loop {
            // Made before the look, so that mail between both is not missed.
            let mail = self.hall.mail.notified();
            if !self.is_cut_off.load(Ordering::Acquire)
                && let Some(wakes) = self.hall.state.lock().mail.remove(&token)
            {
                return Ok(wakes);
            }
            mail.await;
        }
    }
}
