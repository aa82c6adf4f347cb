//! Pending deliveries of deleted webhooks end, in steps.
