//! What is kept no longer goes.
//!
//! History is not deleted row by row: a floor is raised, below which nobody reads, and days that lie below it altogether are dropped. What
//! stands apart from the partitions (ids of callers, bodies of tests, what waits for nobody, kept answers, jobs, changes) goes in steps.

use std::time::Duration;

use postrider_model::time::Timestamp;
use postrider_ports::StoreError;
use postrider_ports::store::{Retire, Retired};
use uuid::Uuid;

use crate::conn::Conn;
use crate::fault::{Fault, Outcome};
use crate::leftovers;
use crate::partitions::{self, first_id};
use crate::position::{Positions, XMIN};
use crate::store::PostgresStore;

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

/// Pending deliveries by the age of what they carry, found by a look into the primary key for each account with something pending, and one
/// into `queue_later`: it costs per account, and per row that is old. `$1` is the first id that is young, `$2` a later one than any
/// delivery's that came with an event before that.
const OLD_PENDING: &str = "WITH RECURSIVE owners (account) AS (
        (SELECT account FROM postrider.queue ORDER BY account LIMIT 1)
        UNION ALL
        SELECT (SELECT q.account FROM postrider.queue q WHERE q.account > o.account ORDER BY q.account LIMIT 1)
        FROM owners o WHERE o.account IS NOT NULL
    ), old AS (
        SELECT q.* FROM owners o CROSS JOIN LATERAL (
            SELECT account, delivery, webhook, event, ctid AS place FROM postrider.queue
            WHERE account = o.account AND delivery < $2 ORDER BY delivery OFFSET 0
        ) q WHERE COALESCE(q.event, q.delivery) < $1
        UNION ALL
        SELECT q.* FROM owners o CROSS JOIN LATERAL (
            SELECT account, delivery, webhook, event, ctid AS place FROM postrider.queue
            WHERE account = o.account AND is_later AND event < $1 ORDER BY event OFFSET 0
        ) q WHERE q.delivery >= $2
    )";

/// The oldest id that something pending may ask for: of its event, of itself or of its attempts.
const OLDEST_NEEDED: &str = "WITH RECURSIVE owners (account) AS (
        (SELECT account FROM postrider.queue ORDER BY account LIMIT 1)
        UNION ALL
        SELECT (SELECT q.account FROM postrider.queue q WHERE q.account > o.account ORDER BY q.account LIMIT 1)
        FROM owners o WHERE o.account IS NOT NULL
    )
    SELECT id FROM (
        (SELECT q.delivery AS id FROM owners o CROSS JOIN LATERAL (
            SELECT delivery FROM postrider.queue WHERE account = o.account ORDER BY delivery LIMIT 1
        ) q ORDER BY q.delivery LIMIT 1)
        UNION ALL (SELECT q.event FROM owners o CROSS JOIN LATERAL (
            SELECT event FROM postrider.queue WHERE account = o.account AND is_later ORDER BY event LIMIT 1
        ) q ORDER BY q.event LIMIT 1)
        UNION ALL (SELECT event FROM postrider.fanouts ORDER BY event LIMIT 1)
    ) AS needed ORDER BY id LIMIT 1";

/// Names the lock under which one node at a time takes away: `PTRK` in ASCII.
pub(crate) const LOCK: i64 = 0x5054_524B;
/// The times in the ids of an event and of the deliveries that came with it lie closer than this; and nothing that was read before the floor
/// was raised is still used so long after.
const MARGIN: Duration = Duration::from_secs(3600);
/// Clocks of nodes, which all follow the database's, lie closer than this.
const CLOCK_MARGIN: Duration = Duration::from_secs(600);
/// A mark is made so often: the last page of a list reads at most so much of what is hidden.
const MARKS_EVERY: Duration = Duration::from_secs(600);

/// Callers' own ids that are freed in one transaction.
const FREED_MAX: i64 = 1_000;

/// What a step may still write.
pub(crate) struct Budget {
    rows: usize,
}

impl Budget {
    pub(crate) const fn new(rows: usize) -> Self {
        Self { rows }
    }

    pub(crate) const fn is_spent(&self) -> bool {
        self.rows == 0
    }

    pub(crate) fn write(&mut self, rows: u64) {
        self.rows = self.rows.saturating_sub(usize::try_from(rows).unwrap_or(usize::MAX));
    }

    /// As a LIMIT.
    pub(crate) fn limit(&self) -> i64 {
        i64::try_from(self.rows).unwrap_or(i64::MAX)
    }
}

/// One step. Where another node is at it, there is nothing to do.
pub(crate) async fn retire(store: &PostgresStore, ask: &Retire) -> Result<Retired, StoreError> {
    let conn = store.conn().await?;
    partitions::ensure_ahead(&conn, ask.now).await.map_err(Fault::into_store)?;
    conn.begin_by_index().await.map_err(Fault::into_store)?;
    let done = step(&conn, ask, store.inner.positions).await;
    let retired = conn.end(done).await?;
    let Some(retired) = retired else {
        return Ok(Retired::default());
    };
    if !retired.has_more {
        drop_days(&conn).await.map_err(Fault::into_store)?;
    }
    Ok(retired)
}

/// Whether this transaction alone takes away now.
pub(crate) async fn is_alone(conn: &Conn) -> Outcome<bool> {
    Ok(conn.query_one("SELECT pg_try_advisory_xact_lock($1)", &[&LOCK]).await?.try_get(0)?)
}

async fn step(conn: &Conn, ask: &Retire, positions: Positions) -> Outcome<Option<Retired>> {
    if !is_alone(conn).await? {
        return Ok(None);
    }
    let mut budget = Budget::new(ask.rows_max);
    let mut retired = Retired {
        deliveries: waiting_for_nobody(conn, ask, &mut budget).await?,
        ..Retired::default()
    };
    if !budget.is_spent() {
        own_ids(conn, ask, &mut budget).await?;
    }
    if !budget.is_spent() {
        tests(conn, ask, &mut budget).await?;
    }
    if !budget.is_spent() {
        leftovers::clear(conn, ask, &mut budget).await?;
    }
    retired.has_more = budget.is_spent();
    if !retired.has_more {
        let (events, deliveries) = raise_floor(conn, ask).await?;
        retired.events += events;
        retired.deliveries += deliveries;
        mark(conn, ask.now, positions).await?;
    }
    Ok(Some(retired))
}

/// Deliveries that still wait for a webhook or an account that is not active. Those of deleted ones are ended by `stop_deleted`.
async fn waiting_for_nobody(conn: &Conn, ask: &Retire, budget: &mut Budget) -> Outcome<usize> {
    let sql = format!(
        "{OLD_PENDING} DELETE FROM postrider.queue q USING (
             SELECT old.account, old.place FROM old
             JOIN postrider.webhooks w ON w.account = old.account AND w.id = old.webhook AND w.deleted_at IS NULL
             JOIN postrider.accounts a ON a.id = old.account AND a.deleted_at IS NULL
             WHERE NOT (w.is_active AND a.is_active) LIMIT $3
         ) AS idle WHERE q.account = idle.account AND q.ctid = idle.place"
    );
    let (young, later) = (first_id(ask.before), first_id(ask.before + MARGIN));
    let rows = conn.execute(&sql, &[&young, &later, &budget.limit()]).await?;
    budget.write(rows);
    Ok(usize::try_from(rows).unwrap_or(usize::MAX))
}

/// Callers' own ids are free again before their events are hidden: who repeats one never meets an event that nobody can see.
async fn own_ids(conn: &Conn, ask: &Retire, budget: &mut Budget) -> Outcome<()> {
    let floor = floor(conn).await?;
    // Below the floor are those alone whose events were on their way when it was raised, and all that is gone and not cleaned up yet, which a
    // look from the front steps over: as seldom as marks are made.
    if is_mark_due(conn, ask.now).await? {
        own_ids_between(conn, (Uuid::nil(), floor), budget).await?;
    }
    own_ids_between(conn, (floor, first_id(ask.before)), budget).await
}

async fn own_ids_between(conn: &Conn, (first, next): (Uuid, Uuid), budget: &mut Budget) -> Outcome<()> {
    if budget.is_spent() {
        return Ok(());
    }
    let is_on_its_way = EVENT_KEPT.replace("(SELECT floor FROM postrider.retention)", "$2");
    let sql = format!(
        "DELETE FROM postrider.event_ids i USING (
             SELECT account, own_id FROM postrider.event_ids ids WHERE event >= $1 AND event < $2
             AND NOT EXISTS (SELECT FROM postrider.events WHERE account = ids.account AND id = ids.event AND {is_on_its_way})
             ORDER BY event LIMIT $3
         ) AS old WHERE i.account = old.account AND i.own_id = old.own_id"
    );
    budget.write(conn.execute(&sql, &[&first, &next, &budget.limit()]).await?);
    Ok(())
}

/// Bodies of tests that are not pending.
async fn tests(conn: &Conn, ask: &Retire, budget: &mut Budget) -> Outcome<()> {
    let sql = "DELETE FROM postrider.tests t USING (
             SELECT account, delivery FROM postrider.tests ended WHERE delivery < $1
             AND NOT EXISTS (SELECT FROM postrider.queue q WHERE q.account = ended.account AND q.delivery = ended.delivery)
             ORDER BY delivery LIMIT $2
         ) AS old WHERE t.account = old.account AND t.delivery = old.delivery";
    budget.write(conn.execute(sql, &[&first_id(ask.before), &budget.limit()]).await?);
    Ok(())
}

/// Hides what is old. How many events and deliveries that were, about, where they are many.
async fn raise_floor(conn: &Conn, ask: &Retire) -> Outcome<(usize, usize)> {
    let (old, new) = (floor(conn).await?, first_id(ask.before));
    if new <= old {
        return Ok((0, 0));
    }
    let events = partitions::count(conn, "events", "id", (old, new)).await?;
    let deliveries = partitions::count(conn, "deliveries", "COALESCE(event, id)", (old, new)).await?;
    let sure = (ask.before - CLOCK_MARGIN).as_millis();
    conn.execute(
        "UPDATE postrider.retention SET floor = $1,
         major = GREATEST(major, (SELECT max(m.major) FROM postrider.marks m WHERE m.at <= $2))",
        &[&new, &sure],
    )
    .await?;
    conn.execute(
        "DELETE FROM postrider.marks WHERE at < (SELECT max(at) FROM postrider.marks WHERE at <= $1)",
        &[&sure],
    )
    .await?;
    Ok((events, deliveries))
}

async fn floor(conn: &Conn) -> Outcome<Uuid> {
    Ok(conn.query_one("SELECT floor FROM postrider.retention", &[]).await?.try_get(0)?)
}

/// Whether it is time for one.
async fn is_mark_due(conn: &Conn, now: Timestamp) -> Outcome<bool> {
    let last = (now - MARKS_EVERY).as_millis();
    let sql = "SELECT NOT EXISTS (SELECT FROM postrider.marks WHERE at > $1)";
    Ok(conn.query_one(sql, &[&last]).await?.try_get(0)?)
}

/// Notes which transactions have ended by now: all that they wrote is from before it.
async fn mark(conn: &Conn, now: Timestamp, positions: Positions) -> Outcome<()> {
    if is_mark_due(conn, now).await? {
        let sql = format!("INSERT INTO postrider.marks (at, major) VALUES ($1, $2 + {XMIN} - 1) ON CONFLICT DO NOTHING");
        conn.execute(&sql, &[&now.as_millis(), &positions.base]).await?;
    }
    Ok(())
}

/// Drops the days of which nothing is seen and nothing is needed any more.
async fn drop_days(conn: &Conn) -> Outcome<()> {
    let floor = floor(conn).await?;
    let needed: Option<Uuid> = match conn.query_opt(OLDEST_NEEDED, &[]).await? {
        Some(row) => row.try_get(0)?,
        None => None,
    };
    let first = needed.map_or(floor, |needed| needed.min(floor));
    let before = first_id(partitions::time_of(first) - MARGIN);
    let days = partitions::before(conn, before).await?;
    if days.is_empty() {
        return Ok(());
    }
    free_ids(conn, before).await?;
    partitions::drop_all(conn, &days).await
}

/// Frees callers' own ids of events that go now, which were on their way when the others' were freed: who used one would be led to nowhere.
async fn free_ids(conn: &Conn, before: Uuid) -> Outcome<()> {
    let sql = "DELETE FROM postrider.event_ids i USING (
             SELECT account, own_id FROM postrider.event_ids WHERE event < $1 ORDER BY event LIMIT $2
         ) AS old WHERE i.account = old.account AND i.own_id = old.own_id";
    loop {
        conn.begin_by_index().await?;
        let freed = conn.execute(sql, &[&before, &FREED_MAX]).await;
        if conn.end(freed).await? < FREED_MAX.unsigned_abs() {
            return Ok(());
        }
    }
}
