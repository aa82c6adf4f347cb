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
use rustc_hash::FxHashMap;
use tokio_postgres::Row;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::codec::{Reader, push_blob};
use crate::conn::Conn;
use crate::fault::{Outcome, corrupt};
use crate::open::nonce;
use crate::param::{Array, Nullable, Param};
use crate::position::{Positions, XID};
use crate::rows::{self, account_column, webhook_column};
use crate::store::Inner;
use crate::{accounts, changes};

pub(crate) const COLUMNS: &str =
    "id, account, url, description, is_active, event_names, secrets, failures, ill_since, created_at, modified_at";

/// Which events a webhook wants, from its column; none means all.
pub(crate) fn names_of(names: &[String]) -> Outcome<Vec<EventNamePattern>> {
    names.iter().map(|name| EventNamePattern::parse(name).map_err(corrupt)).collect()
}

/// Makes a webhook, where its account has room for it.
pub(crate) async fn create(conn: &Conn, inner: &Inner, webhook: &Webhook, webhooks_max: usize) -> Outcome<WebhookMade> {
    let account = account_column(webhook.account);
    let max = i64::try_from(webhooks_max).unwrap_or(i64::MAX);
    // Whoever comes second waits for the first here, and then counts anew.
    let counted = conn
        .execute(
            "UPDATE postrider.accounts SET webhooks = webhooks + 1, version = version + 1
             WHERE id = $1 AND deleted_at IS NULL AND webhooks < $2",
            &[&account, &max],
        )
        .await?;
    if counted == 0 {
        let is_there = accounts::hold(conn, webhook.account).await?;
        return Ok(if is_there { WebhookMade::TooMany } else { WebhookMade::NoAccount });
    }
    insert(conn, inner, webhook).await?;
    changes::note(conn, inner.positions, Some(webhook.account), Some(webhook.id)).await?;
    Ok(WebhookMade::Made)
}

async fn insert(conn: &Conn, inner: &Inner, webhook: &Webhook) -> Outcome<()> {
    let sql = format!(
        "INSERT INTO postrider.webhooks (account, id, major, minor, url, description, is_active, event_names, secrets, failures, ill_since,
                                         created_at, modified_at)
         VALUES ($1, $2, {XID} + $3, 0, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
    );
    let (failures, since) = health_columns(webhook.health);
    let params: [&dyn Param; 12] = [
        &account_column(webhook.account),
        &webhook_column(webhook.id),
        &inner.positions.base,
        &webhook.url.as_str(),
        &webhook.description,
        &webhook.is_active,
        &names_column(&webhook.event_names),
        &seal(inner, webhook),
        &failures,
        &since,
        &webhook.created_at.as_millis(),
        &webhook.modified_at.as_millis(),
    ];
    conn.execute(&sql, &params).await?;
    Ok(())
}

/// One webhook that is not deleted.
pub(crate) async fn find(conn: &Conn, account: AccountId, webhook: WebhookId, key: &SealKey) -> Outcome<Option<Webhook>> {
    let sql = format!("SELECT {COLUMNS} FROM postrider.webhooks WHERE account = $1 AND id = $2 AND deleted_at IS NULL");
    let row = conn.query_opt(&sql, &[&account_column(account), &webhook_column(webhook)]).await?;
    row.as_ref().map(|row| webhook_of(row, key)).transpose()
}

/// Lists webhooks, newest first.
pub(crate) async fn list(conn: &Conn, account: AccountId, page: PageAsk, key: &SealKey) -> Outcome<Page<Arc<Webhook>>> {
    let sql = format!(
        "SELECT {COLUMNS}, major, minor FROM postrider.webhooks
         WHERE account = $1 AND (major, minor) < ($2, $3) AND deleted_at IS NULL ORDER BY major DESC, minor DESC LIMIT $4"
    );
    let (major, minor) = rows::before(page);
    let found = conn
        .query(&sql, &[&account_column(account), &major, &minor, &rows::limit(page)])
        .await?;
    let found: Outcome<Vec<_>> = found
        .iter()
        .map(|row| Ok((rows::place(row, 11)?, Arc::new(webhook_of(row, key)?))))
        .collect();
    Ok(rows::page_of(found?, page.limit))
}

/// All webhooks of an account that are not deleted.
pub(crate) async fn all_of(conn: &Conn, account: AccountId, key: &SealKey) -> Outcome<Vec<Arc<Webhook>>> {
    let sql = format!("SELECT {COLUMNS} FROM postrider.webhooks WHERE account = $1 AND deleted_at IS NULL ORDER BY major, minor");
    let found = conn.query(&sql, &[&account_column(account)]).await?;
    found.iter().map(|row| Ok(Arc::new(webhook_of(row, key)?))).collect()
}

/// Edits a webhook.
pub(crate) async fn edit(
    conn: &Conn,
    inner: &Inner,
    (account, id): (AccountId, WebhookId),
    edit: WebhookEdit,
    now: Timestamp,
) -> Outcome<WebhookEdited> {
    if !accounts::hold(conn, account).await? {
        return Ok(WebhookEdited::NotFound);
    }
    let Some(webhook) = find(conn, account, id, &inner.seal).await? else {
        return Ok(WebhookEdited::NotFound);
    };
    let url_before = webhook.url.clone();
    let webhook = match edit {
        WebhookEdit::Change(change) => change.apply(webhook, now),
        WebhookEdit::Rotate(rotation) => match rotation.apply(webhook, now) {
            Ok(webhook) => webhook,
            Err(too_many) => return Ok(WebhookEdited::TooManySecrets(too_many)),
        },
    };
    update(conn, inner, &webhook).await?;
    if webhook.url.as_str() != url_before.as_str() {
        // Else it is left as it is: it may be stored at this moment, by who does not hold the account.
        store_health(conn, &[(account, id, webhook.health)]).await?;
    }
    accounts::raise(conn, account).await?;
    changes::note(conn, inner.positions, Some(account), Some(id)).await?;
    Ok(WebhookEdited::Edited(Arc::new(webhook)))
}

async fn update(conn: &Conn, inner: &Inner, webhook: &Webhook) -> Outcome<()> {
    let params: [&dyn Param; 8] = [
        &account_column(webhook.account),
        &webhook_column(webhook.id),
        &webhook.url.as_str(),
        &webhook.description,
        &webhook.is_active,
        &names_column(&webhook.event_names),
        &seal(inner, webhook),
        &webhook.modified_at.as_millis(),
    ];
    conn.execute(
        "UPDATE postrider.webhooks SET url = $3, description = $4, is_active = $5, event_names = $6, secrets = $7, modified_at = $8
         WHERE account = $1 AND id = $2",
        &params,
    )
    .await?;
    Ok(())
}

/// Deletes a webhook.
pub(crate) async fn delete(conn: &Conn, positions: Positions, account: AccountId, id: WebhookId, now: Timestamp) -> Outcome<bool> {
    if !accounts::hold(conn, account).await? || !bury(conn, positions, (account, Some(id)), now).await? {
        return Ok(false);
    }
    conn.execute(
        "UPDATE postrider.accounts SET webhooks = webhooks - 1, version = version + 1 WHERE id = $1",
        &[&account_column(account)],
    )
    .await?;
    changes::note(conn, positions, Some(account), Some(id)).await?;
    Ok(true)
}

/// Makes tombstones of one webhook, or of all of an account that is held, and has their pending deliveries ended; their secrets go at once.
/// False where there was none.
pub(crate) async fn bury(
    conn: &Conn,
    positions: Positions,
    (account, webhook): (AccountId, Option<WebhookId>),
    now: Timestamp,
) -> Outcome<bool> {
    // Held in the order in which health is stored.
    let sql = format!(
        "WITH held AS (
             SELECT id FROM postrider.webhooks WHERE account = $1 AND ($2::uuid IS NULL OR id = $2) AND deleted_at IS NULL
             ORDER BY id FOR UPDATE
         ), buried AS (
             UPDATE postrider.webhooks w SET deleted_at = $3, secrets = '' FROM held WHERE w.account = $1 AND w.id = held.id
             RETURNING w.id
         )
         INSERT INTO postrider.stopping (account, webhook, major) SELECT $1, id, {XID} + $4 FROM buried
         ON CONFLICT (account, webhook) DO UPDATE SET major = excluded.major"
    );
    let buried = conn
        .execute(
            &sql,
            &[
                &account_column(account),
                &webhook.map(webhook_column),
                &now.as_millis(),
                &positions.base,
            ],
        )
        .await?;
    Ok(buried > 0)
}

/// Keeps what was learned of receivers: one statement, for all of them in one order, so that two of them do not lock each other out.
pub(crate) async fn store_health(conn: &Conn, health: &[(AccountId, WebhookId, Health)]) -> Outcome<()> {
    // What was learned last counts.
    let last: FxHashMap<(AccountId, WebhookId), Health> = health
        .iter()
        .map(|(account, webhook, health)| ((*account, *webhook), *health))
        .collect();
    let accounts: Array<Uuid> = last.keys().map(|(account, _)| account_column(*account)).collect();
    let webhooks: Array<Uuid> = last.keys().map(|(_, webhook)| webhook_column(*webhook)).collect();
    let failures: Nullable<i32> = last.values().map(|health| health_columns(*health).0).collect();
    let since: Nullable<i64> = last.values().map(|health| health_columns(*health).1).collect();
    conn.execute(
        "WITH learned AS (SELECT * FROM unnest($1, $2, $3, $4) AS learned (account, id, failures, ill_since)),
         held AS (
             SELECT w.account, w.id FROM postrider.webhooks w JOIN learned USING (account, id) ORDER BY w.account, w.id FOR UPDATE OF w
         )
         UPDATE postrider.webhooks w SET failures = learned.failures, ill_since = learned.ill_since
         FROM held JOIN learned USING (account, id) WHERE w.account = held.account AND w.id = held.id",
        &[&accounts, &webhooks, &failures, &since],
    )
    .await?;
    Ok(())
}

/// NULL: unproven; zero failures: well.
pub(crate) fn health_columns(health: Health) -> (Option<i32>, Option<i64>) {
    match health {
        Health::Unproven => (None, None),
        Health::Well => (Some(0), None),
        Health::Ill { failures, since } => (Some(i32::try_from(failures).unwrap_or(i32::MAX)), Some(since.as_millis())),
    }
}

pub(crate) fn names_column(names: &[EventNamePattern]) -> Array<&str> {
    names.iter().map(EventNamePattern::as_str).collect()
}

pub(crate) fn webhook_of(row: &Row, key: &SealKey) -> Outcome<Webhook> {
    let id = WebhookId::from_u128(rows::id(row, 0)?);
    let failures: Option<i32> = row.try_get(7)?;
    Ok(Webhook {
        id,
        account: AccountId::from_u128(rows::id(row, 1)?),
        url: WebhookUrl::from_stored(row.try_get(2)?).map_err(corrupt)?,
        description: row.try_get(3)?,
        is_active: row.try_get(4)?,
        event_names: names_of(&row.try_get::<_, Vec<String>>(5)?)?,
        secrets: unseal(key, id, row.try_get(6)?)?,
        health: match (failures, rows::maybe_time(row, 8)?) {
            (None, _) => Health::Unproven,
            (Some(_), None) => Health::Well,
            (Some(failures), Some(since)) => Health::Ill {
                failures: failures.unsigned_abs(),
                since,
            },
        },
        created_at: rows::time(row, 9)?,
        modified_at: rows::time(row, 10)?,
    })
}

/// What the secrets of a webhook are sealed for: they open in no other place.
fn context(webhook: WebhookId) -> Vec<u8> {
    [&webhook.as_u128().to_be_bytes()[..], b"/webhooks/secrets"].concat()
}

/// Of each secret its end (or the end of time) and its bytes.
pub(crate) fn seal(inner: &Inner, webhook: &Webhook) -> Vec<u8> {
    // One piece from the start: a vector that grows would leave parts of a secret behind in memory.
    let mut plain = Zeroizing::new(Vec::with_capacity(webhook.secrets.len() * 96));
    for secret in &webhook.secrets {
        let end = secret.expires_at.map_or(i64::MAX, Timestamp::as_millis);
        plain.extend_from_slice(&end.to_be_bytes());
        push_blob(&mut plain, secret.secret.as_bytes());
    }
    inner.seal.seal(&plain, &context(webhook.id), nonce(&*inner.random))
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
        let end = i64::from_be_bytes(from.array()?);
        secrets.push(WebhookSecret {
            secret: SigningSecret::from_bytes(from.blob()?).map_err(corrupt)?,
            expires_at: (end != i64::MAX).then_some(Timestamp::from_millis(end)),
        });
    }
    Ok(secrets)
}
