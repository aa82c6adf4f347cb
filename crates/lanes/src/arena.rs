//! A place for things that refer to each other by small keys.

/// Names a thing in its arena, as long as it is there. Keys are used again.
pub(crate) type Key = u32;

/// Things by key: adding, finding and taking cost the same whatever their number. Holds no more places than there were things at
/// once.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    places: Vec<Option<T>>,
    free: Vec<Key>,
}

impl<T> Arena<T> {
    pub(crate) const fn new() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(crate) fn insert(&mut self, thing: T) -> Key {
        if let Some(key) = self.free.pop() {
            if let Some(place) = self.places.get_mut(key as usize) {
                *place = Some(thing);
            }
            return key;
        }
        self.places.push(Some(thing));
        // Four thousand million lanes do not fit into a machine.
        Key::try_from(self.places.len() - 1).unwrap_or(Key::MAX)
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.places.get(key as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.places.get_mut(key as usize)?.as_mut()
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let thing = self.places.get_mut(key as usize)?.take()?;
        self.free.push(key);
        Some(thing)
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}
