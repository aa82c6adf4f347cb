//! Slots: each webhook falls into one of 1,024, and each slot has one owning node, which alone sends for its webhooks.

use crate::id::WebhookId;

/// How many there are. Stored with the queue: it never changes.
pub const SLOTS: u16 = 1_024;

/// One of the `SLOTS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// The slot of a webhook: the first bits of a hash of its id (a multiplication by 2⁶⁴ over the golden ratio, as Knuth has it in TAOCP
    /// vol. 3, §6.4), for the ids themselves begin with the time. It is stored: it never changes.
    pub const fn of(webhook: WebhookId) -> Self {
        let id = webhook.as_u128();
        let folded = (id >> 64) as u64 ^ id as u64;
        let mixed = (folded ^ (folded >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self((mixed >> (64 - SLOTS.trailing_zeros())) as u16)
    }

    /// The slot of this number; `None` where there is none.
    pub const fn from_number(number: u16) -> Option<Self> {
        if number < SLOTS { Some(Self(number)) } else { None }
    }

    /// Its number, from 0.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SLOTS).map(Self)
    }
}

/// A set of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotSet {
    bits: [u64; SLOTS as usize / 64],
}

impl SlotSet {
    /// None.
    pub const EMPTY: Self = Self {
        bits: [0; SLOTS as usize / 64],
    };
    /// Every one: what a node alone owns.
    pub const ALL: Self = Self {
        bits: [u64::MAX; SLOTS as usize / 64],
    };

    /// Whether it has the slot.
    pub fn contains(&self, slot: Slot) -> bool {
        let (word, bit) = place(slot);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Takes the slot in. False where it was there.
    pub fn insert(&mut self, slot: Slot) -> bool {
        let (word, bit) = place(slot);
        let Some(word) = self.bits.get_mut(word) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Takes the slot out. False where it was not there.
    pub fn remove(&mut self, slot: Slot) -> bool {
        let (word, bit) = place(slot);
        let Some(word) = self.bits.get_mut(word) else { return false };
        let was_there = *word & bit != 0;
        *word &= !bit;
        was_there
    }

    /// How many it has.
    pub fn len(&self) -> usize {
        self.bits.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// Those that it has, in order.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        Slot::all().filter(|slot| self.contains(*slot))
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut set = Self::EMPTY;
        for slot in slots {
            set.insert(slot);
        }
        set
    }
}

const fn place(slot: Slot) -> (usize, u64) {
    ((slot.0 / 64) as usize, 1 << (slot.0 % 64))
}
