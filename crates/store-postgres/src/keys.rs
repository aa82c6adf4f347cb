//! Bearer keys, kept under the hash of their token.

use postrider_model::id::{AccountId, KeyId};
use postrider_model::key::{Key, KeyChange, KeyOwner, Scopes, TokenHash};
use postrider_model::time::Timestamp;
use postrider_ports::page::{Page, PageAsk};
use postrider_ports::registry::AccountVersion;
use rustc_hash::FxHashMap;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::accounts::{self, owner_changed};
use crate::conn::Conn;
use crate::fault::{Outcome, corrupt, unavailable};
use crate::param::{Array, Blob, Param};
use crate::position::{Positions, XID};
use crate::rows::{self, owner_column};

pub(crate) const COLUMNS: &str = "k.id, k.owner, k.name, k.hint, k.scopes, k.created_at, k.expires_at, k.last_used_at";

/// Keeps a key. False where its account is gone.
pub(crate) async fn create(conn: &Conn, positions: Positions, key: &Key, hash: &TokenHash) -> Outcome<bool> {
    if !accounts::hold_owner(conn, key.owner).await? {
        return Ok(false);
    }
    let sql = format!(
        "INSERT INTO postrider.keys (owner, id, major, minor, hash, name, hint, scopes, created_at, expires_at, last_used_at)
         VALUES ($1, $2, {XID} + $3, 0, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (hash) DO NOTHING"
    );
    let params: [&dyn Param; 10] = [
        &owner_column(key.owner),
        &key_column(key.id),
        &positions.base,
        &Blob(hash.as_bytes()),
        &key.name,
        &key.hint,
        &i64::from(key.scopes.bits()),
        &key.created_at.as_millis(),
        &key.expires_at.map(Timestamp::as_millis),
        &key.last_used_at.map(Timestamp::as_millis),
    ];
    if conn.execute(&sql, &params).await? == 0 {
        let found = by_hash(conn, hash).await?;
        // The same key again, after an answer that was lost.
        return match found {
            Some((found, _)) if found.id == key.id && found.owner == key.owner => Ok(true),
            _ => Err(unavailable("another key has this token").into()),
        };
    }
    owner_changed(conn, positions, key.owner).await?;
    Ok(true)
}

/// The key of a token.
pub(crate) async fn by_hash(conn: &Conn, hash: &TokenHash) -> Outcome<Option<(Key, AccountVersion)>> {
    with_version(conn, "hash", &Blob(hash.as_bytes())).await
}

/// A key by its id.
pub(crate) async fn by_id(conn: &Conn, key: KeyId) -> Outcome<Option<(Key, AccountVersion)>> {
    with_version(conn, "id", &key_column(key)).await
}

async fn with_version(conn: &Conn, column: &str, value: &dyn Param) -> Outcome<Option<(Key, AccountVersion)>> {
    let sql = format!(
        "SELECT {COLUMNS}, coalesce(a.version, 0) FROM postrider.keys k
         LEFT JOIN postrider.accounts a ON a.id = k.owner AND a.deleted_at IS NULL WHERE k.{column} = $1"
    );
    let Some(row) = conn.query_opt(&sql, &[value]).await? else {
        return Ok(None);
    };
    let version: i64 = row.try_get(8)?;
    Ok(Some((key_of(&row)?, AccountVersion(version.unsigned_abs()))))
}

/// One key of an owner.
pub(crate) async fn find(conn: &Conn, owner: KeyOwner, key: KeyId) -> Outcome<Option<Key>> {
    let sql = format!("SELECT {COLUMNS} FROM postrider.keys k WHERE k.owner = $1 AND k.id = $2");
    let row = conn.query_opt(&sql, &[&owner_column(owner), &key_column(key)]).await?;
    row.as_ref().map(key_of).transpose()
}

pub(crate) fn key_of(row: &Row) -> Outcome<Key> {
    Ok(Key {
        id: KeyId::from_u128(rows::id(row, 0)?),
        owner: match rows::id(row, 1)? {
            0 => KeyOwner::Operator,
            id => KeyOwner::Account(AccountId::from_u128(id)),
        },
        name: row.try_get(2)?,
        hint: row.try_get(3)?,
        scopes: Scopes::from_bits(u8::try_from(row.try_get::<_, i64>(4)?).map_err(corrupt)?),
        created_at: rows::time(row, 5)?,
        expires_at: rows::maybe_time(row, 6)?,
        last_used_at: rows::maybe_time(row, 7)?,
    })
}

/// Lists the keys of an owner, newest first.
pub(crate) async fn list(conn: &Conn, owner: KeyOwner, page: PageAsk) -> Outcome<Page<Key>> {
    let sql = format!(
        "SELECT {COLUMNS}, k.major, k.minor FROM postrider.keys k WHERE k.owner = $1 AND (k.major, k.minor) < ($2, $3)
         ORDER BY k.major DESC, k.minor DESC LIMIT $4"
    );
    let (major, minor) = rows::before(page);
    let found = conn
        .query(&sql, &[&owner_column(owner), &major, &minor, &rows::limit(page)])
        .await?;
    let found: Outcome<Vec<_>> = found.iter().map(|row| Ok((rows::place(row, 8)?, key_of(row)?))).collect();
    Ok(rows::page_of(found?, page.limit))
}

/// Changes a key.
pub(crate) async fn change(conn: &Conn, positions: Positions, owner: KeyOwner, id: KeyId, change: &KeyChange) -> Outcome<Option<Key>> {
    if !accounts::hold_owner(conn, owner).await? {
        return Ok(None);
    }
    // The operator has no row to hold: two changes of one of its keys follow one another here.
    let hold = "SELECT 1 FROM postrider.keys WHERE owner = $1 AND id = $2 FOR UPDATE";
    conn.query(hold, &[&owner_column(owner), &key_column(id)]).await?;
    let Some(mut key) = find(conn, owner, id).await? else {
        return Ok(None);
    };
    if let Some(name) = &change.name {
        key.name.clone_from(name);
    }
    key.scopes = change.scopes.unwrap_or(key.scopes);
    key.expires_at = change.expires_at.unwrap_or(key.expires_at);
    conn.execute(
        "UPDATE postrider.keys SET name = $3, scopes = $4, expires_at = $5 WHERE owner = $1 AND id = $2",
        &[
            &owner_column(owner),
            &key_column(id),
            &key.name,
            &i64::from(key.scopes.bits()),
            &key.expires_at.map(Timestamp::as_millis),
        ],
    )
    .await?;
    owner_changed(conn, positions, owner).await?;
    Ok(Some(key))
}

/// Deletes a key.
pub(crate) async fn delete(conn: &Conn, positions: Positions, owner: KeyOwner, key: KeyId) -> Outcome<bool> {
    if !accounts::hold_owner(conn, owner).await? {
        return Ok(false);
    }
    let sql = "DELETE FROM postrider.keys WHERE owner = $1 AND id = $2";
    let deleted = conn.execute(sql, &[&owner_column(owner), &key_column(key)]).await?;
    if deleted > 0 {
        owner_changed(conn, positions, owner).await?;
    }
    Ok(deleted > 0)
}

/// Notes when keys were last used; never an earlier time than the one that is there. One statement; several nodes note the same keys, all
/// in one order, so that they do not lock each other out.
pub(crate) async fn touch(conn: &Conn, used: &[(KeyId, Timestamp)]) -> Outcome<()> {
    let mut last: FxHashMap<KeyId, i64> = FxHashMap::default();
    for (key, at) in used {
        let known = last.entry(*key).or_insert(i64::MIN);
        *known = at.as_millis().max(*known);
    }
    let keys: Array<Uuid> = last.keys().map(|key| key_column(*key)).collect();
    let times: Array<i64> = last.values().copied().collect();
    conn.execute(
        "WITH used AS (SELECT * FROM unnest($1, $2) AS used (id, at)),
         held AS (SELECT k.id FROM postrider.keys k WHERE k.id = ANY ($1) ORDER BY k.id FOR UPDATE)
         UPDATE postrider.keys k SET last_used_at = greatest(k.last_used_at, used.at)
         FROM held JOIN used ON used.id = held.id WHERE k.id = held.id",
        &[&keys, &times],
    )
    .await?;
    Ok(())
}

pub(crate) const fn key_column(id: KeyId) -> Uuid {
    Uuid::from_u128(id.as_u128())
}
