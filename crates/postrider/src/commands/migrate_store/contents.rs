//! What a store holds: counts, and sums over hashes of all records. Two stores with the same sums hold the same, each record in its
//! place; where the sums differ, they say in which small part of the records to look for the one.

use std::fmt::Write as _;
use std::hash::{Hash as _, Hasher as _};

use aws_lc_rs::digest::{SHA256, digest};
use postrider_ports::archive::{Kind, Record};
use rustc_hash::{FxHashMap, FxHasher};

use super::fields::{Fields, Hash32};
use super::names::{Name, Sort, line_of};

/// Parts that the records of each sort fall into, by their names.
const PARTS: usize = 4_096;

/// Sums over the records of a part: it does not matter in which order they are read.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    count: u64,
    fields: [u128; 2],
    /// Each hash times the place of its record in the order of its owner.
    order: u128,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        let all = self.fields.iter_mut().zip(&other.fields);
        all.for_each(|(sum, more)| *sum = sum.wrapping_add(*more));
        self.order = self.order.wrapping_add(other.order);
    }
}

/// Counts records within the order of each owner.
#[derive(Default)]
pub(super) struct Places {
    /// How many records an owner had so far; one entry for each owner and kind.
    lines: FxHashMap<(Kind, u128), u64>,
}

impl Places {
    /// The place of the next record; zero for what has no order.
    pub(super) fn next(&mut self, record: &Record) -> u64 {
        let Some(line) = line_of(record) else { return 0 };
        let place = self.lines.entry(line).or_default();
        *place += 1;
        *place
    }
}

/// A small part of the records, in which two stores differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) sort: Sort,
    number: usize,
    /// Of each store.
    pub(super) counts: (u64, u64),
}

impl Part {
    /// Whether a record is in it.
    pub(super) fn has(&self, name: &Name<'_>) -> bool {
        name.sort() == self.sort && number_of(name) == self.number
    }
}

fn number_of(name: &Name<'_>) -> usize {
    let mut hasher = FxHasher::default();
    name.hash(&mut hasher);
    usize::try_from(hasher.finish() % PARTS as u64).unwrap_or(0)
}

/// What a store holds.
pub(super) struct Contents {
    /// `PARTS` of each sort.
    sums: Vec<Sums>,
    places: Places,
}

impl Default for Contents {
    fn default() -> Self {
        Self {
            sums: vec![Sums::default(); PARTS * Sort::ALL.len()],
            places: Places::default(),
        }
    }
}

impl Contents {
    /// Takes a record in.
    pub(super) fn add(&mut self, record: &Record) {
        let place = self.places.next(record);
        let name = Name::of(record);
        let fields = halves(&Fields::hash(record));
        let part = self.sums.get_mut(name.sort() as usize * PARTS + number_of(&name));
        if let Some(sums) = part {
            sums.add(&Sums {
                count: 1,
                fields,
                order: fields[0].wrapping_mul(u128::from(place)),
            });
        }
    }

    fn of_sort(&self, sort: Sort) -> &[Sums] {
        let first = sort as usize * PARTS;
        self.sums.get(first..first + PARTS).unwrap_or_default()
    }

    fn total(&self, sort: Sort) -> Sums {
        let mut total = Sums::default();
        self.of_sort(sort).iter().for_each(|sums| total.add(sums));
        total
    }

    /// Records of a sort.
    pub(super) fn count(&self, sort: Sort) -> u64 {
        self.total(sort).count
    }

    /// All of it, in hexadecimal digits: the same for all stores that hold the same.
    pub(super) fn digest(&self) -> String {
        let mut text = String::new();
        for sort in Sort::ALL {
            let total = self.total(sort);
            let [first, second] = total.fields;
            // A string takes whatever is written.
            let _ = writeln!(
                text,
                "{} {} {first:032x}{second:032x}{:032x}",
                sort.name(),
                total.count,
                total.order
            );
        }
        digest(&SHA256, text.as_bytes())
            .as_ref()
            .iter()
            .fold(String::new(), |mut out, byte| {
                // A string takes whatever is written.
                let _ = write!(out, "{byte:02x}");
                out
            })
    }

    /// Where the two differ first; `None` where they hold the same. What `other` misses comes before all else, for that is what is lost. A
    /// record that is missing moves the places of others: so the fields of all records come before the order of any.
    pub(super) fn difference(&self, other: &Self) -> Option<Part> {
        let find = |differ: fn(&Sums, &Sums) -> bool| {
            Sort::ALL.into_iter().find_map(|sort| {
                let mut pairs = self.of_sort(sort).iter().zip(other.of_sort(sort));
                let number = pairs.position(|(one, other)| differ(one, other))?;
                let counts = (self.count(sort), other.count(sort));
                Some(Part { sort, number, counts })
            })
        };
        find(|one, other| one.count > other.count)
            .or_else(|| find(|one, other| (one.count, one.fields) != (other.count, other.fields)))
            .or_else(|| find(|one, other| one != other))
    }
}

fn halves(hash: &Hash32) -> [u128; 2] {
    let (parts, _) = hash.as_chunks::<16>();
    let half = |at: usize| parts.get(at).map_or(0, |bytes| u128::from_be_bytes(*bytes));
    [half(0), half(1)]
}

#[cfg(test)]
mod tests {
    use postrider_model::id::{AccountId, WebhookId};
    use postrider_model::time::Timestamp;

    use super::*;

    fn account(number: u128, name: &str) -> Record {
        let now = Timestamp::from_millis(7);
        Record::Account {
            account: postrider_model::account::Account {
                id: AccountId::from_u128(number),
                external_id: None,
                name: name.to_owned(),
                is_active: true,
                created_at: now,
                modified_at: now,
            },
            version: 1,
            deleted_at: None,
            is_erased: false,
        }
    }

    fn stopping(number: u128) -> Record {
        Record::Stopping {
            account: AccountId::from_u128(1),
            webhook: WebhookId::from_u128(number),
        }
    }

    fn of(records: &[Record]) -> Contents {
        let mut contents = Contents::default();
        records.iter().for_each(|record| contents.add(record));
        contents
    }

    #[test]
    fn the_same_records_in_the_same_order_are_the_same() {
        let (one, other) = (of(&[account(1, "a"), account(2, "b")]), of(&[account(1, "a"), account(2, "b")]));
        assert_eq!(one.difference(&other), None);
        assert_eq!(one.digest(), other.digest());
    }

    #[test]
    fn a_change_of_a_field_is_found_in_the_part_of_its_record() {
        let (one, other) = (of(&[account(1, "a"), account(2, "b")]), of(&[account(1, "a"), account(2, "c")]));
        let part = one.difference(&other).unwrap();
        assert_eq!((part.sort, part.counts), (Sort::Accounts, (2, 2)));
        assert!(part.has(&Name::of(&account(2, "b"))));
        assert!(!part.has(&Name::of(&account(1, "a"))));
        assert_ne!(one.digest(), other.digest());
    }

    #[test]
    fn a_missing_record_is_found_though_it_moves_the_places_of_others() {
        let (one, other) = (of(&[account(1, "a"), account(2, "b")]), of(&[account(2, "b")]));
        let part = one.difference(&other).unwrap();
        assert_eq!(part.counts, (2, 1));
        assert!(part.has(&Name::of(&account(1, "a"))));
    }

    #[test]
    fn what_is_missing_comes_before_what_is_too_much() {
        // Whichever of two comes first by the hash of its name, one of these finds it in the wrong order.
        for (missing, surplus) in [(1, 2), (2, 1)] {
            let part = of(&[account(missing, "a")]).difference(&of(&[account(surplus, "a")])).unwrap();
            assert!(part.has(&Name::of(&account(missing, "a"))));
        }
    }

    #[test]
    fn order_counts_where_there_is_one() {
        let (one, other) = (of(&[account(1, "a"), account(2, "b")]), of(&[account(2, "b"), account(1, "a")]));
        assert!(one.difference(&other).is_some());
        assert_ne!(one.digest(), other.digest());
        let (one, other) = (of(&[stopping(1), stopping(2)]), of(&[stopping(2), stopping(1)]));
        assert_eq!(one.difference(&other), None);
        assert_eq!(one.digest(), other.digest());
    }
}
