//! What the command line can be told to do: one file each.

pub(crate) mod bench;
pub(crate) mod dev;
pub(crate) mod keys;
pub(crate) mod serve;
