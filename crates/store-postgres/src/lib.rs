//! All PostgreSQL SQL: the store of many machines.
//!
//! What every delivery needs (`commit_events`, `record_outcomes`, `fetch_due`) is one statement with unnested arrays for a whole group: one
//! round trip, one transaction. What is pending stands in `queue` alone, what has ended in partitions by time. What the tables look like,
//! and why, is told in `migrations/` and docs/decisions.

mod accounts;
mod archive;
mod archive_history;
mod archive_reads;
mod archive_writes;
mod careful;
mod changes;
mod codec;
mod conn;
mod deliveries;
mod erasing;
mod event_lists;
mod event_reads;
mod event_rows;
mod events;
mod fanouts;
mod fault;
mod jobs;
mod judging;
mod kept;
mod keys;
mod leftovers;
mod line;
mod lists;
mod marks;
mod migrate;
mod moved;
mod moves;
mod nodes;
mod notify;
mod open;
mod outcomes;
mod param;
mod partitions;
mod pool;
mod position;
mod queue;
mod recover;
mod registry;
mod resends;
mod retention;
mod retries;
mod rows;
mod server;
mod slots;
mod standing;
mod stopping;
mod store;
mod tls;
mod url;
mod waiting;
mod webhooks;
mod words;

pub use changes::CHANGES_KEPT_MAX;
pub use migrate::SCHEMA_KNOWN;
pub use nodes::PostgresNodes;
pub use open::{CONNECTIONS_MAX, LOCK_TIME_MAX, OpenOptions, STATEMENT_TIME_MAX, Survey, connect, survey};
pub use pool::CONNECTION_TIME_MAX;
pub use store::PostgresStore;
pub use url::CONNECTIONS_MIN;
