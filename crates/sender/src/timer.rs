//! Time limits. Most steps end before they would have to wait, so a sleep is made only when a step is not done at once.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};

use postrider_model::time::Monotonic;
use postrider_ports::Clock;
use postrider_ports::clock::Sleep;

/// A time limit that costs nothing until it is waited for.
pub(crate) struct Timer<'a> {
    clock: &'a dyn Clock,
    deadline: Monotonic,
    sleep: Option<Sleep>,
}

impl<'a> Timer<'a> {
    pub(crate) fn new(clock: &'a dyn Clock, deadline: Monotonic) -> Self {
        Self {
            clock,
            deadline,
            sleep: None,
        }
    }

    /// Puts another deadline in place of the one before.
    pub(crate) fn reset(&mut self, deadline: Monotonic) {
        self.deadline = deadline;
        self.sleep = None;
    }

    /// Ready when the deadline has passed.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| self.clock.sleep_until(self.deadline));
        sleep.as_mut().poll(context)
    }
}

/// What `work` gives, or `None` where the deadline passes first.
pub(crate) async fn within<F: Future>(clock: &dyn Clock, deadline: Monotonic, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    let mut timer = Timer::new(clock, deadline);
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => timer.poll(context).map(|()| None),
    })
    .await
}
