//! Accounts. Whatever changes one, its keys or its webhooks holds its row first: so its changes follow one another, and never lock each
//! other out.

use postrider_model::account::{Account, AccountChange, AccountRef};
use postrider_model::id::AccountId;
use postrider_model::key::KeyOwner;
use postrider_model::time::Timestamp;
use postrider_ports::page::{Page, PageAsk};
use postrider_ports::registry::{AccountChanged, AccountMade, AccountSnapshot, AccountVersion};
use tokio_postgres::Row;

use crate::conn::Conn;
use crate::fault::{Outcome, unavailable};
use crate::position::{Positions, XID};
use crate::rows::{self, account_column, owner_column};
use crate::store::Inner;
use crate::{changes, webhooks};

pub(crate) const COLUMNS: &str = "id, external_id, name, is_active, created_at, modified_at";

/// Looks for who has an `external_id`, where it is freed and taken again all the time.
const LOOKS_MAX: usize = 5;

/// Makes an account.
pub(crate) async fn create(conn: &Conn, positions: Positions, account: &Account) -> Outcome<AccountMade> {
    for _ in 0..LOOKS_MAX {
        // Of two at once the later waits here for the end of the first, and then finds it.
        if insert(conn, positions, account).await? {
            changes::note(conn, positions, Some(account.id), None).await?;
            return Ok(AccountMade::Made);
        }
        let external = AccountRef::External(account.external_id.clone().unwrap_or_default());
        if let Some(first) = find(conn, &external).await? {
            return Ok(AccountMade::Exists(first));
        }
        // It was deleted just now: its id is free again.
    }
    Err(unavailable("the account's external_id changes hands all the time").into())
}

async fn insert(conn: &Conn, positions: Positions, account: &Account) -> Outcome<bool> {
    let sql = format!(
        "INSERT INTO postrider.accounts (id, major, minor, external_id, name, is_active, version, created_at, modified_at)
         VALUES ($1, {XID} + $2, 0, $3, $4, $5, 1, $6, $7) ON CONFLICT (external_id) DO NOTHING"
    );
    let inserted = conn
        .execute(
            &sql,
            &[
                &account_column(account.id),
                &positions.base,
                &account.external_id,
                &account.name,
                &account.is_active,
                &account.created_at.as_millis(),
                &account.modified_at.as_millis(),
            ],
        )
        .await?;
    Ok(inserted > 0)
}

/// Finds an account that is not deleted.
pub(crate) async fn find(conn: &Conn, account: &AccountRef) -> Outcome<Option<Account>> {
    let row = match account {
        AccountRef::Id(id) => {
            let sql = format!("SELECT {COLUMNS} FROM postrider.accounts WHERE id = $1 AND deleted_at IS NULL");
            conn.query_opt(&sql, &[&account_column(*id)]).await?
        }
        AccountRef::External(external) => {
            let sql = format!("SELECT {COLUMNS} FROM postrider.accounts WHERE external_id = $1 AND deleted_at IS NULL");
            conn.query_opt(&sql, &[external]).await?
        }
    };
    row.as_ref().map(account_of).transpose()
}

pub(crate) fn account_of(row: &Row) -> Outcome<Account> {
    Ok(Account {
        id: AccountId::from_u128(rows::id(row, 0)?),
        external_id: row.try_get(1)?,
        name: row.try_get(2)?,
        is_active: row.try_get(3)?,
        created_at: rows::time(row, 4)?,
        modified_at: rows::time(row, 5)?,
    })
}

/// Lists accounts, newest first.
pub(crate) async fn list(conn: &Conn, page: PageAsk) -> Outcome<Page<Account>> {
    let sql = format!(
        "SELECT {COLUMNS}, major, minor FROM postrider.accounts WHERE (major, minor) < ($1, $2) AND deleted_at IS NULL
         ORDER BY major DESC, minor DESC LIMIT $3"
    );
    let (major, minor) = rows::before(page);
    let found = conn.query(&sql, &[&major, &minor, &rows::limit(page)]).await?;
    let found: Outcome<Vec<_>> = found.iter().map(|row| Ok((rows::place(row, 6)?, account_of(row)?))).collect();
    Ok(rows::page_of(found?, page.limit))
}

/// Holds an account's row until this transaction ends. False where there is none, or it is deleted.
pub(crate) async fn hold(conn: &Conn, id: AccountId) -> Outcome<bool> {
    let sql = "SELECT 1 FROM postrider.accounts WHERE id = $1 AND deleted_at IS NULL FOR UPDATE";
    Ok(conn.query_opt(sql, &[&account_column(id)]).await?.is_some())
}

/// The same for the owner of a key. The operator is always there.
pub(crate) async fn hold_owner(conn: &Conn, owner: KeyOwner) -> Outcome<bool> {
    match owner {
        KeyOwner::Operator => Ok(true),
        KeyOwner::Account(id) => hold(conn, id).await,
    }
}

/// Changes an account. Where another takes the same `external_id` at this moment, the statement fails with a broken rule (23505).
pub(crate) async fn change(
    conn: &Conn,
    positions: Positions,
    id: AccountId,
    change: &AccountChange,
    now: Timestamp,
) -> Outcome<AccountChanged> {
    if !hold(conn, id).await? {
        return Ok(AccountChanged::NotFound);
    }
    let Some(mut account) = find(conn, &AccountRef::Id(id)).await? else {
        return Ok(AccountChanged::NotFound);
    };
    if let Some(external) = &change.external_id {
        if let Some(external) = external
            && let Some(other) = find(conn, &AccountRef::External(external.clone())).await?
            && other.id != id
        {
            return Ok(AccountChanged::ExternalIdTaken);
        }
        account.external_id.clone_from(external);
    }
    if let Some(name) = &change.name {
        account.name.clone_from(name);
    }
    account.is_active = change.is_active.unwrap_or(account.is_active);
    account.modified_at = now;
    conn.execute(
        "UPDATE postrider.accounts SET external_id = $2, name = $3, is_active = $4, modified_at = $5 WHERE id = $1",
        &[
            &account_column(id),
            &account.external_id,
            &account.name,
            &account.is_active,
            &now.as_millis(),
        ],
    )
    .await?;
    changed(conn, positions, id).await?;
    Ok(AccountChanged::Changed(account))
}

/// Deletes an account: its webhooks become tombstones with it, its keys die, its `external_id` is free again.
pub(crate) async fn delete(conn: &Conn, positions: Positions, id: AccountId, now: Timestamp) -> Outcome<bool> {
    let sql = "UPDATE postrider.accounts SET deleted_at = $2, external_id = NULL WHERE id = $1 AND deleted_at IS NULL";
    if conn.execute(sql, &[&account_column(id), &now.as_millis()]).await? == 0 {
        return Ok(false);
    }
    let owner = owner_column(KeyOwner::Account(id));
    // In the order in which uses are noted, see keys.rs.
    conn.query("SELECT 1 FROM postrider.keys WHERE owner = $1 ORDER BY id FOR UPDATE", &[&owner])
        .await?;
    conn.execute("DELETE FROM postrider.keys WHERE owner = $1", &[&owner]).await?;
    webhooks::bury(conn, positions, (id, None), now).await?;
    changed(conn, positions, id).await?;
    Ok(true)
}

/// An account, its version and its webhooks, within one snapshot.
pub(crate) async fn snapshot(conn: &Conn, inner: &Inner, id: AccountId) -> Outcome<Option<AccountSnapshot>> {
    let sql = format!("SELECT {COLUMNS}, version FROM postrider.accounts WHERE id = $1 AND deleted_at IS NULL");
    let Some(row) = conn.query_opt(&sql, &[&account_column(id)]).await? else {
        return Ok(None);
    };
    Ok(Some(AccountSnapshot {
        version: AccountVersion(row.try_get::<_, i64>(6)?.unsigned_abs()),
        account: account_of(&row)?,
        webhooks: webhooks::all_of(conn, id, &inner.seal).await?,
    }))
}

/// Raises the version of an account that is held, and tells the feed.
async fn changed(conn: &Conn, positions: Positions, id: AccountId) -> Outcome<()> {
    raise(conn, id).await?;
    changes::note(conn, positions, Some(id), None).await
}

/// Raises the version of an account that is held.
pub(crate) async fn raise(conn: &Conn, id: AccountId) -> Outcome<()> {
    let sql = "UPDATE postrider.accounts SET version = version + 1 WHERE id = $1";
    conn.execute(sql, &[&account_column(id)]).await?;
    Ok(())
}

/// Raises the version of a key's owner, and tells the feed.
pub(crate) async fn owner_changed(conn: &Conn, positions: Positions, owner: KeyOwner) -> Outcome<()> {
    match owner {
        KeyOwner::Operator => changes::note(conn, positions, None, None).await,
        KeyOwner::Account(id) => changed(conn, positions, id).await,
    }
}
