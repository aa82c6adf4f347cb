//! Who may take a slot: a request in flight.

use crate::class::Class;

/// Requests in flight by the share that they were taken from.
#[derive(Debug)]
pub(crate) struct Slots {
    max: usize,
    proven: usize,
    unproven: usize,
    ill: usize,
    urgent: usize,
}

impl Slots {
    pub(crate) const fn new(max: usize) -> Self {
        Self {
            max,
            proven: 0,
            unproven: 0,
            ill: 0,
            urgent: 0,
        }
    }

    pub(crate) const fn in_flight(&self) -> usize {
        self.proven + self.unproven + self.ill + self.urgent
    }

    /// Tests and manual retries have a sixteenth of their own, whatever the health of their receivers.
    pub(crate) fn has_room_for_urgent(&self) -> bool {
        self.in_flight() < self.max && self.urgent < (self.max / 16).max(1)
    }

    /// The proven may use all. The unproven and the ill together hold at most a quarter, the sixteenth of the urgent included; and the
    /// ill an eighth, so that who is known to hang does not keep the new from being tried.
    pub(crate) fn has_room(&self, class: Class) -> bool {
        let suspects_max = (self.max / 4).saturating_sub((self.max / 16).max(1)).max(1);
        let in_share = match class {
            Class::Proven => true,
            Class::Unproven => self.unproven + self.ill < suspects_max,
            Class::Ill => self.unproven + self.ill < suspects_max && self.ill < (self.max / 8).max(1),
        };
        in_share && self.in_flight() < self.max
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
        assert_eq!(fill(&mut slots, Class::Ill), 128);
        assert_eq!(fill(&mut slots, Class::Unproven), 64);
        while slots.has_room_for_urgent() {
            slots.take_urgent();
        }
        assert_eq!(slots.in_flight(), 256);
        assert_eq!(fill(&mut slots, Class::Proven), 768);
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
        assert!(!slots.has_room(Class::Unproven) && slots.has_room(Class::Proven));
        assert_eq!(slots.in_flight(), 20);
    }
}
