//! Which deliveries came before.

use std::collections::{HashSet, VecDeque};

/// The values of `Webhook-Id` that came last. A restart forgets them, and other processes do not
/// know them: in earnest this is a table, whose rows may go after 30 days.
pub struct Seen {
    /// At most `max`.
    ids: HashSet<String>,
    /// The same, oldest first, at most `max`.
    order: VecDeque<String>,
    max: usize,
}

impl Seen {
    pub fn new(max: usize) -> Self {
        Self {
            ids: HashSet::new(),
            order: VecDeque::new(),
            max,
        }
    }

    pub fn contains(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Remembers one, and forgets the oldest where there are too many.
    pub fn add(&mut self, id: String) {
        if self.ids.insert(id.clone()) {
            self.order.push_back(id);
        }
        if self.order.len() > self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}
