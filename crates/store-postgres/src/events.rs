//! Events: stored with their deliveries in one statement for a whole group.
