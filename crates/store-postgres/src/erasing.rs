//! Erases what deleted accounts have left, once nothing of it is pending: a walk over each of its tables by their primary keys.

use postrider_ports::StoreError;
use uuid::Uuid;

use crate::conn::Conn;
use crate::fault::Outcome;
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

/// As far as the step may. Its tombstone stays for as long as the feed tells of it.
async fn erase(conn: &Conn, account: Uuid, budget: &mut Budget) -> Outcome<()> {
    for (table, owner, key) in TABLES {
        // By the array the statement looks into those partitions only that hold them.
        let sql = format!(
            "DELETE FROM postrider.{table} WHERE {owner} = $1 AND {key} = ANY (ARRAY(
                 SELECT {key} FROM postrider.{table} WHERE {owner} = $1 ORDER BY {key} LIMIT $2))"
        );
        budget.write(conn.execute(&sql, &[&account, &budget.limit()]).await?);
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
