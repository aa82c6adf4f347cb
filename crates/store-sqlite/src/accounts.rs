//! Accounts.

use postrider_model::account::{Account, AccountChange, AccountRef};
use postrider_model::id::AccountId;
use postrider_model::key::KeyOwner;
use postrider_model::seal::SealKey;
use postrider_model::time::Timestamp;
use postrider_ports::page::{Page, PageAsk};
use postrider_ports::registry::{AccountChanged, AccountMade, AccountSnapshot, AccountVersion};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::fault::Outcome;
use crate::lists;
use crate::reader::Snapshot;
use crate::tx::{Tx, as_integer, read_version};
use crate::{changes, stopping, webhooks};

pub(crate) const COLUMNS: &str = "id, external_id, name, is_active, created_at, modified_at";

/// Makes an account.
pub(crate) fn create(tx: &mut Tx<'_>, account: &Account) -> Outcome<AccountMade> {
    if let Some(external) = &account.external_id
        && let Some(first) = find(tx.conn, &AccountRef::External(external.clone()))?
    {
        return Ok(AccountMade::Exists(first));
    }
    insert(tx, account, 0)?;
    tx.account_changed(account.id, None)?;
    Ok(AccountMade::Made)
}

/// Puts an account at the next place.
pub(crate) fn insert(tx: &mut Tx<'_>, account: &Account, version: u64) -> Outcome<()> {
    let position = tx.next_position();
    tx.conn
        .prepare_cached(
            "INSERT INTO accounts (id, position, external_id, name, is_active, version, created_at, modified_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            account.id.as_u128().to_be_bytes(),
            as_integer(position),
            account.external_id,
            account.name,
            account.is_active,
            as_integer(version),
            account.created_at.as_millis(),
            account.modified_at.as_millis(),
        ])?;
    Ok(())
}

/// Finds an account that is not deleted.
pub(crate) fn find(conn: &Connection, account: &AccountRef) -> Outcome<Option<Account>> {
    let found = match account {
        AccountRef::Id(id) => conn
            .prepare_cached(&format!("SELECT {COLUMNS} FROM accounts WHERE id = ? AND deleted_at IS NULL"))?
            .query_row([id.as_u128().to_be_bytes()], account_of)
            .optional()?,
        AccountRef::External(external) => conn
            .prepare_cached(&format!(
                "SELECT {COLUMNS} FROM accounts WHERE external_id = ? AND deleted_at IS NULL"
            ))?
            .query_row([external], account_of)
            .optional()?,
    };
    Ok(found)
}

pub(crate) fn account_of(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        id: AccountId::from_u128(u128::from_be_bytes(row.get(0)?)),
        external_id: row.get(1)?,
        name: row.get(2)?,
        is_active: row.get(3)?,
        created_at: Timestamp::from_millis(row.get(4)?),
        modified_at: Timestamp::from_millis(row.get(5)?),
    })
}

/// Lists accounts, newest first.
pub(crate) fn list(conn: &Connection, page: PageAsk) -> Outcome<Page<Account>> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS}, position FROM accounts WHERE position < ? AND deleted_at IS NULL ORDER BY position DESC LIMIT ?"
    ))?;
    let rows = statement.query_map([lists::before(page), lists::limit(page)], |row| Ok((row.get(6)?, account_of(row)?)))?;
    Ok(lists::page_of(rows.collect::<Result<_, _>>()?, page.limit))
}

/// Changes an account.
pub(crate) fn change(tx: &mut Tx<'_>, id: AccountId, change: &AccountChange, now: Timestamp) -> Outcome<AccountChanged> {
    let Some(mut account) = find(tx.conn, &AccountRef::Id(id))? else {
        return Ok(AccountChanged::NotFound);
    };
    if let Some(external) = &change.external_id {
        if let Some(external) = external
            && find(tx.conn, &AccountRef::External(external.clone()))?.is_some_and(|other| other.id != id)
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
    tx.conn
        .prepare_cached("UPDATE accounts SET external_id = ?, name = ?, is_active = ?, modified_at = ? WHERE id = ?")?
        .execute(params![
            account.external_id,
            account.name,
            account.is_active,
            now.as_millis(),
            id.as_u128().to_be_bytes(),
        ])?;
    tx.account_changed(id, None)?;
    Ok(AccountChanged::Changed(account))
}

/// Deletes an account: its webhooks become tombstones with it, its keys die, its `external_id` is free again.
pub(crate) fn delete(tx: &mut Tx<'_>, id: AccountId, now: Timestamp) -> Outcome<bool> {
    let key = id.as_u128().to_be_bytes();
    let deleted = tx
        .conn
        .prepare_cached("UPDATE accounts SET deleted_at = ?, external_id = NULL WHERE id = ? AND deleted_at IS NULL")?
        .execute(params![now.as_millis(), key])?;
    if deleted == 0 {
        return Ok(false);
    }
    tx.conn.prepare_cached("DELETE FROM keys WHERE owner = ?")?.execute([key])?;
    for webhook in webhooks::ids_of(tx.conn, id)? {
        webhooks::bury(tx.conn, webhook, now)?;
        stopping::ask(tx.conn, webhook)?;
    }
    tx.account_changed(id, None)?;
    Ok(true)
}

/// An account, its version and its webhooks.
pub(crate) fn snapshot(read: &Snapshot<'_>, id: AccountId, seal: &SealKey) -> Outcome<Option<AccountSnapshot>> {
    let Some(account) = find(read.conn, &AccountRef::Id(id))? else {
        return Ok(None);
    };
    Ok(Some(AccountSnapshot {
        version: read_version(read.conn, id)?.unwrap_or_default(),
        account,
        webhooks: webhooks::all_of(read, id, seal)?,
    }))
}

/// The version of a key's owner: zero for the operator.
pub(crate) fn version_of(conn: &Connection, owner: KeyOwner) -> Outcome<AccountVersion> {
    match owner {
        KeyOwner::Operator => Ok(AccountVersion::default()),
        KeyOwner::Account(id) => Ok(read_version(conn, id)?.unwrap_or_default()),
    }
}

/// Raises the version of a key's owner, and tells the feed.
pub(crate) fn owner_changed(tx: &mut Tx<'_>, owner: KeyOwner) -> Outcome<()> {
    match owner {
        KeyOwner::Operator => changes::note(tx.conn, None, None),
        KeyOwner::Account(id) => tx.account_changed(id, None),
    }
}
