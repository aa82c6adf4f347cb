//! Webhooks. Their signing secrets are sealed, all of a webhook in one value.

use std::sync::Arc;

use postrider_model::health::Health;
use postrider_model::id::{AccountId, WebhookId};
use postrider_model::name::EventNamePattern;
use postrider_model::seal::SealKey;
use postrider_model::secret::{SigningSecret, WebhookSecret};
use postrider_model::time::Timestamp;
use postrider_model::url::WebhookUrl;
use postrider_model::webhook::Webhook;
use postrider_ports::page::{Page, PageAsk};
use postrider_ports::registry::{WebhookEdit, WebhookEdited, WebhookMade};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use zeroize::Zeroizing;

use crate::codec::Reader;
use crate::fault::{Outcome, corrupt};
use crate::reader::Snapshot;
use crate::tx::{Memory, Tx, as_integer};
use crate::{key_file, lists, stopping};

pub(crate) const COLUMNS: &str =
    "id, account, url, description, is_active, event_names, secrets, failures, ill_since, created_at, modified_at";

/// How a webhook stands, its account counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Active,
    Inactive,
    Deleted,
    Gone,
}

/// How a webhook of an account stands.
pub(crate) fn standing(conn: &Connection, account: AccountId, webhook: WebhookId) -> Outcome<Standing> {
    let found: Option<(bool, bool)> = conn
        .prepare_cached(
            "SELECT w.is_active AND a.is_active, w.deleted_at IS NOT NULL OR a.deleted_at IS NOT NULL
             FROM webhooks w JOIN accounts a ON a.id = w.account WHERE w.id = ? AND w.account = ?",
        )?
        .query_row(params![webhook.as_u128().to_be_bytes(), account.as_u128().to_be_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(match found {
        None => Standing::Gone,
        Some((_, true)) => Standing::Deleted,
        Some((true, false)) => Standing::Active,
        Some((false, false)) => Standing::Inactive,
    })
}

/// Whether a webhook is a tombstone.
pub(crate) fn is_deleted(conn: &Connection, account: AccountId, webhook: WebhookId) -> Outcome<bool> {
    Ok(standing(conn, account, webhook)? == Standing::Deleted)
}

/// Whether an account is there and not deleted.
pub(crate) fn is_account_live(conn: &Connection, account: AccountId) -> Outcome<bool> {
    Ok(conn
        .prepare_cached("SELECT 1 FROM accounts WHERE id = ? AND deleted_at IS NULL")?
        .exists([account.as_u128().to_be_bytes()])?)
}

/// Which events a webhook wants; none means all.
pub(crate) fn names_of(conn: &Connection, webhook: WebhookId) -> Outcome<Vec<EventNamePattern>> {
    let names: String = conn
        .prepare_cached("SELECT event_names FROM webhooks WHERE id = ?")?
        .query_row([webhook.as_u128().to_be_bytes()], |row| row.get(0))?;
    parse_names(&names)
}

fn parse_names(text: &str) -> Outcome<Vec<EventNamePattern>> {
    text.lines().map(|name| EventNamePattern::parse(name).map_err(corrupt)).collect()
}

/// Makes a webhook, where its account has room for it.
pub(crate) fn create(tx: &mut Tx<'_>, webhook: &Webhook, webhooks_max: usize) -> Outcome<WebhookMade> {
    if tx.account_version(webhook.account)?.is_none() {
        return Ok(WebhookMade::NoAccount);
    }
    let count: i64 = tx
        .conn
        .prepare_cached("SELECT webhooks FROM accounts WHERE id = ?")?
        .query_row([webhook.account.as_u128().to_be_bytes()], |row| row.get(0))?;
    if usize::try_from(count).unwrap_or(usize::MAX) >= webhooks_max {
        return Ok(WebhookMade::TooMany);
    }
    insert(tx, webhook)?;
    count_webhooks(tx.conn, webhook.account, 1)?;
    tx.account_changed(webhook.account, Some(webhook.id))?;
    Ok(WebhookMade::Made)
}

/// Puts a webhook at the next place.
pub(crate) fn insert(tx: &mut Tx<'_>, webhook: &Webhook) -> Outcome<()> {
    let position = tx.next_position();
    let (failures, since) = health_columns(webhook.health);
    tx.conn
        .prepare_cached(
            "INSERT INTO webhooks (id, account, position, url, description, is_active, event_names, secrets, failures, ill_since,
                                   created_at, modified_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            webhook.id.as_u128().to_be_bytes(),
            webhook.account.as_u128().to_be_bytes(),
            as_integer(position),
            webhook.url.as_str(),
            webhook.description,
            webhook.is_active,
            names_text(&webhook.event_names),
            seal(tx.memory, webhook),
            failures,
            since,
            webhook.created_at.as_millis(),
            webhook.modified_at.as_millis(),
        ])?;
    Ok(())
}

/// One webhook that is not deleted.
pub(crate) fn find(conn: &Connection, account: AccountId, webhook: WebhookId, key: &SealKey) -> Outcome<Option<Webhook>> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM webhooks WHERE id = ? AND account = ? AND deleted_at IS NULL"
    ))?;
    let mut rows = statement.query(params![webhook.as_u128().to_be_bytes(), account.as_u128().to_be_bytes()])?;
    rows.next()?.map(|row| webhook_of(row, key)).transpose()
}

/// Lists webhooks, newest first.
pub(crate) fn list(conn: &Connection, account: AccountId, page: PageAsk, key: &SealKey) -> Outcome<Page<Arc<Webhook>>> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS}, position FROM webhooks WHERE account = ? AND position < ? AND deleted_at IS NULL
         ORDER BY position DESC LIMIT ?"
    ))?;
    let mut rows = statement.query(params![account.as_u128().to_be_bytes(), lists::before(page), lists::limit(page)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((row.get(11)?, Arc::new(webhook_of(row, key)?)));
    }
    Ok(lists::page_of(found, page.limit))
}

/// All webhooks of an account that are not deleted.
pub(crate) fn all_of(read: &Snapshot<'_>, account: AccountId, key: &SealKey) -> Outcome<Vec<Arc<Webhook>>> {
    let mut statement = read.conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM webhooks WHERE account = ? AND deleted_at IS NULL ORDER BY position"
    ))?;
    let mut rows = statement.query([account.as_u128().to_be_bytes()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        read.check_time()?;
        found.push(Arc::new(webhook_of(row, key)?));
    }
    Ok(found)
}

/// The ids of an account's webhooks that are not deleted.
pub(crate) fn ids_of(conn: &Connection, account: AccountId) -> Outcome<Vec<WebhookId>> {
    let mut statement = conn.prepare_cached("SELECT id FROM webhooks WHERE account = ? AND deleted_at IS NULL")?;
    let rows = statement.query_map([account.as_u128().to_be_bytes()], |row| row.get::<_, [u8; 16]>(0))?;
    let mut found = Vec::new();
    for row in rows {
        found.push(WebhookId::from_u128(u128::from_be_bytes(row?)));
    }
    Ok(found)
}

/// Edits a webhook.
pub(crate) fn edit(tx: &mut Tx<'_>, account: AccountId, id: WebhookId, edit: WebhookEdit, now: Timestamp) -> Outcome<WebhookEdited> {
    let seal_key = Arc::clone(&tx.memory.seal);
    let Some(webhook) = find(tx.conn, account, id, &seal_key)? else {
        return Ok(WebhookEdited::NotFound);
    };
    let webhook = match edit {
        WebhookEdit::Change(change) => change.apply(webhook, now),
        WebhookEdit::Rotate(rotation) => match rotation.apply(webhook, now) {
            Ok(webhook) => webhook,
            Err(too_many) => return Ok(WebhookEdited::TooManySecrets(too_many)),
        },
    };
    let (failures, since) = health_columns(webhook.health);
    tx.conn
        .prepare_cached(
            "UPDATE webhooks SET url = ?, description = ?, is_active = ?, event_names = ?, secrets = ?, failures = ?, ill_since = ?,
                                 modified_at = ? WHERE id = ?",
        )?
        .execute(params![
            webhook.url.as_str(),
            webhook.description,
            webhook.is_active,
            names_text(&webhook.event_names),
            seal(tx.memory, &webhook),
            failures,
            since,
            webhook.modified_at.as_millis(),
            id.as_u128().to_be_bytes(),
        ])?;
    tx.account_changed(account, Some(id))?;
    Ok(WebhookEdited::Edited(Arc::new(webhook)))
}

/// Deletes a webhook.
pub(crate) fn delete(tx: &mut Tx<'_>, account: AccountId, id: WebhookId, now: Timestamp) -> Outcome<bool> {
    if matches!(standing(tx.conn, account, id)?, Standing::Gone | Standing::Deleted) {
        return Ok(false);
    }
    bury(tx.conn, id, now)?;
    stopping::ask(tx.conn, id)?;
    count_webhooks(tx.conn, account, -1)?;
    tx.account_changed(account, Some(id))?;
    Ok(true)
}

/// Counts an account's webhooks, so that making one does not look at all the others.
pub(crate) fn count_webhooks(conn: &Connection, account: AccountId, change: i64) -> Outcome<()> {
    conn.prepare_cached("UPDATE accounts SET webhooks = webhooks + ? WHERE id = ?")?
        .execute(params![change, account.as_u128().to_be_bytes()])?;
    Ok(())
}

/// Makes a tombstone of a webhook; its secrets go at once.
pub(crate) fn bury(conn: &Connection, id: WebhookId, now: Timestamp) -> Outcome<()> {
    conn.prepare_cached("UPDATE webhooks SET deleted_at = ?, secrets = x'' WHERE id = ?")?
        .execute(params![now.as_millis(), id.as_u128().to_be_bytes()])?;
    Ok(())
}

/// Keeps what was learned of receivers.
pub(crate) fn store_health(tx: &Tx<'_>, health: &[(AccountId, WebhookId, Health)]) -> Outcome<()> {
    let mut update = tx
        .conn
        .prepare_cached("UPDATE webhooks SET failures = ?, ill_since = ? WHERE id = ? AND account = ?")?;
    for (account, webhook, health) in health {
        let (failures, since) = health_columns(*health);
        update.execute(params![
            failures,
            since,
            webhook.as_u128().to_be_bytes(),
            account.as_u128().to_be_bytes()
        ])?;
    }
    Ok(())
}

/// NULL: unproven; zero failures: well.
fn health_columns(health: Health) -> (Option<u32>, Option<i64>) {
    match health {
        Health::Unproven => (None, None),
        Health::Well => (Some(0), None),
        Health::Ill { failures, since } => (Some(failures), Some(since.as_millis())),
    }
}

fn names_text(names: &[EventNamePattern]) -> String {
    names.iter().map(EventNamePattern::as_str).collect::<Vec<_>>().join("\n")
}

pub(crate) fn webhook_of(row: &Row<'_>, key: &SealKey) -> Outcome<Webhook> {
    let id = WebhookId::from_u128(u128::from_be_bytes(row.get(0)?));
    let failures: Option<u32> = row.get(7)?;
    let since: Option<i64> = row.get(8)?;
    Ok(Webhook {
        id,
        account: AccountId::from_u128(u128::from_be_bytes(row.get(1)?)),
        url: WebhookUrl::from_stored(row.get_ref(2)?.as_str()?).map_err(corrupt)?,
        description: row.get(3)?,
        is_active: row.get(4)?,
        event_names: parse_names(row.get_ref(5)?.as_str()?)?,
        secrets: unseal(key, id, row.get_ref(6)?.as_blob()?)?,
        health: match (failures, since) {
            (None, _) => Health::Unproven,
            (Some(_), None) => Health::Well,
            (Some(failures), Some(since)) => Health::Ill {
                failures,
                since: Timestamp::from_millis(since),
            },
        },
        created_at: Timestamp::from_millis(row.get(9)?),
        modified_at: Timestamp::from_millis(row.get(10)?),
    })
}

/// What the secrets of a webhook are sealed for: they open in no other place.
fn context(webhook: WebhookId) -> Vec<u8> {
    [&webhook.as_u128().to_be_bytes()[..], b"/webhooks/secrets"].concat()
}

/// Of each secret its end (or the end of time), its length and its bytes.
fn seal(memory: &Memory, webhook: &Webhook) -> Vec<u8> {
    let mut plain = Zeroizing::new(Vec::with_capacity(webhook.secrets.len() * 96));
    for secret in &webhook.secrets {
        let end = secret.expires_at.map_or(i64::MAX, Timestamp::as_millis);
        let bytes = secret.secret.as_bytes();
        plain.extend_from_slice(&end.to_be_bytes());
        plain.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
        plain.extend_from_slice(bytes);
    }
    memory.seal.seal(&plain, &context(webhook.id), key_file::nonce(&*memory.random))
}

fn unseal(key: &SealKey, webhook: WebhookId, sealed: &[u8]) -> Outcome<Vec<WebhookSecret>> {
    // Of a tombstone.
    if sealed.is_empty() {
        return Ok(Vec::new());
    }
    let plain = key.unseal(sealed, &context(webhook))?;
    let mut from = Reader(&plain);
    let mut secrets = Vec::new();
    while !from.0.is_empty() {
        let end = from.time()?;
        let [length] = from.array()?;
        secrets.push(WebhookSecret {
            secret: SigningSecret::from_bytes(from.take(length.into())?).map_err(corrupt)?,
            expires_at: (end.as_millis() != i64::MAX).then_some(end),
        });
    }
    Ok(secrets)
}
