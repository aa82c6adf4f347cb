//! Tests and retries.
