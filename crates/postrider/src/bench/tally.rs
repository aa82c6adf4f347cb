//! Which deliveries were to come, and which came: one by one, so that one that is lost and one that comes twice are two faults, not none.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::window::{add, read};

/// Numbers of one chunk of a set.
const CHUNK_NUMBERS: u64 = 1 << 20;
/// Numbers of one word of a chunk.
const WORD_NUMBERS: u64 = 64;
/// Chunks of a set: with them it holds 69 billion numbers, more than the longest bench delivers.
const CHUNKS_MAX: usize = 1 << 16;

/// Each event has a number, and each webhook of its account an index below the fan-out: together they are a delivery.
#[derive(Debug)]
pub(crate) struct Tally {
    fan_out: u64,
    /// The number of the next event.
    next: AtomicU64,
    /// Numbers of events that were accepted. Written by the load, and before it by the stage.
    accepted: NumberSet,
    /// Deliveries that arrived. Written by the receiver.
    arrived: NumberSet,
    /// Deliveries that had arrived before. Written by the receiver.
    repeated: AtomicU64,
}

impl Tally {
    /// Of events that go to so many webhooks each.
    pub(crate) fn new(fan_out: u16) -> Self {
        Self {
            fan_out: u64::from(fan_out),
            next: AtomicU64::new(0),
            accepted: NumberSet::new(),
            arrived: NumberSet::new(),
            repeated: AtomicU64::new(0),
        }
    }

    /// The first of so many numbers that no event had before.
    pub(crate) fn take_numbers(&self, count: u64) -> u64 {
        add(&self.next, count)
    }

    /// These events were accepted.
    pub(crate) fn accept(&self, first: u64, count: u64) {
        for number in first..first + count {
            self.accepted.insert(number);
        }
    }

    /// This event arrived at this webhook.
    pub(crate) fn arrive(&self, number: u64, webhook: u64) {
        if !self.arrived.insert(number.saturating_mul(self.fan_out).saturating_add(webhook)) {
            add(&self.repeated, 1);
        }
    }

    /// Deliveries of accepted events that have not arrived. It looks at every event: not to be asked often.
    pub(crate) fn missing(&self) -> u64 {
        let webhooks = |event: u64| (0..self.fan_out).map(move |webhook| event * self.fan_out + webhook);
        let expected = self.accepted.iter().flat_map(webhooks);
        expected.filter(|delivery| !self.arrived.contains(*delivery)).count() as u64
    }

    /// Deliveries that arrived once more.
    pub(crate) fn repeated(&self) -> u64 {
        read(&self.repeated)
    }
}

/// A set of numbers that one thread adds to and others read, none waiting for another: a lock whose holder is put aside would show as latency.
/// It takes a bit for each number up to the largest, in chunks, at most `CHUNKS_MAX`.
#[derive(Debug)]
struct NumberSet {
    chunks: Vec<OnceLock<Box<[AtomicU64]>>>,
}

impl NumberSet {
    fn new() -> Self {
        Self {
            chunks: (0..CHUNKS_MAX).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Whether it was not in there. What is beyond the last chunk never is, and is not kept.
    fn insert(&self, number: u64) -> bool {
        let Some(chunk) = self.chunk(number) else { return true };
        let words = chunk.get_or_init(|| (0..CHUNK_NUMBERS / WORD_NUMBERS).map(|_| AtomicU64::new(0)).collect());
        let bit = bit(number);
        words.get(word(number)).is_none_or(|word| word.fetch_or(bit, Relaxed) & bit == 0)
    }

    fn contains(&self, number: u64) -> bool {
        let words = self.chunk(number).and_then(OnceLock::get);
        let word = words.and_then(|words| words.get(word(number)));
        word.is_some_and(|word| read(word) & bit(number) != 0)
    }

    fn chunk(&self, number: u64) -> Option<&OnceLock<Box<[AtomicU64]>>> {
        self.chunks.get(usize::try_from(number / CHUNK_NUMBERS).ok()?)
    }

    /// All that is in it, in order.
    fn iter(&self) -> impl Iterator<Item = u64> {
        let chunks = (0u64..).step_by(CHUNK_NUMBERS as usize).zip(&self.chunks);
        let words = chunks
            .filter_map(|(first, chunk)| Some((first, chunk.get()?)))
            .flat_map(|(first, words)| {
                let firsts = (first..).step_by(WORD_NUMBERS as usize);
                firsts.zip(words).map(|(first, word)| (first, read(word)))
            });
        words.filter(|(_, word)| *word != 0).flat_map(|(first, word)| {
            let numbers = first..first + WORD_NUMBERS;
            numbers.filter(move |number| word & bit(*number) != 0)
        })
    }
}

/// Which word of its chunk has a number.
const fn word(number: u64) -> usize {
    ((number % CHUNK_NUMBERS) / WORD_NUMBERS) as usize
}

/// Its bit there.
const fn bit(number: u64) -> u64 {
    1 << (number % WORD_NUMBERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_lost_and_one_that_comes_twice_are_two_faults() {
        let tally = Tally::new(2);
        let first = tally.take_numbers(3);
        tally.accept(first, 3);
        for (event, webhook) in [(0, 0), (0, 1), (1, 0), (1, 0), (2, 1), (2, 0)] {
            tally.arrive(first + event, webhook);
        }
        assert_eq!((tally.missing(), tally.repeated()), (1, 1));
        tally.arrive(first + 1, 1);
        assert_eq!((tally.missing(), tally.repeated()), (0, 1));
    }

    #[test]
    fn what_arrives_though_nobody_was_told_so_makes_up_for_nothing() {
        let tally = Tally::new(1);
        let (refused, accepted) = (tally.take_numbers(1), tally.take_numbers(1));
        tally.accept(accepted, 1);
        tally.arrive(refused, 0);
        assert_eq!((tally.missing(), tally.repeated()), (1, 0));
    }

    #[test]
    fn a_set_holds_what_was_put_into_it_over_all_its_chunks() {
        let set = NumberSet::new();
        let last = CHUNK_NUMBERS * CHUNKS_MAX as u64 - 1;
        let numbers = [0, 1, 63, 64, CHUNK_NUMBERS - 1, CHUNK_NUMBERS, 5 * CHUNK_NUMBERS + 70, last];
        assert!(numbers.iter().all(|number| set.insert(*number)));
        assert!(numbers.iter().all(|number| set.contains(*number) && !set.insert(*number)));
        assert!(!set.contains(2) && !set.contains(CHUNK_NUMBERS + 1));
        assert_eq!(set.iter().collect::<Vec<_>>(), numbers);
        assert!(set.insert(last + 1) && !set.contains(last + 1));
    }
}
