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

    /// Told what the store's clock shows, asked and answered at these moments of the monotonic face. A clock that follows the store's
    /// goes by it from now on; others do not care.
    fn follow(&self, _asked: Monotonic, _answered: Monotonic, _wall: Timestamp) {}

    /// Both faces of this moment.
    fn now(&self) -> Now {
        Now {
            wall: self.wall(),
            mono: self.mono(),
        }
    }
}
