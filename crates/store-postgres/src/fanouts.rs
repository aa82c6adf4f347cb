//! Large fan-outs: committed with a durable marker, and brought to the queue in steps. Several nodes may do it at once: each takes what no
//! other has taken.

use std::collections::BTreeSet;

use postrider_model::id::{AccountId, DeliveryId, WebhookId};
use postrider_ports::StoreError;
use postrider_ports::store::Expanded;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::codec::Reader;
use crate::conn::Conn;
use crate::deliveries::slot_column;
use crate::event_rows::CHUNK_PAIRS;
use crate::fault::{Fault, Outcome};
use crate::param::Array;
use crate::position::{Positions, XID};
use crate::store::PostgresStore;

/// Bytes of a delivery and its webhook.
const PAIR_BYTES: usize = 32;

/// One step: brings at most `rows_max` deliveries to the queue.
pub(crate) async fn expand(store: &PostgresStore, rows_max: usize) -> Result<Expanded, StoreError> {
    let conn = store.hot().await?;
    conn.begin().await.map_err(Fault::into_store)?;
    let expanded = step(&conn, rows_max, store.inner.positions).await;
    conn.end(expanded).await
}

async fn step(conn: &Conn, rows_max: usize, positions: Positions) -> Outcome<Expanded> {
    let chunks = i64::try_from(rows_max.div_ceil(CHUNK_PAIRS) + 1).unwrap_or(i64::MAX);
    let rows = conn
        .query(
            "SELECT f.account, f.event, f.chunk, f.pairs, f.created_at FROM postrider.fanouts f
             ORDER BY f.account, f.event, f.chunk LIMIT $1 FOR UPDATE OF f SKIP LOCKED",
            &[&chunks],
        )
        .await?;
    let mut made = Made::default();
    for row in &rows {
        if made.deliveries.len() >= rows_max {
            break;
        }
        take(conn, row, rows_max, &mut made).await?;
    }
    let has_more = "SELECT EXISTS (SELECT FROM postrider.fanouts)";
    let last = i32::try_from(made.deliveries.len()).unwrap_or(i32::MAX) - 1;
    let webhooks = made.webhooks();
    let major = made.insert(conn, positions.base).await?;
    Ok(Expanded {
        webhooks,
        through: major.map(|major| Positions::stored(major, last)).unwrap_or_default(),
        // Where others have all there is, it is theirs: who asked again at once would ask for nothing.
        more: !rows.is_empty() && conn.query_one(has_more, &[]).await?.try_get(0)?,
    })
}

/// Takes of a chunk what there is room for, and puts the rest back.
async fn take(conn: &Conn, row: &Row, rows_max: usize, made: &mut Made) -> Outcome<()> {
    let (account, event, chunk): (Uuid, Uuid, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let (bytes, created_at): (&[u8], i64) = (row.try_get(3)?, row.try_get(4)?);
    let room = rows_max.saturating_sub(made.deliveries.len());
    let (now, later) = bytes.split_at(bytes.len().min(room * PAIR_BYTES));
    let mut pairs = Reader(now);
    while !pairs.0.is_empty() {
        made.accounts.push(account);
        made.events.push(event);
        made.created_at.push(created_at);
        made.deliveries.push(DeliveryId::from_u128(u128::from_be_bytes(pairs.array()?)));
        made.targets.push(WebhookId::from_u128(u128::from_be_bytes(pairs.array()?)));
    }
    if later.is_empty() {
        let done = "DELETE FROM postrider.fanouts WHERE account = $1 AND event = $2 AND chunk = $3";
        conn.execute(done, &[&account, &event, &chunk]).await?;
    } else {
        let rest = "UPDATE postrider.fanouts SET pairs = $4 WHERE account = $1 AND event = $2 AND chunk = $3";
        conn.execute(rest, &[&account, &event, &chunk, &later.to_vec()]).await?;
    }
    Ok(())
}

/// Deliveries that are brought to the queue by a step: at most as many as it may.
#[derive(Default)]
struct Made {
    accounts: Vec<Uuid>,
    events: Vec<Uuid>,
    created_at: Vec<i64>,
    deliveries: Vec<DeliveryId>,
    targets: Vec<WebhookId>,
}

impl Made {
    fn webhooks(&self) -> Vec<(AccountId, WebhookId)> {
        let accounts = self.accounts.iter().map(|account| AccountId::from_u128(account.as_u128()));
        let webhooks: BTreeSet<(AccountId, WebhookId)> = accounts.zip(self.targets.iter().copied()).collect();
        webhooks.into_iter().collect()
    }

    /// Gives the place of the transaction; `None` where there was nothing to insert.
    async fn insert(self, conn: &Conn, base: i64) -> Outcome<Option<i64>> {
        if self.deliveries.is_empty() {
            return Ok(None);
        }
        let minors: Array<i32> = (0i32..).take(self.deliveries.len()).collect();
        let slots: Array<i16> = self.targets.iter().map(|webhook| slot_column(*webhook)).collect();
        let deliveries: Array<Uuid> = self.deliveries.iter().map(|id| Uuid::from_u128(id.as_u128())).collect();
        let webhooks: Array<Uuid> = self.targets.iter().map(|id| Uuid::from_u128(id.as_u128())).collect();
        let (accounts, events, created_at) = (Array(self.accounts), Array(self.events), Array(self.created_at));
        let sql = format!(
            "INSERT INTO postrider.queue
                 (major, account, delivery, webhook, event, minor, slot, due, schedule_began_at, created_at, modified_at, is_fresh, is_later)
             SELECT t.major, q.account, q.delivery, q.webhook, q.event, q.minor, q.slot, q.at, q.at, q.at, q.at, true, true
             FROM (SELECT {XID} + $1 AS major OFFSET 0) AS t CROSS JOIN
                  unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::integer[], $7::smallint[], $8::bigint[])
                  AS q (account, delivery, webhook, event, minor, slot, at)"
        );
        conn.execute(
            &sql,
            &[&base, &accounts, &deliveries, &webhooks, &events, &minors, &slots, &created_at],
        )
        .await?;
        // A webhook that was deleted since: its deliveries end like those that waited then.
        let stop = format!(
            "INSERT INTO postrider.stopping (account, webhook, major)
             SELECT DISTINCT q.account, q.webhook, {XID} + $1
             FROM unnest($2::uuid[], $3::uuid[]) AS q (account, webhook)
             WHERE NOT EXISTS (
                 SELECT FROM postrider.webhooks w JOIN postrider.accounts a ON a.id = w.account AND a.deleted_at IS NULL
                 WHERE w.account = q.account AND w.id = q.webhook AND w.deleted_at IS NULL)
             ON CONFLICT (account, webhook) DO UPDATE SET major = excluded.major"
        );
        conn.execute(&stop, &[&base, &accounts, &webhooks]).await?;
        let major = conn.query_one(&format!("SELECT {XID} + $1"), &[&base]).await?;
        Ok(Some(major.try_get(0)?))
    }
}
