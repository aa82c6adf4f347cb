//! Answers kept under idempotency keys.
