//! The binary of Postrider.

use std::process::ExitCode;

fn main() -> ExitCode {
    postrider::main()
}
