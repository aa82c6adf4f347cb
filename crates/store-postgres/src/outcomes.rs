//! Outcomes of attempts: compare-and-set on their delivery.
//!
//! Most are the success of a delivery that nothing else in the group is about. `Delivery::apply` lets a success win over whatever is
//! pending, and asks nothing of the row but its attempts: so those go without a look, in one statement. All others are judged in Rust on
//! what was read, and written where that still stands.

use std::collections::hash_map::Entry;

use postrider_model::delivery::Change;
use postrider_model::id::DeliveryId;
use postrider_model::limits::TRANSACTION_ROWS_MAX;
use postrider_ports::StoreError;
use postrider_ports::store::{OutcomeRecord, Recorded};
use rustc_hash::{FxHashMap, FxHashSet};
use uuid::Uuid;

use crate::codec;
use crate::conn::Conn;
use crate::fault::{Fault, Outcome, unavailable};
use crate::judging;
use crate::param::{Array, Nullable};
use crate::partitions;
use crate::store::PostgresStore;

/// Outcomes in one statement: each writes its delivery, the queue, its attempt.
const OUTCOMES_MAX: usize = TRANSACTION_ROWS_MAX / 3;
/// How often the same is tried again where others changed the same rows.
const TRIES_MAX: usize = 10;
/// How often a group waits in vain for what others have locked: each time for as long as a statement waits (`HOT_LOCK_TIME_MAX`).
const WAITS_MAX: usize = 3;

/// An outcome of a group, and where in the group it stands.
pub(crate) type Numbered<'a> = (usize, &'a OutcomeRecord);

/// How a part of a group is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Successes, each the only outcome of its delivery.
    Successes,
    /// Anything.
    Judged,
}

/// Records a group of outcomes.
pub(crate) async fn record(store: &PostgresStore, group: &[OutcomeRecord]) -> Result<Vec<Recorded>, StoreError> {
    let mut results = vec![Recorded::Superseded; group.len()];
    let mut apart = Apart::default();
    let (successes, others) = split(group);
    for (way, outcomes) in [(Way::Successes, successes), (Way::Judged, others)] {
        for part in parts(outcomes, way) {
            record_part(store, part, way, (&mut results, &mut apart)).await?;
        }
    }
    for (result, outcome) in results.iter_mut().zip(group) {
        if apart.locked.contains(&outcome.delivery) {
            *result = Recorded::Locked;
        }
    }
    if let Some((delivery, error)) = apart.refused {
        let outcomes = results.iter().filter(|result| **result == Recorded::Refused).count();
        tracing::error!(outcomes, %delivery, %error, "outcomes cannot be recorded, and are given up, that of this delivery among them");
    }
    Ok(results)
}

/// What is told apart from the rest of a group.
#[derive(Default)]
struct Apart {
    /// Deliveries whose rows others hold, and for longer than a statement waits. Their outcomes are for later, all of them, in their order. At
    /// most as many as there are outcomes in a group.
    locked: FxHashSet<DeliveryId>,
    /// How often a lock was waited for in vain.
    waits: usize,
    /// The first that cannot be recorded, and why.
    refused: Option<(DeliveryId, StoreError)>,
}

impl Apart {
    /// What is left of a part without those that are locked at this moment. No lock is waited for once more: that is seen by a look.
    async fn leave_out<'a>(&mut self, store: &PostgresStore, mut part: Vec<Numbered<'a>>, fault: Fault) -> Outcome<Vec<Numbered<'a>>> {
        self.waits += 1;
        let locked = locked_of(&store.inner.pools.hot().await?, &part).await?;
        if locked.is_empty() || self.waits > WAITS_MAX {
            return Err(fault);
        }
        self.locked.extend(locked);
        part.retain(|(_, outcome)| !self.locked.contains(&outcome.delivery));
        Ok(part)
    }
}

/// Rows that nobody holds are this statement's for a moment.
async fn locked_of(conn: &Conn, part: &[Numbered<'_>]) -> Outcome<Vec<DeliveryId>> {
    let accounts: Array<Uuid> = part.iter().map(|(_, one)| Uuid::from_u128(one.account.as_u128())).collect();
    let deliveries: Array<Uuid> = part.iter().map(|(_, one)| Uuid::from_u128(one.delivery.as_u128())).collect();
    let row = |lock| {
        format!(
            "(SELECT f.delivery FROM postrider.queue f WHERE f.account = o.account AND f.delivery BETWEEN o.delivery AND o.delivery
              ORDER BY f.delivery LIMIT 1 {lock})"
        )
    };
    let sql = format!(
        "SELECT o.delivery FROM unnest($1::uuid[], $2::uuid[]) AS o (account, delivery) CROSS JOIN LATERAL {} AS there
         LEFT JOIN LATERAL {} AS free ON true WHERE free.delivery IS NULL",
        row(""),
        row("FOR UPDATE SKIP LOCKED")
    );
    let rows = conn.query(&sql, &[&accounts, &deliveries]).await?;
    rows.iter()
        .map(|row| Ok(DeliveryId::from_u128(row.try_get::<_, Uuid>(0)?.as_u128())))
        .collect()
}

/// Successes that are alone with their delivery, and all others.
fn split(group: &[OutcomeRecord]) -> (Vec<Numbered<'_>>, Vec<Numbered<'_>>) {
    let mut counts: FxHashMap<DeliveryId, usize> = FxHashMap::with_capacity_and_hasher(group.len(), Default::default());
    for outcome in group {
        *counts.entry(outcome.delivery).or_default() += 1;
    }
    let is_alone = |outcome: &OutcomeRecord| counts.get(&outcome.delivery) == Some(&1);
    group
        .iter()
        .enumerate()
        .partition(|(_, outcome)| matches!(outcome.change, Change::Succeeded { .. }) && is_alone(outcome))
}

/// Parts that fit into a transaction each. What is about one delivery stays in order: the parts are recorded one after the other.
fn parts(mut outcomes: Vec<Numbered<'_>>, way: Way) -> Vec<Vec<Numbered<'_>>> {
    if way == Way::Successes {
        // Two that record the same at once meet the rows in the same order.
        outcomes.sort_unstable_by_key(|(_, outcome)| (outcome.account, outcome.delivery));
    }
    outcomes.chunks(OUTCOMES_MAX).map(<[Numbered<'_>]>::to_vec).collect()
}

/// Records a part. Where it fails it is split, until the guilty delivery stands alone: that one is refused, so that it does not
/// hold up all that come behind it. What is locked is left out.
async fn record_part(
    store: &PostgresStore,
    mut part: Vec<Numbered<'_>>,
    way: Way,
    (results, apart): (&mut [Recorded], &mut Apart),
) -> Result<(), StoreError> {
    part.retain(|(_, outcome)| !apart.locked.contains(&outcome.delivery));
    let mut left = vec![part];
    while let Some(mut part) = left.pop() {
        let Err(fault) = try_part(store, &mut part, (way, results)).await else {
            continue;
        };
        if fault.is_of_a_lock() {
            let free = apart.leave_out(store, part, fault).await;
            left.push(free.map_err(Fault::into_store)?);
            continue;
        }
        if !fault.is_of_one_call() {
            return Err(fault.into_commit_error());
        }
        match halves(part) {
            Ok(halves) => left.extend(halves),
            Err(guilty) => {
                let first = guilty.first().map(|(_, outcome)| (outcome.delivery, fault.into_store()));
                apart.refused = apart.refused.take().or(first);
                for (place, _) in guilty {
                    set(results, place, Recorded::Refused);
                }
            }
        }
    }
    Ok(())
}

/// Two halves, the first of them last, that share no delivery; all of it where it is about one.
fn halves(part: Vec<Numbered<'_>>) -> Result<[Vec<Numbered<'_>>; 2], Vec<Numbered<'_>>> {
    let mut groups: FxHashMap<DeliveryId, usize> = FxHashMap::default();
    for (_, outcome) in &part {
        let count = groups.len();
        if let Entry::Vacant(new) = groups.entry(outcome.delivery) {
            new.insert(count);
        }
    }
    if groups.len() < 2 {
        return Err(part);
    }
    let half = groups.len() / 2;
    let is_first = |(_, outcome): &Numbered<'_>| groups.get(&outcome.delivery).is_some_and(|group| *group < half);
    let (first, second) = part.into_iter().partition(is_first);
    Ok([second, first])
}

/// Records what is left of a part, until nothing is.
async fn try_part(store: &PostgresStore, left: &mut Vec<Numbered<'_>>, (mut way, results): (Way, &mut [Recorded])) -> Outcome<()> {
    let conn = store.inner.pools.hot().await?;
    let mut tries = 0;
    while !left.is_empty() {
        let count = left.len();
        let done = match way {
            Way::Successes => succeed(&conn, left, results).await.map(|()| way = Way::Judged),
            Way::Judged => judging::record(&conn, left, results).await,
        };
        match done {
            Ok(()) => {}
            Err(fault) if fault.is_missing_partition() => {
                partitions::ensure_for(store, left.iter().map(|(_, outcome)| outcome.delivery.as_u128())).await?;
            }
            Err(fault) if fault.is_worth_another_try() => {}
            Err(fault) => return Err(fault),
        }
        tries = if left.len() < count { 0 } else { tries + 1 };
        if tries > TRIES_MAX {
            return Err(unavailable("others changed the same deliveries all the time").into());
        }
    }
    Ok(())
}

/// Notes what came of one.
pub(crate) fn set(results: &mut [Recorded], place: usize, recorded: Recorded) {
    if let Some(slot) = results.get_mut(place) {
        *slot = recorded;
    }
}

/// Moves what has succeeded from the queue to the history. As `Delivery::apply` has it: a success ends whatever is pending, and there
/// were as many attempts as its number says at least. The ids are told only where some are left: not pending, or changed at this moment.
///
/// A row is looked up by its key and then deleted by its place (`ctid`), here and in `judging`: joined to the table by its key, the planner
/// would read all of the queue and look into the arrays where it believes that there is next to nothing in it. It does after each quiet hour.
const SUCCEED: &str = "WITH gone AS (
        DELETE FROM postrider.queue q
        USING unnest($1::uuid[], $2::uuid[], $3::integer[], $4::bigint[], $5::bytea[]) AS o (account, delivery, number, at, success)
              CROSS JOIN LATERAL (SELECT f.ctid FROM postrider.queue f
                                  WHERE f.account = o.account AND f.delivery BETWEEN o.delivery AND o.delivery
                                  ORDER BY f.delivery LIMIT 1) AS found
        WHERE q.ctid = found.ctid
        RETURNING q.account, q.delivery, q.webhook, q.event, q.major, q.schedule_began_at, q.created_at, o.at, o.success, q.minor,
                  greatest(q.attempts, o.number) AS attempts, q.schedule_base, q.is_later
    ), kept AS (
        INSERT INTO postrider.deliveries
            (account, id, webhook, event, major, schedule_began_at, created_at, ended_at, modified_at, minor, attempts, schedule_base,
             status, is_later, success)
        SELECT account, delivery, webhook, event, major, schedule_began_at, created_at, at, at, minor, attempts, schedule_base,
               1::smallint, is_later, success
        FROM gone
    )
    SELECT count(*), CASE WHEN count(*) < $6 THEN array_agg(delivery) END FROM gone";

/// What is left of a part then is to be judged.
async fn succeed(conn: &Conn, left: &mut Vec<Numbered<'_>>, results: &mut [Recorded]) -> Outcome<()> {
    let outcomes = || left.iter().map(|(_, outcome)| *outcome);
    let accounts: Array<Uuid> = outcomes().map(|one| Uuid::from_u128(one.account.as_u128())).collect();
    let deliveries: Array<Uuid> = outcomes().map(|one| Uuid::from_u128(one.delivery.as_u128())).collect();
    let numbers: Array<i32> = outcomes().map(|one| number_column(number_of(one.change))).collect();
    let at: Array<i64> = outcomes().map(|one| one.at.as_millis()).collect();
    let successes: Nullable<Vec<u8>> = outcomes().map(|one| one.attempt.as_ref().map(codec::encode_attempt)).collect();
    let count = i64::try_from(left.len()).unwrap_or(i64::MAX);
    let row = conn
        .query_one(SUCCEED, &[&accounts, &deliveries, &numbers, &at, &successes, &count])
        .await?;
    let is_all = row.try_get::<_, i64>(0)? == count;
    let applied: Option<Vec<Uuid>> = row.try_get(1)?;
    let applied: FxHashSet<Uuid> = applied.into_iter().flatten().collect();
    left.retain(|(place, outcome)| {
        let is_applied = is_all || applied.contains(&Uuid::from_u128(outcome.delivery.as_u128()));
        if is_applied {
            set(results, *place, Recorded::Applied);
        }
        !is_applied
    });
    Ok(())
}

const fn number_of(change: Change) -> u32 {
    match change {
        Change::Succeeded { number } | Change::AttemptFailed { number, .. } => number,
        Change::Expired | Change::WebhookDeleted | Change::Retried => 0,
    }
}

/// A count of attempts as its column has it.
pub(crate) fn number_column(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
