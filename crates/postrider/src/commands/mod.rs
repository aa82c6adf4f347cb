//! What the command line can be told to do: one file each.

pub(crate) mod bench;
