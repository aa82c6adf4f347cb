//! The feed of changes for all nodes.
//!
//! A transaction that began earlier may end later, so a place in the feed is that of the oldest transaction that is still open: what stands
//! behind it is told again next time, and known by its own number.

use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_ports::registry::{Changed, Changes, Told};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::conn::Conn;
use crate::fault::Outcome;
use crate::position::{Positions, XID, XMIN};
use crate::rows::{self, account_column, webhook_column};

/// Changes that are kept, about. Who asks from before them is told that everything may have changed.
pub const CHANGES_KEPT_MAX: u64 = 10_000;
/// After how many changes older ones are taken away.
const TRIM_STEP: i64 = 256;

/// Now, by the database's clock, in milliseconds.
const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// Adds a change in the transaction that makes it; without an account it is one of the operator's keys.
pub(crate) async fn note(conn: &Conn, positions: Positions, account: Option<AccountId>, webhook: Option<WebhookId>) -> Outcome<()> {
    let sql = format!("INSERT INTO postrider.changes (major, account, webhook, at) VALUES ({XID} + $1, $2, $3, {NOW}) RETURNING place");
    let row = conn
        .query_one(&sql, &[&positions.base, &account.map(account_column), &webhook.map(webhook_column)])
        .await?;
    trim_sometimes(conn, row.try_get(0)?).await
}

/// Adds that a delivery is wanted now, in the transaction that makes it so.
pub(crate) async fn note_delivery(
    conn: &Conn,
    positions: Positions,
    account: AccountId,
    webhook: WebhookId,
    delivery: DeliveryId,
) -> Outcome<()> {
    let sql = format!(
        "INSERT INTO postrider.changes (major, account, webhook, delivery, at) VALUES ({XID} + $1, $2, $3, $4, {NOW}) RETURNING place"
    );
    let delivery = Uuid::from_u128(delivery.as_u128());
    let row = conn
        .query_one(
            &sql,
            &[&positions.base, &account_column(account), &webhook_column(webhook), &delivery],
        )
        .await?;
    trim_sometimes(conn, row.try_get(0)?).await
}

async fn trim_sometimes(conn: &Conn, place: i64) -> Outcome<()> {
    if place % TRIM_STEP == 0 { trim(conn).await } else { Ok(()) }
}

/// Takes away what is older than the newest `CHANGES_KEPT_MAX`, and notes up to where. Where another does it, it is left to that one.
pub(crate) async fn trim(conn: &Conn) -> Outcome<()> {
    let kept = i64::try_from(CHANGES_KEPT_MAX).unwrap_or(i64::MAX);
    conn.execute(
        "WITH mine AS MATERIALIZED (SELECT one FROM postrider.changes_trimmed FOR UPDATE SKIP LOCKED),
         last AS (
             SELECT major FROM postrider.changes WHERE EXISTS (SELECT FROM mine) ORDER BY major DESC, place DESC OFFSET $1 LIMIT 1
         ), gone AS (
             DELETE FROM postrider.changes USING last WHERE changes.major <= last.major RETURNING changes.major
         )
         UPDATE postrider.changes_trimmed t SET major = greatest(t.major, last.major) FROM mine, last WHERE t.one = mine.one",
        &[&kept],
    )
    .await?;
    Ok(())
}

/// What changed behind a place. One statement for each kind of answer, so that all of it is of one moment.
pub(crate) async fn read(conn: &Conn, positions: Positions, after: Option<u64>) -> Outcome<Changes> {
    let Some(after) = after else {
        let row = conn.query_one(&format!("SELECT {XMIN} + $1 - 1"), &[&positions.base]).await?;
        return Ok(Changes {
            changes: Vec::new(),
            through: row.try_get::<_, i64>(0)?.unsigned_abs(),
        });
    };
    let place = i64::try_from(after).unwrap_or(i64::MAX);
    // The first row stands alone, so that there is one where nothing changed.
    let sql = format!(
        "SELECT {XMIN} + $2 - 1, t.major > $1, c.place, c.account, c.webhook, c.delivery
         FROM postrider.changes_trimmed t LEFT JOIN postrider.changes c ON c.major > $1 ORDER BY c.major, c.place"
    );
    let found = conn.query(&sql, &[&place, &positions.base]).await?;
    let Some(first) = found.first() else {
        return Ok(Changes {
            changes: Vec::new(),
            through: after,
        });
    };
    let through = first.try_get::<_, i64>(0)?.unsigned_abs().max(after);
    let changes = if first.try_get(1)? {
        everything(conn, through).await?
    } else {
        let told: Outcome<Vec<Option<Told>>> = found.iter().map(told_of).collect();
        told?.into_iter().flatten().collect()
    };
    Ok(Changes { changes, through })
}

fn told_of(row: &Row) -> Outcome<Option<Told>> {
    let Some(place) = row.try_get::<_, Option<i64>>(2)? else {
        return Ok(None);
    };
    let id = |column| -> Outcome<Option<u128>> { Ok(row.try_get::<_, Option<Uuid>>(column)?.map(|id| id.as_u128())) };
    let account = id(3)?.map(AccountId::from_u128);
    let webhook = id(4)?.map(WebhookId::from_u128);
    let delivery = id(5)?.map(DeliveryId::from_u128);
    let changed = match (account, webhook, delivery) {
        (Some(account), Some(webhook), Some(delivery)) => Changed::Delivery(account, webhook, delivery),
        (Some(account), Some(webhook), None) => Changed::Webhook(account, webhook),
        (Some(account), None, _) => Changed::Account(account),
        (None, ..) => Changed::OperatorKeys,
    };
    Ok(Some(Told {
        place: place.unsigned_abs(),
        changed,
    }))
}

/// The place asked for is no longer kept: whatever there is may have changed. What this says has no number of its own: it takes one that no
/// line ever has, and no other such answer.
async fn everything(conn: &Conn, through: u64) -> Outcome<Vec<Told>> {
    let accounts = conn.query("SELECT id FROM postrider.accounts ORDER BY major, minor", &[]).await?;
    let mut changes = Vec::with_capacity(1 + accounts.len());
    let mut place = (1 << 63) | (through << 22);
    let mut tell = |changed| {
        changes.push(Told { place, changed });
        place += 1;
    };
    tell(Changed::OperatorKeys);
    for row in accounts {
        tell(Changed::Account(AccountId::from_u128(rows::id(&row, 0)?)));
    }
    Ok(changes)
}
