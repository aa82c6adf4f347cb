//! Secrets of the command line.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// A text that is not printed.
#[derive(Clone)]
pub(crate) struct Hidden(pub(crate) String);

impl FromStr for Hidden {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("***")
    }
}
