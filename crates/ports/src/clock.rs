//! Time, in both its faces. Tests put a simulated clock in its place.

use std::future::Future;
use std::pin::Pin;

use postrider_model::time::{Monotonic, Now, Timestamp};

/// A sleep that ends at a moment of the monotonic clock.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What tells the time. Cheap to call.
pub trait Clock: Send + Sync + 'static {
    /// The time that people see.
    fn wall(&self) -> Timestamp;

    /// The time that deadlines are counted by. It never goes back.
    fn mono(&self) -> Monotonic;

    /// Ends when `mono` has reached `deadline`; at once where it has already.
    fn sleep_until(&self, deadline: Monotonic) -> Sleep;

    /// Both faces of this moment.
    fn now(&self) -> Now {
        Now {
            wall: self.wall(),
            mono: self.mono(),
        }
    }
}
