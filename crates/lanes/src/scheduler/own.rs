//! Slots come to this node and go to others.

use postrider_model::slot::{Slot, SlotSet};

use super::Scheduler;
use crate::arena::Key;
use crate::budget::Load;
use crate::lane::{AskPlace, Place};

impl Scheduler {
    /// Which of these slots have an attempt under way, or an outcome that is not durable yet. Costs a look at all of those.
    pub fn busy(&self, slots: &SlotSet) -> SlotSet {
        let lanes = self.flights.lanes().filter_map(|key| self.lanes.get(key));
        lanes
            .map(|lane| Slot::of(lane.webhook))
            .filter(|slot| slots.contains(*slot))
            .collect()
    }

    pub(super) fn own(&mut self, slots: SlotSet) {
        for slot in slots.iter() {
            self.owned.insert(slot);
        }
        for key in self.lanes_in(&slots) {
            let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.is_foreign) else {
                continue;
            };
            // Others had it meanwhile: only the store knows what waits.
            lane.is_foreign = false;
            lane.is_covered_by_own = false;
            lane.ours_after = None;
            lane.wants_refill = true;
            self.settle(key);
        }
    }

    pub(super) fn disown(&mut self, slots: SlotSet) {
        for slot in slots.iter() {
            self.owned.remove(slot);
        }
        for key in self.lanes_in(&slots) {
            let Some(lane) = self.lanes.get_mut(key) else { continue };
            lane.is_foreign = true;
            if let Some(asked) = &mut lane.asked {
                asked.is_void = true;
            }
            let urgent = std::iter::from_fn(|| lane.queues.pop_urgent()).collect::<Vec<_>>();
            for queued in urgent.into_iter().chain(lane.queues.take_all_but_tests()) {
                self.waiting = self.waiting.saturating_sub(1);
                self.release(key, Load::of(&queued));
            }
            self.settle(key);
        }
    }

    /// The lanes of some slots, in the order of their webhooks. Costs a look at all lanes: slots move seldom.
    fn lanes_in(&self, slots: &SlotSet) -> Vec<Key> {
        let here = self.by_webhook.iter().filter(|(webhook, _)| slots.contains(Slot::of(**webhook)));
        let mut lanes: Vec<_> = here.map(|(webhook, key)| (*webhook, *key)).collect();
        lanes.sort_unstable();
        lanes.into_iter().map(|(_, key)| key).collect()
    }

    /// A lane of another node's slot waits for nothing, and goes once what it had under way has ended.
    pub(super) fn settle_foreign(&mut self, key: Key) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.next_due = None;
        lane.left_behind = None;
        lane.wants_refill = false;
        lane.queues.shrink();
        self.timers.set_due(key, lane.due_timer.take(), None);
        self.timers.set_wake(key, lane.wake_timer.take(), None);
        let asked = std::mem::replace(&mut lane.ask_place, AskPlace::Nowhere);
        if asked != AskPlace::Nowhere {
            self.refills.wait(key, asked, AskPlace::Nowhere);
        }
        let (place, host) = (lane.place, lane.host);
        self.put(key, Place::Nowhere);
        if place.is_turn()
            && let Some(host) = host
        {
            self.wake_host(host);
        }
        if self.lanes.get(key).is_some_and(|lane| lane.is_at_rest())
            && let Some(lane) = self.lanes.remove(key)
        {
            self.forget_lane(&lane);
        }
    }
}
