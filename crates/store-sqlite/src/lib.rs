//! All SQLite SQL: the store of one machine.
//!
//! One thread writes (`writer`): it takes all calls that wait into one transaction, commits once, and answers them all. A few
//! connections read (`reader`), each in a snapshot and with a limit of time. What the tables look like, and why, is told in
//! `migrations/` and docs/decisions/0003-sqlite-layout.md.

mod accounts;
mod archive;
mod archive_reads;
mod archive_writes;
mod backup;
mod call;
mod changes;
mod checkpoint;
mod codec;
mod connection;
mod deliveries;
mod erasing;
mod event_lists;
mod events;
mod fanouts;
mod fault;
mod history;
mod jobs;
mod kept;
mod key_file;
mod keys;
mod leftovers;
mod lists;
mod migrate;
mod open;
mod outcomes;
mod queue;
mod reader;
mod recover;
mod registry;
mod retention;
mod retries;
mod segments;
mod stopping;
mod store;
mod tx;
mod walk;
mod webhooks;
mod writer;

pub use backup::{BackupProgress, backup};
pub use changes::CHANGES_KEPT_MAX;
pub use key_file::key_path;
pub use migrate::SCHEMA_KNOWN;
pub use open::{LOCK_TIME_MAX, OpenOptions, READ_TIME_MAX, Role, SealSource, Synchronous};
pub use store::SqliteStore;
