//! Every decision about what is sent when, as a pure function of state, `now` and input: turns, limits in flight, retries,
//! circuits, memory. No I/O, no clock, no log: the engine feeds it inputs and carries out its commands.
//!
//! ```text
//! scheduler.handle(now, input, &mut commands);   // then carry the commands out
//! scheduler.next_wake();                         // and hand in Input::Tick at that moment
//! ```

pub mod command;
pub mod input;

pub use command::Command;
pub use input::Input;
