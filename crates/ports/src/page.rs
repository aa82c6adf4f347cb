//! Pages of lists.

use postrider_model::queue::Position;

/// Which page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageAsk {
    /// At most so many rows.
    pub limit: usize,
    /// Only what comes behind this place in the list; `None` begins at its start. Lists are newest first.
    pub after: Option<Position>,
}

/// One page of a list. It may hold fewer rows than were asked for, even none: only a missing `next` is the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Position>,
}
