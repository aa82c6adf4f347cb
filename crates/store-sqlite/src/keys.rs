//! Bearer keys, kept under the hash of their token.

use postrider_model::id::{AccountId, KeyId};
use postrider_model::key::{Key, KeyChange, KeyOwner, Scopes, TokenHash};
use postrider_model::time::Timestamp;
use postrider_ports::page::{Page, PageAsk};
use postrider_ports::registry::AccountVersion;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::accounts::{owner_changed, version_of};
use crate::fault::Outcome;
use crate::lists;
use crate::tx::{Tx, as_integer};

pub(crate) const COLUMNS: &str = "id, owner, name, hint, scopes, created_at, expires_at, last_used_at";

/// An owner as the store keeps it: empty for the operator.
pub(crate) fn owner_bytes(owner: KeyOwner) -> Vec<u8> {
    match owner {
        KeyOwner::Operator => Vec::new(),
        KeyOwner::Account(id) => id.as_u128().to_be_bytes().to_vec(),
    }
}

/// Keeps a key. False where its account is gone.
pub(crate) fn create(tx: &mut Tx<'_>, key: &Key, hash: &TokenHash) -> Outcome<bool> {
    if let KeyOwner::Account(id) = key.owner
        && tx.account_version(id)?.is_none()
    {
        return Ok(false);
    }
    insert(tx, key, hash)?;
    owner_changed(tx, key.owner)?;
    Ok(true)
}

/// Puts a key at the next place.
pub(crate) fn insert(tx: &mut Tx<'_>, key: &Key, hash: &TokenHash) -> Outcome<()> {
    let position = tx.next_position();
    tx.conn
        .prepare_cached(
            "INSERT INTO keys (id, owner, position, hash, name, hint, scopes, created_at, expires_at, last_used_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            key.id.as_u128().to_be_bytes(),
            owner_bytes(key.owner),
            as_integer(position),
            hash.as_bytes(),
            key.name,
            key.hint,
            key.scopes.bits(),
            key.created_at.as_millis(),
            key.expires_at.map(Timestamp::as_millis),
            key.last_used_at.map(Timestamp::as_millis),
        ])?;
    Ok(())
}

/// The key of a token.
pub(crate) fn by_hash(conn: &Connection, hash: &TokenHash) -> Outcome<Option<(Key, AccountVersion)>> {
    with_version(conn, "hash", hash.as_bytes())
}

/// A key by its id.
pub(crate) fn by_id(conn: &Connection, key: KeyId) -> Outcome<Option<(Key, AccountVersion)>> {
    with_version(conn, "id", &key.as_u128().to_be_bytes())
}

fn with_version(conn: &Connection, column: &str, value: &[u8]) -> Outcome<Option<(Key, AccountVersion)>> {
    let key = conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM keys WHERE {column} = ?"))?
        .query_row([value], key_of)
        .optional()?;
    key.map(|key| Ok((version_of(conn, key.owner)?, key)))
        .transpose()
        .map(|found| found.map(|(version, key)| (key, version)))
}

/// One key of an owner.
pub(crate) fn find(conn: &Connection, owner: KeyOwner, key: KeyId) -> Outcome<Option<Key>> {
    let found = conn
        .prepare_cached(&format!("SELECT {COLUMNS} FROM keys WHERE id = ? AND owner = ?"))?
        .query_row(params![key.as_u128().to_be_bytes(), owner_bytes(owner)], key_of)
        .optional()?;
    Ok(found)
}

/// The owner that these bytes stand for.
pub(crate) fn owner_of(bytes: &[u8]) -> KeyOwner {
    match <[u8; 16]>::try_from(bytes) {
        Ok(id) => KeyOwner::Account(AccountId::from_u128(u128::from_be_bytes(id))),
        Err(_) => KeyOwner::Operator,
    }
}

pub(crate) fn key_of(row: &Row<'_>) -> rusqlite::Result<Key> {
    let owner = owner_of(row.get_ref(1)?.as_blob()?);
    Ok(Key {
        id: KeyId::from_u128(u128::from_be_bytes(row.get(0)?)),
        owner,
        name: row.get(2)?,
        hint: row.get(3)?,
        scopes: Scopes::from_bits(row.get(4)?),
        created_at: Timestamp::from_millis(row.get(5)?),
        expires_at: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_millis),
        last_used_at: row.get::<_, Option<i64>>(7)?.map(Timestamp::from_millis),
    })
}

/// Lists the keys of an owner, newest first.
pub(crate) fn list(conn: &Connection, owner: KeyOwner, page: PageAsk) -> Outcome<Page<Key>> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS}, position FROM keys WHERE owner = ? AND position < ? ORDER BY position DESC LIMIT ?"
    ))?;
    let rows = statement.query_map(params![owner_bytes(owner), lists::before(page), lists::limit(page)], |row| {
        Ok((row.get(8)?, key_of(row)?))
    })?;
    Ok(lists::page_of(rows.collect::<Result<_, _>>()?, page.limit))
}

/// Changes a key.
pub(crate) fn change(tx: &mut Tx<'_>, owner: KeyOwner, id: KeyId, change: &KeyChange) -> Outcome<Option<Key>> {
    let Some(mut key) = find(tx.conn, owner, id)? else {
        return Ok(None);
    };
    if let Some(name) = &change.name {
        key.name.clone_from(name);
    }
    key.scopes = change.scopes.unwrap_or(key.scopes);
    key.expires_at = change.expires_at.unwrap_or(key.expires_at);
    tx.conn
        .prepare_cached("UPDATE keys SET name = ?, scopes = ?, expires_at = ? WHERE id = ?")?
        .execute(params![
            key.name,
            key.scopes.bits(),
            key.expires_at.map(Timestamp::as_millis),
            id.as_u128().to_be_bytes(),
        ])?;
    owner_changed(tx, owner)?;
    Ok(Some(key))
}

/// Deletes a key.
pub(crate) fn delete(tx: &mut Tx<'_>, owner: KeyOwner, key: KeyId) -> Outcome<bool> {
    let deleted = tx
        .conn
        .prepare_cached("DELETE FROM keys WHERE id = ? AND owner = ?")?
        .execute(params![key.as_u128().to_be_bytes(), owner_bytes(owner)])?;
    if deleted > 0 {
        owner_changed(tx, owner)?;
    }
    Ok(deleted > 0)
}

/// Notes when keys were last used; never an earlier time than the one that is there.
pub(crate) fn touch(tx: &Tx<'_>, used: &[(KeyId, Timestamp)]) -> Outcome<()> {
    let mut update = tx
        .conn
        .prepare_cached("UPDATE keys SET last_used_at = max(ifnull(last_used_at, ?1), ?1) WHERE id = ?2")?;
    for (key, at) in used {
        update.execute(params![at.as_millis(), key.as_u128().to_be_bytes()])?;
    }
    Ok(())
}
