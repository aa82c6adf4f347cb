//! Lists of deliveries.
