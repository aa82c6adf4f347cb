//! Erases what deleted accounts have left, once nothing of it is pending: a walk over each of its tables by their primary keys.

use postrider_ports::StoreError;
use uuid::Uuid;

use crate::conn::Conn;
use crate::event_reads::IdRange;
use crate::fault::Outcome;
use crate::param::Array;
use crate::partitions;
use crate::retention::{self, Budget};
use crate::store::PostgresStore;

/// Accounts that one step looks at.
const ACCOUNTS_MAX: i64 = 100;

/// What an account has, each table with the column of the account and the rest of the primary key. History first: it is the most.
const TABLES: [(&str, &str, &str); 9] = [
    ("events", "account", "id"),
    ("deliveries", "account", "id"),
    ("attempts", "account", "delivery"),
    ("event_ids", "account", "own_id"),
    ("tests", "account", "delivery"),
    ("kept_answers", "owner", "key"),
    ("jobs", "account", "id"),
    ("webhooks", "account", "id"),
    ("keys", "owner", "id"),
];

/// One step. True where there is more to do.
pub(crate) async fn erase_deleted(store: &PostgresStore, rows_max: usize) -> Result<bool, StoreError> {
    let conn = store.begin().await?;
    let done = step(&conn, rows_max).await;
    conn.end(done).await
}

async fn step(conn: &Conn, rows_max: usize) -> Outcome<bool> {
    if !retention::is_alone(conn).await? {
        return Ok(false);
    }
    let mut budget = Budget::new(rows_max);
    for account in deleted(conn).await? {
        erase(conn, account, &mut budget).await?;
        if budget.is_spent() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Accounts that are still to be erased, and of which nothing is still to be ended, or to be made and then ended.
async fn deleted(conn: &Conn) -> Outcome<Vec<Uuid>> {
    let rows = conn
        .query(
            "SELECT id FROM postrider.accounts a WHERE deleted_at IS NOT NULL AND NOT is_erased
             AND NOT EXISTS (SELECT FROM postrider.queue q WHERE q.account = a.id)
             AND NOT EXISTS (SELECT FROM postrider.fanouts f WHERE f.account = a.id)
             AND NOT EXISTS (SELECT FROM postrider.stopping s WHERE s.account = a.id)
             ORDER BY deleted_at LIMIT $1",
            &[&ACCOUNTS_MAX],
        )
        .await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// As far as the step may. Its tombstone stays for as long as anything is kept: the feed tells of it.
async fn erase(conn: &Conn, account: Uuid, budget: &mut Budget) -> Outcome<()> {
    for (table, owner, key) in TABLES {
        let rows = if partitions::TABLES.contains(&table) {
            erase_history(conn, (account, table, key), budget.limit()).await?
        } else {
            let sql = format!(
                "DELETE FROM postrider.{table} WHERE {owner} = $1 AND {key} = ANY (ARRAY(
                     SELECT {key} FROM postrider.{table} WHERE {owner} = $1 ORDER BY {key} LIMIT $2))"
            );
            conn.execute(&sql, &[&account, &budget.limit()]).await?
        };
        budget.write(rows);
        if budget.is_spent() {
            return Ok(());
        }
    }
    conn.execute(
        "UPDATE postrider.accounts SET is_erased = true, name = '' WHERE id = $1",
        &[&account],
    )
    .await?;
    Ok(())
}

/// The oldest rows of a table that is partitioned by this key. They are read before, and told with their first and last: so the statement looks
/// for them in their own partitions, and not for each in all.
async fn erase_history(conn: &Conn, (account, table, key): (Uuid, &str, &str), limit: i64) -> Outcome<u64> {
    let sql = format!("SELECT {key} FROM postrider.{table} WHERE account = $1 ORDER BY {key} LIMIT $2");
    let rows = conn.query(&sql, &[&account, &limit]).await?;
    let keys = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Uuid>, _>>()?;
    let range = IdRange::of_ids(&keys);
    let sql = format!("DELETE FROM postrider.{table} WHERE account = $1 AND {key} = ANY ($2) AND {key} BETWEEN $3 AND $4");
    conn.execute(&sql, &[&account, &Array(keys), &range.first, &range.last]).await
}
