//! What is pending: read by webhook, what is due first comes first.
//!
//! Fresh rows (due since they were stored) stand apart in the index, in the order of their places: see migrations/0001_first.sql.

use std::sync::LazyLock;

use bytes::Bytes;
use postrider_model::delivery::Progress;
use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_model::queue::Queued;
use postrider_model::time::Timestamp;
use postrider_ports::store::{DueAnswer, DueAsk};
use rustc_hash::FxHashMap;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::conn::Conn;
use crate::deliveries::{IN_QUEUE, slot_column};
use crate::event_reads;
use crate::fault::{Outcome, corrupt};
use crate::marks::{self, Marks};
use crate::param::Array;
use crate::position::{Positions, SERVER, XMAX, XMIN};
use crate::store::PostgresStore;

/// The order of `queue_by_due`, as it stands in the index.
pub(crate) const TURN: &str = "(CASE WHEN q.is_fresh THEN 0::bigint ELSE q.due END)";

/// What `queued_of` reads of a row `q` of the queue.
const COLUMNS: &str = "q.delivery, q.event, q.due, q.attempts, q.schedule_base, q.schedule_began_at, q.is_urgent, q.major, q.minor";
/// How many those are.
const COLUMNS_COUNT: usize = 9;
/// Where they begin in an answer of `fetch_due`.
const DUE_COLUMNS_AT: usize = 8;

static DUE: LazyLock<String> = LazyLock::new(|| {
    let of_webhook = "q.slot = a.slot AND q.account = a.account AND q.webhook = a.webhook";
    let is_new = "q.delivery NOT IN (SELECT unnest($7::uuid[]))";
    // Each part is read along the index, and no further than the ask may have rows; then the two are merged.
    let found = format!(
        "(SELECT {COLUMNS} FROM postrider.queue q WHERE {of_webhook} AND {TURN} = 0 AND q.major >= a.begin AND {is_new}
          ORDER BY q.major, q.minor LIMIT a.rows_max + 1)
         UNION ALL
         (SELECT {COLUMNS} FROM postrider.queue q WHERE {of_webhook} AND {TURN} > 0 AND {TURN} <= $8 AND {is_new}
          ORDER BY {TURN}, q.major, q.minor LIMIT a.rows_max + 1)"
    );
    let next = format!("SELECT q.due FROM postrider.queue q WHERE {of_webhook} AND {TURN} > $8 ORDER BY {TURN} LIMIT 1");
    let first = format!(
        "SELECT q.major FROM postrider.queue q WHERE {of_webhook} AND {TURN} = 0 AND q.major >= a.begin ORDER BY q.major, q.minor LIMIT 1"
    );
    due(&found, &next, &first)
});

static DUE_TESTS: LazyLock<String> = LazyLock::new(|| {
    let of_webhook = "q.account = a.account AND q.webhook = a.webhook AND q.event IS NULL";
    let found = format!(
        "(SELECT {COLUMNS} FROM postrider.queue q
          WHERE {of_webhook} AND q.due <= $8 AND q.delivery NOT IN (SELECT unnest($7::uuid[])) ORDER BY q.due LIMIT a.rows_max + 1)"
    );
    let next = format!("SELECT q.due FROM postrider.queue q WHERE {of_webhook} AND q.due > $8 ORDER BY q.due LIMIT 1");
    // Tests are never fresh: nothing is learned of where those begin.
    due(&found, &next, "a.begin")
});

/// For each ask a head (its place is NULL), and its rows. A body goes with the first row that has it, and with no other.
fn due(found: &str, next: &str, first: &str) -> String {
    format!(
        "WITH asked AS MATERIALIZED (
             SELECT a.n, a.slot, a.account, a.webhook, a.rows_max, a.bytes_max,
                    CASE WHEN (SELECT {SERVER}) = $10 THEN a.begin ELSE 0 END AS begin,
                    (SELECT w.deleted_at IS NULL FROM postrider.webhooks w WHERE w.account = a.account AND w.id = a.webhook)
                    AND (SELECT o.deleted_at IS NULL FROM postrider.accounts o WHERE o.id = a.account) AS is_live
             FROM unnest($1::integer[], $2::smallint[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[], $9::bigint[])
                  AS a (n, slot, account, webhook, rows_max, bytes_max, begin)
         ), found AS MATERIALIZED (
             SELECT a.n, a.account, a.rows_max, a.bytes_max, q.*,
                    row_number() OVER (PARTITION BY a.n ORDER BY q.due, q.major, q.minor) AS place
             FROM asked a CROSS JOIN LATERAL ({found}) AS q
             WHERE a.is_live
         ), sized AS MATERIALIZED (
             SELECT q.*, e.own_id,
                    q.place <= q.rows_max
                    AND (q.place = 1 OR sum(coalesce(e.size, 0)) OVER (PARTITION BY q.n ORDER BY q.place) <= q.bytes_max) AS fits
             FROM found q
             LEFT JOIN LATERAL (SELECT e.own_id, octet_length(e.body) AS size FROM postrider.events e
                                WHERE e.account = q.account AND e.id = q.event) AS e ON true
         ), chosen AS (
             SELECT q.*, row_number() OVER (PARTITION BY q.account, q.event ORDER BY q.n, q.place) = 1 AS is_first
             FROM sized q
             WHERE q.fits
         )
         SELECT a.n, NULL::bigint AS place, EXISTS (SELECT FROM sized q WHERE q.n = a.n AND NOT q.fits) AS has_more,
                CASE WHEN a.is_live THEN ({next}) END AS next_due, (SELECT {XMIN}) AS xmin, (SELECT {XMAX}) AS xmax,
                (SELECT {SERVER}) AS server, CASE WHEN a.is_live THEN ({first}) END AS first,
                NULL::uuid, NULL::uuid, NULL::bigint, NULL::integer, NULL::integer, NULL::bigint, NULL::boolean, NULL::bigint,
                NULL::integer, NULL::text AS own_id, NULL::bytea AS body
         FROM asked a
         UNION ALL
         SELECT q.n, q.place, NULL, NULL, NULL, NULL, NULL, NULL, {COLUMNS}, q.own_id,
                CASE WHEN q.event IS NULL
                     THEN (SELECT t.body FROM postrider.tests t WHERE t.account = q.account AND t.delivery = q.delivery)
                     WHEN q.is_first
                     THEN (SELECT e.body FROM postrider.events e WHERE e.account = q.account AND e.id = q.event) END
         FROM chosen q"
    )
}

/// What events carry, by their ids: one body is shared by all its deliveries of an answer, and lives no longer than it.
type Bodies = FxHashMap<Uuid, Bytes>;

/// The due deliveries of many webhooks, in one statement; those that are asked for tests alone in another.
pub(crate) async fn fetch_due(store: &PostgresStore, asks: &[DueAsk], now: Timestamp) -> Outcome<Vec<DueAnswer>> {
    let conn = store.inner.pools.hot().await?;
    let mut answers = Answers {
        positions: store.inner.positions,
        asks,
        answers: asks.iter().map(|_| None).collect(),
        begins: Vec::with_capacity(asks.len()),
        server: 0,
    };
    for tests_only in [false, true] {
        let asks = || asks.iter().enumerate().filter(|(_, ask)| ask.tests_only == tests_only);
        if asks().next().is_some() {
            let marks = &store.inner.marks;
            let begins = marks.begins(asks().map(|(_, ask)| (ask.account, ask.webhook)));
            let rows = fetch(&conn, asks, (now, tests_only), begins).await?;
            answers.take(&rows)?;
            if !tests_only {
                answers.learn(marks);
            }
        }
    }
    let missing = || corrupt("an ask was passed over");
    answers.answers.into_iter().map(|answer| answer.ok_or_else(missing)).collect()
}

async fn fetch<'a, I: Iterator<Item = (usize, &'a DueAsk)>>(
    conn: &Conn,
    asks: impl Fn() -> I,
    (now, tests_only): (Timestamp, bool),
    (server, begins): (i64, Vec<i64>),
) -> Outcome<Vec<Row>> {
    let uuid = Uuid::from_u128;
    let numbers: Array<i32> = asks().map(|(number, _)| i32::try_from(number).unwrap_or(i32::MAX)).collect();
    let slots: Array<i16> = asks().map(|(_, ask)| slot_column(ask.webhook)).collect();
    let accounts: Array<Uuid> = asks().map(|(_, ask)| uuid(ask.account.as_u128())).collect();
    let webhooks: Array<Uuid> = asks().map(|(_, ask)| uuid(ask.webhook.as_u128())).collect();
    let rows_max: Array<i64> = asks().map(|(_, ask)| limit(ask.rows_max)).collect();
    let bytes_max: Array<i64> = asks().map(|(_, ask)| limit(ask.bytes_max)).collect();
    let known: Array<Uuid> = asks().flat_map(|(_, ask)| &ask.known).map(|id| uuid(id.as_u128())).collect();
    let statement = if tests_only { &*DUE_TESTS } else { &*DUE };
    let (now, begins) = (now.as_millis(), Array(begins));
    conn.query(
        statement,
        &[
            &numbers, &slots, &accounts, &webhooks, &rows_max, &bytes_max, &known, &now, &begins, &server,
        ],
    )
    .await
}

/// A limit as the statement takes it: so that one more still is a number.
fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX).min(i64::MAX - 1)
}

/// Answers in the making.
struct Answers<'a> {
    positions: Positions,
    asks: &'a [DueAsk],
    answers: Vec<Option<DueAnswer>>,
    /// Where the fresh rows of webhooks begin, at most one entry for each ask; and on which run of the server that was seen.
    begins: Vec<(marks::Of, i64)>,
    server: i64,
}

impl Answers<'_> {
    /// Takes what a statement gave.
    fn take(&mut self, rows: &[Row]) -> Outcome<()> {
        let mut bodies = Bodies::default();
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let number = usize::try_from(row.try_get::<_, i32>(0)?).map_err(corrupt)?;
            match row.try_get::<_, Option<i64>>(1)? {
                Some(place) => {
                    keep_body(row, &mut bodies)?;
                    found.push((number, place, row));
                }
                None => self.open(number, row)?,
            }
        }
        found.sort_unstable_by_key(|(number, place, _)| (*number, *place));
        for (number, _, row) in found {
            self.push(number, row, &bodies)?;
        }
        Ok(())
    }

    fn open(&mut self, number: usize, row: &Row) -> Outcome<()> {
        let (Some(ask), Some(answer)) = (self.asks.get(number), self.answers.get_mut(number)) else {
            return Err(corrupt("an answer without an ask"));
        };
        let (xmin, first): (i64, Option<i64>) = (row.try_get(4)?, row.try_get(7)?);
        self.server = row.try_get(6)?;
        self.begins.push(((ask.account, ask.webhook), self.positions.begin(first, xmin)));
        *answer = Some(DueAnswer {
            webhook: ask.webhook,
            rows: Vec::new(),
            complete: !row.try_get::<_, bool>(2)?,
            next_due: row.try_get::<_, Option<i64>>(3)?.map(Timestamp::from_millis),
            through: self.positions.before(xmin),
            perhaps: self.positions.before(row.try_get(5)?),
        });
        Ok(())
    }

    fn learn(&mut self, marks: &Marks) {
        marks.learn(self.server, std::mem::take(&mut self.begins));
    }

    fn push(&mut self, number: usize, row: &Row, bodies: &Bodies) -> Outcome<()> {
        let (Some(ask), Some(Some(answer))) = (self.asks.get(number), self.answers.get_mut(number)) else {
            return Err(corrupt("a row without an ask"));
        };
        let event: Option<Uuid> = row.try_get(DUE_COLUMNS_AT + 1)?;
        let body = match event {
            Some(event) => bodies.get(&event).cloned(),
            None => body_of(row, DUE_COLUMNS_AT)?,
        };
        match body {
            Some(body) => answer.rows.push(queued_of(row, DUE_COLUMNS_AT, (ask.account, ask.webhook), body)?),
            None => tracing::warn!(webhook = %ask.webhook, "what a pending delivery carries is gone"),
        }
        Ok(())
    }
}

fn keep_body(row: &Row, bodies: &mut Bodies) -> Outcome<()> {
    let event: Option<Uuid> = row.try_get(DUE_COLUMNS_AT + 1)?;
    if let (Some(event), Some(body)) = (event, body_of(row, DUE_COLUMNS_AT)?) {
        bodies.insert(event, body);
    }
    Ok(())
}

/// The body of a row whose `COLUMNS`, own id and body begin at `at`.
fn body_of(row: &Row, at: usize) -> Outcome<Option<Bytes>> {
    let body: Option<&[u8]> = row.try_get(at + COLUMNS_COUNT + 1)?;
    Ok(body.map(Bytes::copy_from_slice))
}

/// A row as it goes to its lane; its `COLUMNS` begin at `at`, and the event's own id stands behind them.
fn queued_of(row: &Row, at: usize, (account, webhook): (AccountId, WebhookId), body: Bytes) -> Outcome<Queued> {
    let delivery: Uuid = row.try_get(at)?;
    let own_id: Option<&str> = row.try_get(at + COLUMNS_COUNT)?;
    Ok(Queued {
        delivery: DeliveryId::from_u128(delivery.as_u128()),
        account,
        webhook,
        event: row
            .try_get::<_, Option<Uuid>>(at + 1)?
            .map(|id| event_reads::id_of(id, own_id))
            .transpose()?,
        due: Timestamp::from_millis(row.try_get(at + 2)?),
        progress: Progress {
            attempts: row.try_get::<_, i32>(at + 3)?.unsigned_abs(),
            schedule_base: row.try_get::<_, i32>(at + 4)?.unsigned_abs(),
            schedule_began_at: Timestamp::from_millis(row.try_get(at + 5)?),
        },
        is_urgent: row.try_get(at + 6)?,
        position: Positions::stored(row.try_get(at + 7)?, row.try_get(at + 8)?),
        body,
    })
}

static ONE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {COLUMNS}, e.own_id, coalesce(e.body, t.body), q.webhook
         FROM (SELECT * FROM postrider.queue WHERE {IN_QUEUE}) AS q
         LEFT JOIN LATERAL (SELECT e.own_id, e.body FROM postrider.events e
                            WHERE e.account = q.account AND e.id = q.event LIMIT 1) AS e ON true
         LEFT JOIN LATERAL (SELECT t.body FROM postrider.tests t
                            WHERE t.account = q.account AND t.delivery = q.delivery AND q.event IS NULL LIMIT 1) AS t ON true"
    )
});

/// One pending delivery of an account.
pub(crate) async fn one(store: &PostgresStore, account: AccountId, delivery: DeliveryId) -> Outcome<Option<Queued>> {
    let conn = store.inner.pools.hot().await?;
    let (owner, id) = (Uuid::from_u128(account.as_u128()), Uuid::from_u128(delivery.as_u128()));
    let Some(row) = conn.query_opt(&ONE, &[&owner, &id]).await? else {
        return Ok(None);
    };
    let Some(body) = body_of(&row, 0)? else {
        tracing::warn!(%delivery, "what a pending delivery carries is gone");
        return Ok(None);
    };
    let webhook: Uuid = row.try_get(COLUMNS_COUNT + 2)?;
    Ok(Some(queued_of(&row, 0, (account, WebhookId::from_u128(webhook.as_u128())), body)?))
}
