//! What is kept of responses while their outcomes wait to be recorded: bounded in bytes, whatever receivers answer and however long the
//! store is gone. How many outcomes may wait is the lanes' to say.

use std::sync::atomic::{AtomicUsize, Ordering};

use postrider_model::attempt::Response;

/// Headers and bodies of failed attempts that may wait to be recorded, all together. Over it they are left out: the status, the
/// durations and the sentence that says what failed are kept always.
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Counts the bytes that wait. Added to by the dispatch loop, given back by the recorder.
pub(crate) struct Backlog {
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl Backlog {
    pub(crate) const fn new() -> Self {
        Self::with_limit(KEPT_BYTES_MAX)
    }

    const fn with_limit(bytes_max: usize) -> Self {
        Self {
            bytes: AtomicUsize::new(0),
            bytes_max,
        }
    }

    /// Makes room for what is kept of a response, or takes it off the response.
    pub(crate) fn admit(&self, response: &mut Response) {
        let bytes = kept_bytes(response);
        // Only the dispatch loop adds, so nothing comes in between.
        if self.bytes.load(Ordering::Relaxed).saturating_add(bytes) > self.bytes_max {
            response.headers = None;
            response.body = None;
            response.truncated = true;
        } else {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// The response is in the store: its room is free again.
    pub(crate) fn give_back(&self, response: &Response) {
        self.bytes.fetch_sub(kept_bytes(response), Ordering::Relaxed);
    }
}

fn kept_bytes(response: &Response) -> usize {
    let headers = response
        .headers
        .iter()
        .flatten()
        .map(|(name, value)| name.len() + value.len())
        .sum::<usize>();
    headers + response.body.as_ref().map_or(0, bytes::Bytes::len)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Backlog, Response};

    fn response(body: usize) -> Response {
        Response {
            status: 500,
            duration: Duration::from_millis(3),
            headers: Some(vec![("a".to_owned(), "bc".to_owned())]),
            body: Some(vec![b'x'; body].into()),
            truncated: false,
        }
    }

    #[test]
    fn what_is_over_the_limit_is_left_out_and_the_rest_is_kept() {
        let backlog = Backlog::with_limit(10);
        let (mut first, mut second) = (response(7), response(7));
        backlog.admit(&mut first);
        backlog.admit(&mut second);
        assert_eq!(first, response(7), "3 bytes of headers and 7 of body fit");
        assert_eq!((second.headers, second.body, second.truncated), (None, None, true));
        assert_eq!(second.status, 500, "what happened is said all the same");
    }

    #[test]
    fn what_is_recorded_makes_room() {
        let backlog = Backlog::with_limit(10);
        for _ in 0..100 {
            let mut response = response(7);
            backlog.admit(&mut response);
            assert!(response.body.is_some());
            backlog.give_back(&response);
        }
    }

    #[test]
    fn what_was_left_out_gives_nothing_back() {
        let backlog = Backlog::with_limit(10);
        let (mut kept, mut left_out) = (response(7), response(7));
        backlog.admit(&mut kept);
        backlog.admit(&mut left_out);
        backlog.give_back(&left_out);
        let mut third = response(0);
        backlog.admit(&mut third);
        assert!(third.body.is_none(), "the first still waits");
    }
}
