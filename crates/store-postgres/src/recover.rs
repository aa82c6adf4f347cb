//! One step of a recovery.
