//! Partitions of the history, by time.
