//! What is kept no longer goes.
//!
//! History is not deleted row by row: a floor is raised, below which nobody reads, and days that lie below it altogether are dropped. What
//! stands apart from the partitions (ids of callers, bodies of tests, what waits for nobody, kept answers, jobs, changes) goes in steps.

/// An event of `postrider.events` (not aliased) is to be seen: it is young enough, or something of it is still on its way. Every look-up and
/// list of events has it among its conditions; what is sent does not ask. The look for what is on its way is made below the floor only.
pub(crate) const EVENT_KEPT: &str = "(events.id >= (SELECT floor FROM postrider.retention)
    OR EXISTS (SELECT FROM postrider.queue q WHERE q.account = events.account AND q.delivery = ANY (ARRAY(
        SELECT encode(substr(events.deliveries, place * 16 + 1, 16), 'hex')::uuid
        FROM generate_series(0, octet_length(events.deliveries) / 16 - 1) AS of (place))))
    OR EXISTS (SELECT FROM postrider.queue q WHERE q.account = events.account AND q.event = events.id AND q.is_later)
    OR EXISTS (SELECT FROM postrider.fanouts f WHERE f.account = events.account AND f.event = events.id))";

/// An ended delivery of `postrider.deliveries` (not aliased) is to be seen: its event, or a test itself, is young enough. Every look-up and
/// list of ended deliveries has it among its conditions. What is pending is always to be seen.
pub(crate) const DELIVERY_KEPT: &str = "COALESCE(deliveries.event, deliveries.id) >= (SELECT floor FROM postrider.retention)";

/// A row of `postrider.events` or `postrider.deliveries` lies where something may be to see: lists in the order of places have it among
/// their conditions, so that their last page does not read what is hidden and not dropped yet. (Old events of which something is on its way
/// are found by their ids, not by lists.)
pub(crate) const PLACE_KEPT: &str = "major > (SELECT major FROM postrider.retention)";
