//! Whether something may be sent to a webhook.

use postrider_model::id::{AccountId, WebhookId};
use uuid::Uuid;

use crate::conn::Conn;
use crate::fault::Outcome;

/// Where a webhook stands, its account counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is none.
    Gone,
    /// It or its account is deleted.
    Deleted,
    /// It or its account is switched off.
    Inactive,
    /// All is well.
    Active,
}

const SELECT: &str = "SELECT w.is_active AND a.is_active, w.deleted_at IS NOT NULL OR a.deleted_at IS NOT NULL
    FROM postrider.webhooks w JOIN postrider.accounts a ON a.id = w.account WHERE w.account = $1 AND w.id = $2";

/// Where a webhook stands now.
pub(crate) async fn standing(conn: &Conn, account: AccountId, webhook: WebhookId) -> Outcome<Standing> {
    of_row(conn, SELECT, (account, webhook)).await
}

/// Where a webhook stands, and goes on to stand until this transaction ends: what it brings to the queue is there before a deletion is,
/// which then ends it.
pub(crate) async fn held(conn: &Conn, account: AccountId, webhook: WebhookId) -> Outcome<Standing> {
    // A deletion of the account changes the rows of its webhooks too.
    of_row(conn, &format!("{SELECT} FOR SHARE OF w"), (account, webhook)).await
}

async fn of_row(conn: &Conn, sql: &str, (account, webhook): (AccountId, WebhookId)) -> Outcome<Standing> {
    let (account, webhook) = (Uuid::from_u128(account.as_u128()), Uuid::from_u128(webhook.as_u128()));
    let Some(row) = conn.query_opt(sql, &[&account, &webhook]).await? else {
        return Ok(Standing::Gone);
    };
    Ok(match (row.try_get(0)?, row.try_get(1)?) {
        (_, true) => Standing::Deleted,
        (true, false) => Standing::Active,
        (false, false) => Standing::Inactive,
    })
}
