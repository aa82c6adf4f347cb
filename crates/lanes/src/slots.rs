//! Who may take a slot: a request in flight. docs/decisions/0005-suspects-and-newcomers.md says why the shares are what they are.

use std::time::Duration;

use crate::class::Class;

/// An attempt of an unproven lane that has not ended after this long is taken for one that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
/// What an attempt takes at most: connecting, writing and reading.
const ATTEMPT_SECONDS_MAX: usize = 25;

/// So many may turn out to hang each second: all that do so until the first of them ends fit into half of the share.
fn fresh_max(unproven_max: usize) -> usize {
    (unproven_max / 2 / ATTEMPT_SECONDS_MAX).max(1)
}

/// Requests in flight by the share that they were taken from.
#[derive(Debug)]
pub(crate) struct Slots {
    max: usize,
    proven: usize,
    unproven: usize,
    ill: usize,
    urgent: usize,
    /// Those of `unproven` lanes that were sent less than `PATIENCE` ago.
    fresh: usize,
}

impl Slots {
    pub(crate) const fn new(max: usize) -> Self {
        Self {
            max,
            proven: 0,
            unproven: 0,
            ill: 0,
            urgent: 0,
            fresh: 0,
        }
    }

    pub(crate) const fn in_flight(&self) -> usize {
        self.proven + self.unproven + self.ill + self.urgent
    }

    /// Tests and manual retries have a sixteenth of their own, whatever the health of their receivers.
    pub(crate) fn has_room_for_urgent(&self) -> bool {
        self.in_flight() < self.max && self.urgent < (self.max / 16).max(1)
    }

    /// Who is unproven is tried at once while few of them are in flight. From then on only as many are younger than
    /// `PATIENCE` as can all turn out to hang without ever using up the rest of the share: so there is always a slot soon.
    pub(crate) fn has_room(&self, class: Class) -> bool {
        let suspects = self.unproven + self.ill;
        let in_share = match class {
            Class::Proven => true,
            Class::Unproven => {
                let max = self.unproven_max();
                let is_calm = self.unproven < (max / 2).max(1);
                // Lanes that were well and fall ill take their requests along: these alone must not shut out the new.
                self.unproven < max && suspects < self.suspects_hard_max() && (is_calm || self.fresh < fresh_max(max))
            }
            Class::Ill => self.ill < self.ill_max() && suspects < self.suspects_max(),
        };
        in_share && self.in_flight() < self.max
    }

    /// Whether a lane of which nothing is known may send a second delivery before the first was answered.
    pub(crate) fn has_room_for_second(&self) -> bool {
        self.unproven < (self.unproven_max() / 8).max(1) && self.has_room(Class::Unproven)
    }

    /// A quarter of all, less what the urgent may hold.
    fn suspects_max(&self) -> usize {
        (self.max / 4).saturating_sub((self.max / 16).max(1)).max(1)
    }

    fn suspects_hard_max(&self) -> usize {
        (self.max * 3 / 8).max(1)
    }

    fn ill_max(&self) -> usize {
        (self.max / 16).max(1)
    }

    fn unproven_max(&self) -> usize {
        self.suspects_max().saturating_sub(self.ill_max()).max(1)
    }

    /// An attempt of an unproven lane is sent: it is fresh until it ends, or for `PATIENCE`.
    pub(crate) const fn take_fresh(&mut self) {
        self.fresh += 1;
    }

    pub(crate) const fn end_fresh(&mut self) {
        self.fresh = self.fresh.saturating_sub(1);
    }

    const fn share(&mut self, class: Class) -> &mut usize {
        match class {
            Class::Proven => &mut self.proven,
            Class::Unproven => &mut self.unproven,
            Class::Ill => &mut self.ill,
        }
    }

    pub(crate) const fn take(&mut self, class: Class) {
        *self.share(class) += 1;
    }

    pub(crate) const fn give_back(&mut self, class: Class) {
        let share = self.share(class);
        *share = share.saturating_sub(1);
    }

    pub(crate) const fn take_urgent(&mut self) {
        self.urgent += 1;
    }

    pub(crate) const fn give_back_urgent(&mut self) {
        self.urgent = self.urgent.saturating_sub(1);
    }

    /// A lane with so many requests in flight has changed its class: they count there from now on.
    pub(crate) const fn shift(&mut self, from: Class, to: Class, count: usize) {
        let share = self.share(from);
        *share = share.saturating_sub(count);
        *self.share(to) += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(slots: &mut Slots, class: Class) -> usize {
        let mut taken = 0;
        while slots.has_room(class) {
            slots.take(class);
            taken += 1;
        }
        taken
    }

    #[test]
    fn unproven_ill_and_urgent_together_hold_a_quarter() {
        let mut slots = Slots::new(1_024);
        assert_eq!(fill(&mut slots, Class::Ill), 64);
        assert_eq!(fill(&mut slots, Class::Unproven), 128);
        while slots.has_room_for_urgent() {
            slots.take_urgent();
        }
        assert_eq!(slots.in_flight(), 256);
        assert_eq!(fill(&mut slots, Class::Proven), 768);
    }

    #[test]
    fn while_all_hang_there_is_a_slot_for_the_new_each_second() {
        for max in [512, 1_024, 4_096, 65_536] {
            let mut slots = Slots::new(max);
            let mut ends = std::collections::VecDeque::new();
            for second in 0..200 {
                while ends.front().is_some_and(|end| *end <= second) {
                    ends.pop_front();
                    slots.give_back(Class::Unproven);
                }
                assert!(slots.has_room(Class::Unproven), "of {max} in second {second}");
                let mut sent = 0;
                while slots.has_room(Class::Unproven) {
                    slots.take(Class::Unproven);
                    slots.take_fresh();
                    ends.push_back(second + 25);
                    sent += 1;
                }
                (0..sent).for_each(|_| slots.end_fresh());
            }
            assert!(slots.in_flight() <= max * 3 / 16);
        }
    }

    #[test]
    fn who_was_well_and_falls_ill_does_not_shut_out_the_new() {
        let mut slots = Slots::new(4_096);
        (0..1_024).for_each(|_| slots.take(Class::Proven));
        slots.shift(Class::Proven, Class::Ill, 1_024);
        assert!(slots.has_room(Class::Unproven) && !slots.has_room(Class::Ill));
        fill(&mut slots, Class::Unproven);
        assert!(slots.in_flight() <= 1_536);
    }

    #[test]
    fn the_proven_may_use_all() {
        let mut slots = Slots::new(100);
        assert_eq!(fill(&mut slots, Class::Proven), 100);
        assert!(!slots.has_room(Class::Unproven) && !slots.has_room_for_urgent());
    }

    #[test]
    fn the_smallest_server_still_sends_for_all() {
        let mut slots = Slots::new(1);
        assert!(slots.has_room(Class::Unproven) && slots.has_room(Class::Ill) && slots.has_room_for_urgent());
        slots.take(Class::Ill);
        assert!(!slots.has_room(Class::Proven));
    }

    #[test]
    fn a_lane_that_falls_ill_takes_its_requests_along() {
        let mut slots = Slots::new(64);
        (0..20).for_each(|_| slots.take(Class::Proven));
        slots.shift(Class::Proven, Class::Ill, 20);
        assert!(!slots.has_room(Class::Ill) && slots.has_room(Class::Proven));
        assert_eq!(slots.in_flight(), 20);
    }
}
