//! What memory holds, in rows and in bytes, and who may have more of it.

use postrider_model::queue::Queued;

use crate::class::Class;

/// What a delivery costs beside its body.
pub(crate) const ROW_BYTES: usize = 256;

/// An amount of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

impl Load {
    /// That of one delivery. Its body counts in full though others may share it: what was read back from the store is not shared, and
    /// nobody knows which of those that share it goes last.
    pub(crate) fn of(queued: &Queued) -> Self {
        Self {
            rows: 1,
            bytes: queued.body.len() + ROW_BYTES,
        }
    }

    pub(crate) const fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
    }

    pub(crate) const fn sub(&mut self, other: Self) {
        self.rows = self.rows.saturating_sub(other.rows);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }

    const fn exceeds(self, max: Self) -> bool {
        self.rows > max.rows || self.bytes > max.bytes
    }

    const fn part(self, of: usize) -> Self {
        Self {
            rows: self.rows / of,
            bytes: self.bytes / of,
        }
    }
}

/// How much of its share is used: what a single lane may hold depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pressure {
    /// Less than half.
    Low,
    /// Half or more.
    High,
}

/// The memory of all lanes. The unproven and the ill together hold at most a quarter of it.
#[derive(Debug)]
pub(crate) struct Budget {
    max: Load,
    /// Held by lanes, and kept free for refills under way.
    used: Load,
    /// The part of `used` that is the unproven's and the ill's.
    suspects: Load,
}

impl Budget {
    pub(crate) const fn new(rows_max: usize, bytes_max: usize) -> Self {
        let max = Load {
            rows: rows_max,
            bytes: bytes_max,
        };
        Self {
            max,
            used: Load { rows: 0, bytes: 0 },
            suspects: Load { rows: 0, bytes: 0 },
        }
    }

    pub(crate) const fn used(&self) -> Load {
        self.used
    }

    /// A quarter, less what is kept for the first rows of the new.
    const fn suspects_max(&self) -> Load {
        let mut max = self.max.part(4);
        max.sub(self.max.part(16));
        max
    }

    /// Whether a lane of this class may hold so much more.
    pub(crate) const fn has_room(&self, class: Class, more: Load) -> bool {
        let mut used = self.used;
        used.add(more);
        let mut suspects = self.suspects;
        suspects.add(more);
        !used.exceeds(self.max) && (class.is_proven() || !suspects.exceeds(self.suspects_max()))
    }

    /// Whether the first row of a lane that is new fits: a sixteenth of memory is kept for these.
    pub(crate) const fn has_room_for_newcomer(&self, more: Load) -> bool {
        let mut used = self.used;
        used.add(more);
        let mut suspects = self.suspects;
        suspects.add(more);
        !used.exceeds(self.max) && !suspects.exceeds(self.max.part(4))
    }

    /// What is free for a lane of this class.
    pub(crate) const fn room(&self, class: Class) -> Load {
        let mut all = self.max;
        all.sub(self.used);
        if class.is_proven() {
            return all;
        }
        let mut share = self.suspects_max();
        share.sub(self.suspects);
        Load {
            rows: if share.rows < all.rows { share.rows } else { all.rows },
            bytes: if share.bytes < all.bytes { share.bytes } else { all.bytes },
        }
    }

    pub(crate) const fn pressure(&self, class: Class) -> Pressure {
        let (used, max) = if class.is_proven() {
            (self.used, self.max)
        } else {
            (self.suspects, self.suspects_max())
        };
        if used.rows * 2 < max.rows && used.bytes * 2 < max.bytes {
            Pressure::Low
        } else {
            Pressure::High
        }
    }

    pub(crate) const fn take(&mut self, class: Class, load: Load) {
        self.used.add(load);
        if !class.is_proven() {
            self.suspects.add(load);
        }
    }

    pub(crate) const fn give_back(&mut self, class: Class, load: Load) {
        self.used.sub(load);
        if !class.is_proven() {
            self.suspects.sub(load);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn rows(rows: usize) -> Load {
        Load { rows, bytes: rows * 10 }
    }

    #[test]
    fn suspects_hold_a_quarter_and_the_proven_the_rest() {
        let mut budget = Budget::new(100, 1_000);
        budget.take(Class::Ill, rows(25));
        assert!(!budget.has_room(Class::Unproven, rows(1)));
        assert!(budget.has_room(Class::Proven, rows(75)));
        assert!(!budget.has_room(Class::Proven, rows(76)));
        assert_eq!(budget.room(Class::Proven), rows(75));
        assert_eq!(budget.room(Class::Ill), rows(0));
    }

    #[test]
    fn a_sixteenth_is_kept_for_the_first_rows_of_the_new() {
        let mut budget = Budget::new(160, 1_600);
        budget.take(Class::Ill, rows(30));
        assert!(!budget.has_room(Class::Unproven, rows(1)));
        assert!(budget.has_room_for_newcomer(rows(10)) && !budget.has_room_for_newcomer(rows(11)));
        budget.take(Class::Unproven, rows(10));
        assert!(!budget.has_room_for_newcomer(rows(1)));
        assert_eq!(budget.room(Class::Unproven), rows(0));
    }

    #[test]
    fn bytes_bound_it_as_rows_do() {
        let mut budget = Budget::new(100, 1_000);
        budget.take(Class::Proven, Load { rows: 1, bytes: 990 });
        assert!(!budget.has_room(Class::Proven, Load { rows: 1, bytes: 11 }));
        budget.give_back(Class::Proven, Load { rows: 1, bytes: 990 });
        assert_eq!(budget.used(), Load::default());
    }

    #[test]
    fn pressure_is_high_from_half_of_the_share_on() {
        let mut budget = Budget::new(100, 1_000);
        budget.take(Class::Unproven, rows(13));
        assert_eq!(budget.pressure(Class::Ill), Pressure::High);
        assert_eq!(budget.pressure(Class::Proven), Pressure::Low);
        budget.take(Class::Proven, rows(37));
        assert_eq!(budget.pressure(Class::Proven), Pressure::High);
    }
}
