//! Deliveries: pending ones in the queue, ended ones in the history.
