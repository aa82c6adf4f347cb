//! What the command line can be told to do: one file each.

pub(crate) mod accounts;
mod api;
mod ask;
pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod dev;
mod input;
pub(crate) mod keys;
pub(crate) mod listen;
pub(crate) mod migrate_store;
pub(crate) mod openapi;
mod operator_key;
mod output;
mod progress;
pub(crate) mod serve;
pub(crate) mod trigger;
pub(crate) mod verify;

pub(crate) use self::input::{Source, text};
pub(crate) use self::output::visible;
