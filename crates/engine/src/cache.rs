//! A cache with a limit, in two generations: what was not asked for while a generation filled is forgotten.

use std::hash::Hash;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

/// Keeps what is asked for often. Holds at most `weight_max` of weight, in two halves: `young` takes what comes in and what is asked for;
/// when it is half of that heavy, it becomes `old`, and the old one is forgotten.
pub(crate) struct Cache<K, V> {
    /// Written by whoever loads or asks, in any task; never held across an await.
    halves: Mutex<Halves<K, V>>,
    weight_max: usize,
}

struct Halves<K, V> {
    /// At most half of `weight_max`, or one entry that is heavier.
    young: FxHashMap<K, V>,
    young_weight: usize,
    /// What was `young` before, so at most as much.
    old: FxHashMap<K, V>,
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    pub(crate) fn new(weight_max: usize) -> Self {
        let halves = Halves {
            young: FxHashMap::default(),
            young_weight: 0,
            old: FxHashMap::default(),
        };
        Self {
            halves: Mutex::new(halves),
            weight_max,
        }
    }

    pub(crate) fn get(&self, key: &K, weigh: impl Fn(&V) -> usize) -> Option<V> {
        let mut halves = self.halves.lock();
        if let Some(value) = halves.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = halves.old.remove_entry(key)?;
        let weight = weigh(&value);
        halves.insert(key, value.clone(), weight, self.weight_max);
        Some(value)
    }

    pub(crate) fn insert(&self, key: K, value: V, weight: usize) {
        let mut halves = self.halves.lock();
        halves.old.remove(&key);
        halves.insert(key, value, weight, self.weight_max);
    }

    pub(crate) fn remove(&self, key: &K) -> Option<V> {
        let mut halves = self.halves.lock();
        // The weight of what is removed stays counted until the generation turns: it only turns a little sooner.
        let old = halves.old.remove(key);
        halves.young.remove(key).or(old)
    }

    pub(crate) fn remove_where(&self, condemned: impl Fn(&V) -> bool) {
        let mut halves = self.halves.lock();
        halves.young.retain(|_, value| !condemned(value));
        halves.old.retain(|_, value| !condemned(value));
    }
}

impl<K: Eq + Hash, V> Halves<K, V> {
    fn insert(&mut self, key: K, value: V, weight: usize, weight_max: usize) {
        if self.young_weight + weight > weight_max / 2 && !self.young.is_empty() {
            self.old = std::mem::take(&mut self.young);
            self.young_weight = 0;
        }
        self.young.insert(key, value);
        self.young_weight += weight;
    }
}

#[cfg(test)]
mod tests {
    use super::Cache;

    #[test]
    fn it_never_holds_more_than_its_weight_and_keeps_what_is_asked_for() {
        let cache = Cache::new(20);
        for key in 0..1_000 {
            cache.insert(key, key, 1);
            assert_eq!(cache.get(&0, |_| 1), Some(0), "key 0 is asked for all the time");
            let halves = cache.halves.lock();
            assert!(halves.young.len() + halves.old.len() <= 20);
        }
        assert_eq!(cache.get(&500, |_| 1), None, "nobody asked for it");
        assert_eq!(cache.get(&999, |_| 1), Some(999));
    }

    #[test]
    fn what_is_removed_is_gone_from_both_halves() {
        let cache = Cache::new(4);
        for key in 0..3 {
            cache.insert(key, key, 1);
        }
        cache.remove(&0);
        cache.remove_where(|value| *value == 2);
        assert_eq!([0, 1, 2].map(|key| cache.get(&key, |_| 1)), [None, Some(1), None]);
    }

    #[test]
    fn one_entry_heavier_than_all_is_still_kept_until_the_next() {
        let cache = Cache::new(4);
        cache.insert("heavy", 1, 100);
        assert_eq!(cache.get(&"heavy", |_| 100), Some(1));
        cache.insert("light", 2, 1);
        assert_eq!(cache.get(&"light", |_| 1), Some(2));
    }
}
