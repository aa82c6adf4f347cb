//! Every decision about what is sent when, as a pure function of state, `now` and input: turns, limits in flight, retries,
//! circuits, memory. No I/O, no clock, no log: the engine feeds it inputs and carries out its commands.
//!
//! ```text
//! scheduler.handle(now, input, &mut commands);   // then carry the commands out
//! scheduler.next_wake();                         // and hand in Input::Tick at that moment
//! ```

pub mod command;
pub mod config;
pub mod input;
pub mod retry;
pub mod scheduler;
pub mod stats;

mod arena;
mod budget;
mod chance;
mod circuit;
mod class;
mod flight;
mod host;
mod lane;
mod limit;
mod node;
mod queues;
mod ring;
mod slots;
mod timers;

pub use command::Command;
pub use config::LanesConfig;
pub use input::Input;
pub use retry::RetrySchedule;
pub use scheduler::Scheduler;
pub use stats::Stats;
