//! What is pending: read by webhook, in the order of `due`.
