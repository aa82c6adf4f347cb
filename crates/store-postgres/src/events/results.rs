//! What comes of the requests of a group, in whatever order they are stored.

use postrider_ports::StoreError;
use postrider_ports::store::{Submission, Submitted};

use crate::fault::unavailable;

/// What came of the requests of a group so far.
pub(crate) struct Results(Vec<Option<Result<Submitted, StoreError>>>);

impl Results {
    /// Nothing has come of any yet.
    pub(crate) fn of(group: &[Submission]) -> Self {
        Self(group.iter().map(|_| None).collect())
    }

    /// Notes what came of one.
    pub(crate) fn set(&mut self, place: usize, result: Result<Submitted, StoreError>) {
        if let Some(slot) = self.0.get_mut(place) {
            *slot = Some(result);
        }
    }

    /// What the caller is told.
    pub(crate) fn answer(self) -> Result<Vec<Submitted>, StoreError> {
        let missing = || Err(unavailable("a request was passed over"));
        let results: Vec<Result<Submitted, StoreError>> = self.0.into_iter().map(|one| one.unwrap_or_else(missing)).collect();
        // Where some were stored before the store went, each is told its own fate.
        if results.iter().any(Result::is_ok) {
            Ok(results.into_iter().map(|one| one.unwrap_or_else(Submitted::Refused)).collect())
        } else {
            results.into_iter().collect()
        }
    }
}
