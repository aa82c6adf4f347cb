//! Outcomes that need a look: what is pending is read, judged by `Delivery::apply`, and written where it still is what was read.

use std::sync::LazyLock;

use postrider_model::attempt::Attempt;
use postrider_model::delivery::{Delivery, FailedReason, Progress, Status};
use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::time::Timestamp;
use postrider_ports::store::{OutcomeRecord, Recorded};
use rustc_hash::{FxHashMap, FxHashSet};
use uuid::Uuid;

use crate::codec;
use crate::conn::Conn;
use crate::fault::Outcome;
use crate::outcomes::{Numbered, number_column, set};
use crate::param::{Array, Nullable};

/// A pending delivery as it was read, and what the outcomes make of it.
struct Judged<'a> {
    read: Delivery,
    after: Delivery,
    is_test: bool,
    success: Option<&'a Attempt>,
    failure: Option<&'a Attempt>,
    /// What came of the outcomes, by their places in the group.
    recorded: Vec<(usize, Recorded)>,
}

impl<'a> Judged<'a> {
    /// Judges an outcome. False where it has to wait for the next turn: one turn writes one failed attempt of a delivery.
    fn take(&mut self, place: usize, outcome: &'a OutcomeRecord) -> bool {
        let Ok(after) = self.after.clone().apply(outcome.change, outcome.at) else {
            self.recorded.push((place, Recorded::Superseded));
            return true;
        };
        let is_success = matches!(after.status, Status::Succeeded { .. });
        if outcome.attempt.is_some() && !is_success && self.failure.is_some() {
            return false;
        }
        match &outcome.attempt {
            Some(attempt) if is_success => self.success = Some(attempt),
            Some(attempt) => self.failure = Some(attempt),
            None => {}
        }
        self.after = after;
        self.recorded.push((place, Recorded::Applied));
        true
    }

    fn is_changed(&self) -> bool {
        self.recorded.iter().any(|(_, recorded)| *recorded == Recorded::Applied)
    }
}

/// Row `q` is as outcome `j` has found it.
const AS_READ: &str =
    "q.due = j.was_due AND q.attempts = j.was_attempts AND q.schedule_began_at = j.was_began_at AND q.modified_at = j.was_modified_at";

const READ: &str = "SELECT q.account, q.delivery, q.webhook, q.event IS NULL, q.due, q.attempts, q.schedule_base, q.schedule_began_at,
           q.created_at, q.modified_at
    FROM unnest($1::uuid[], $2::uuid[]) AS o (account, delivery)
    CROSS JOIN LATERAL (SELECT * FROM postrider.queue f WHERE f.account = o.account AND f.delivery BETWEEN o.delivery AND o.delivery
                        ORDER BY f.delivery LIMIT 1) AS q";

/// Records outcomes, in their order. Those that are still to be recorded stay in `left`: others changed their rows meanwhile, or more than
/// one attempt of theirs has failed.
pub(crate) async fn record(conn: &Conn, left: &mut Vec<Numbered<'_>>, results: &mut [Recorded]) -> Outcome<()> {
    let mut judged = read(conn, left).await?;
    let mut waiting: FxHashSet<DeliveryId> = FxHashSet::default();
    for (place, outcome) in left.iter() {
        if let Some(one) = judged.get_mut(&(outcome.account, outcome.delivery))
            && !waiting.contains(&outcome.delivery)
            && !one.take(*place, outcome)
        {
            waiting.insert(outcome.delivery);
        }
    }
    // Two that record the same at once meet the rows in the same order.
    let mut changed: Vec<&Judged<'_>> = judged.values().filter(|one| one.is_changed()).collect();
    changed.sort_unstable_by_key(|one| (one.read.account, one.read.id));
    let written = match changed.is_empty() {
        true => FxHashSet::default(),
        false => write(conn, &changed).await?,
    };
    let mut settled: FxHashSet<usize> = FxHashSet::default();
    for one in judged.values() {
        if !one.is_changed() || written.contains(&Uuid::from_u128(one.read.id.as_u128())) {
            for (place, recorded) in &one.recorded {
                set(results, *place, *recorded);
                settled.insert(*place);
            }
        }
    }
    // What is not pending has moved on, or is gone: so says the result from the start.
    left.retain(|(place, outcome)| judged.contains_key(&(outcome.account, outcome.delivery)) && !settled.contains(place));
    Ok(())
}

/// What of the deliveries is pending.
async fn read<'a>(conn: &Conn, left: &[Numbered<'a>]) -> Outcome<FxHashMap<(AccountId, DeliveryId), Judged<'a>>> {
    let mut left: Vec<(AccountId, DeliveryId)> = left.iter().map(|(_, one)| (one.account, one.delivery)).collect();
    left.sort_unstable();
    left.dedup();
    let accounts: Array<Uuid> = left.iter().map(|(account, _)| Uuid::from_u128(account.as_u128())).collect();
    let deliveries: Array<Uuid> = left.iter().map(|(_, delivery)| Uuid::from_u128(delivery.as_u128())).collect();
    let rows = conn.query(READ, &[&accounts, &deliveries]).await?;
    let mut judged = FxHashMap::default();
    for row in &rows {
        let time = |at: usize| row.try_get(at).map(Timestamp::from_millis);
        let (account, id, webhook): (Uuid, Uuid, Uuid) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let read = Delivery {
            id: DeliveryId::from_u128(id.as_u128()),
            account: AccountId::from_u128(account.as_u128()),
            webhook: WebhookId::from_u128(webhook.as_u128()),
            // Nothing is judged by it.
            event: None,
            status: Status::Pending { due: time(4)? },
            progress: Progress {
                attempts: row.try_get::<_, i32>(5)?.unsigned_abs(),
                schedule_base: row.try_get::<_, i32>(6)?.unsigned_abs(),
                schedule_began_at: time(7)?,
            },
            created_at: time(8)?,
            modified_at: time(9)?,
        };
        let one = Judged {
            after: read.clone(),
            is_test: row.try_get(3)?,
            success: None,
            failure: None,
            recorded: Vec::new(),
            read,
        };
        judged.insert((one.read.account, one.read.id), one);
    }
    Ok(judged)
}

/// Writes what became of each, where its row is as it was read. `was` are those rows, `status` 0 means that it is pending still. What an
/// owner asked to send now goes to the head of its lane once; a test always does.
///
/// That a row is as it was read is asked again of the row itself: one that changes while the statement waits for it has another place, but
/// servers before 13.23, 14.20, 15.15 and 16.11 do not look at the place again, and would write over the change.
static WRITE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH judged AS MATERIALIZED (
        SELECT j.*, found.ctid
        FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::integer[], $5::bigint[], $6::bigint[], $7::smallint[], $8::smallint[],
                             $9::bigint[], $10::integer[], $11::integer[], $12::bigint[], $13::bigint[], $14::bytea[], $15::boolean[],
                             $16::integer[], $17::bytea[])
            AS j (account, delivery, was_due, was_attempts, was_began_at, was_modified_at, status, failed_reason,
                  moment, attempts, schedule_base, began_at, modified_at, success, is_test, number, failure)
        CROSS JOIN LATERAL (
            SELECT q.ctid FROM (SELECT f.*, f.ctid FROM postrider.queue f
                                WHERE f.account = j.account AND f.delivery BETWEEN j.delivery AND j.delivery
                                ORDER BY f.delivery LIMIT 1) AS q
            WHERE {AS_READ}) AS found
    ), moved AS (
        UPDATE postrider.queue q
        SET due = j.moment, attempts = j.attempts, schedule_base = j.schedule_base, schedule_began_at = j.began_at,
            modified_at = j.modified_at, is_urgent = j.is_test, is_fresh = false
        FROM judged j
        WHERE j.status = 0 AND q.ctid = j.ctid AND {AS_READ}
        RETURNING q.account, q.delivery, j.number, j.failure
    ), gone AS (
        DELETE FROM postrider.queue q
        USING judged j
        WHERE j.status > 0 AND q.ctid = j.ctid AND {AS_READ}
        RETURNING q.account, q.delivery, q.webhook, q.event, q.major, j.began_at, q.created_at, j.moment, j.modified_at, q.minor,
                  j.attempts, j.schedule_base, j.status, j.failed_reason, q.is_later, j.success,
                  j.number, j.failure
    ), kept AS (
        INSERT INTO postrider.deliveries
            (account, id, webhook, event, major, schedule_began_at, created_at, ended_at, modified_at, minor, attempts, schedule_base,
             status, failed_reason, is_later, success)
        SELECT account, delivery, webhook, event, major, began_at, created_at, moment, modified_at, minor, attempts, schedule_base,
               status, failed_reason, is_later, success
        FROM gone
    ), written AS (
        SELECT account, delivery, number, failure FROM moved UNION ALL SELECT account, delivery, number, failure FROM gone
    ), tried AS (
        INSERT INTO postrider.attempts (account, delivery, number, attempt)
        SELECT account, delivery, number, failure FROM written WHERE number IS NOT NULL
        ON CONFLICT (account, delivery, number) DO UPDATE SET attempt = excluded.attempt
    )
    SELECT delivery FROM written"
    )
});

async fn write(conn: &Conn, judged: &[&Judged<'_>]) -> Outcome<FxHashSet<Uuid>> {
    let accounts: Array<Uuid> = judged.iter().map(|one| Uuid::from_u128(one.read.account.as_u128())).collect();
    let deliveries: Array<Uuid> = judged.iter().map(|one| Uuid::from_u128(one.read.id.as_u128())).collect();
    let was_due: Array<i64> = judged.iter().map(|one| columns(one.read.status).2).collect();
    let was_attempts: Array<i32> = judged.iter().map(|one| number_column(one.read.progress.attempts)).collect();
    let was_began_at: Array<i64> = judged.iter().map(|one| one.read.progress.schedule_began_at.as_millis()).collect();
    let was_modified_at: Array<i64> = judged.iter().map(|one| one.read.modified_at.as_millis()).collect();
    let statuses: Array<i16> = judged.iter().map(|one| columns(one.after.status).0).collect();
    let reasons: Nullable<i16> = judged.iter().map(|one| columns(one.after.status).1).collect();
    let moments: Array<i64> = judged.iter().map(|one| columns(one.after.status).2).collect();
    let attempts: Array<i32> = judged.iter().map(|one| number_column(one.after.progress.attempts)).collect();
    let bases: Array<i32> = judged.iter().map(|one| number_column(one.after.progress.schedule_base)).collect();
    let began_at: Array<i64> = judged.iter().map(|one| one.after.progress.schedule_began_at.as_millis()).collect();
    let modified_at: Array<i64> = judged.iter().map(|one| one.after.modified_at.as_millis()).collect();
    let successes: Nullable<Vec<u8>> = judged.iter().map(|one| one.success.map(codec::encode_attempt)).collect();
    let tests: Array<bool> = judged.iter().map(|one| one.is_test).collect();
    let numbers: Nullable<i32> = judged
        .iter()
        .map(|one| one.failure.map(|attempt| number_column(attempt.number)))
        .collect();
    let failures: Nullable<Vec<u8>> = judged.iter().map(|one| one.failure.map(codec::encode_attempt)).collect();
    let rows = conn
        .query(
            &WRITE,
            &[
                &accounts,
                &deliveries,
                &was_due,
                &was_attempts,
                &was_began_at,
                &was_modified_at,
                &statuses,
                &reasons,
                &moments,
                &attempts,
                &bases,
                &began_at,
                &modified_at,
                &successes,
                &tests,
                &numbers,
                &failures,
            ],
        )
        .await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The status as `deliveries` has it (0: pending still), the reason of a failure, and the moment that belongs to it.
pub(crate) const fn columns(status: Status) -> (i16, Option<i16>, i64) {
    match status {
        Status::Pending { due } => (0, None, due.as_millis()),
        Status::Succeeded { at } => (1, None, at.as_millis()),
        Status::Failed { at, reason } => (2, Some(reason_column(reason)), at.as_millis()),
    }
}

const fn reason_column(reason: FailedReason) -> i16 {
    reason as u8 as i16
}
