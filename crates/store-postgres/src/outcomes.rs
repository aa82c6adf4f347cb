//! Outcomes of attempts: compare-and-set on their delivery.
