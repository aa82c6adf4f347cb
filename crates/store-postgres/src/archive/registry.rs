//! A page of accounts, keys, webhooks and kept answers taken in: a statement for each table, with arrays.

use postrider_model::account::Account;
use postrider_model::key::{Key, TokenHash};
use postrider_model::name::EventNamePattern;
use postrider_model::queue::Position;
use postrider_model::time::Timestamp;
use postrider_model::webhook::Webhook;
use postrider_ports::archive::{Placed, Record};
use postrider_ports::once::{AnswerKey, Kept};
use uuid::Uuid;

use crate::conn::Conn;
use crate::fault::Outcome;
use crate::keys::key_column;
use crate::param::{Array, Blob, Nullable, Param};
use crate::position::columns;
use crate::rows::{account_column, owner_column, webhook_column};
use crate::store::Inner;
use crate::{kept, webhooks};

/// Writes those records of a page that are of the registry, or kept answers.
pub(crate) async fn write(conn: &Conn, inner: &Inner, page: &[Placed]) -> Outcome<()> {
    accounts(conn, page).await?;
    keys(conn, page).await?;
    webhooks(conn, inner, page).await?;
    answers(conn, inner, page).await
}

fn rows_of<'a, R>(page: &'a [Placed], row: impl Fn(&'a Record) -> Option<R>) -> Vec<(Position, R)> {
    page.iter()
        .filter_map(|placed| Some((placed.position, row(&placed.record)?)))
        .collect()
}

fn majors<T>(rows: &[(Position, T)]) -> Array<i64> {
    rows.iter().map(|(position, _)| columns(*position).0).collect()
}

fn minors<T>(rows: &[(Position, T)]) -> Array<i32> {
    rows.iter().map(|(position, _)| columns(*position).1).collect()
}

/// A column of rows.
fn each<'a, R, T, C: FromIterator<T>>(rows: &'a [(Position, R)], column: impl Fn(&'a R) -> T) -> C {
    rows.iter().map(|(_, row)| column(row)).collect()
}

async fn accounts(conn: &Conn, page: &[Placed]) -> Outcome<()> {
    type Row<'a> = (&'a Account, u64, Option<Timestamp>, bool);
    let rows: Vec<(Position, Row<'_>)> = rows_of(page, |record| match record {
        Record::Account {
            account,
            version,
            deleted_at,
            is_erased,
        } => Some((account, *version, *deleted_at, *is_erased)),
        _ => None,
    });
    if rows.is_empty() {
        return Ok(());
    }
    let params: [&dyn Param; 11] = [
        &each::<_, _, Array<Uuid>>(&rows, |row| account_column(row.0.id)),
        &majors(&rows),
        &minors(&rows),
        &each::<_, _, Nullable<&str>>(&rows, |row| row.0.external_id.as_deref()),
        &each::<_, _, Array<&str>>(&rows, |row| row.0.name.as_str()),
        &each::<_, _, Array<bool>>(&rows, |row| row.0.is_active),
        &each::<_, _, Array<i64>>(&rows, |row| i64::try_from(row.1).unwrap_or(i64::MAX)),
        &each::<_, _, Array<i64>>(&rows, |row| row.0.created_at.as_millis()),
        &each::<_, _, Array<i64>>(&rows, |row| row.0.modified_at.as_millis()),
        &each::<_, _, Nullable<i64>>(&rows, |row| row.2.map(Timestamp::as_millis)),
        &each::<_, _, Array<bool>>(&rows, |row| row.3),
    ];
    conn.execute(
        "INSERT INTO postrider.accounts (id, major, minor, external_id, name, is_active, version, created_at, modified_at, deleted_at,
                                         is_erased)
         SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::integer[], $4::text[], $5::text[], $6::boolean[], $7::bigint[], $8::bigint[],
                              $9::bigint[], $10::bigint[], $11::boolean[])",
        &params,
    )
    .await?;
    Ok(())
}

async fn keys(conn: &Conn, page: &[Placed]) -> Outcome<()> {
    let rows: Vec<(Position, (&Key, &TokenHash))> = rows_of(page, |record| match record {
        Record::Key { key, hash } => Some((key, hash)),
        _ => None,
    });
    if rows.is_empty() {
        return Ok(());
    }
    let params: [&dyn Param; 11] = [
        &each::<_, _, Array<Uuid>>(&rows, |row| owner_column(row.0.owner)),
        &each::<_, _, Array<Uuid>>(&rows, |row| key_column(row.0.id)),
        &majors(&rows),
        &minors(&rows),
        &each::<_, _, Array<Blob<'_>>>(&rows, |row| Blob(row.1.as_bytes())),
        &each::<_, _, Array<&str>>(&rows, |row| row.0.name.as_str()),
        &each::<_, _, Array<&str>>(&rows, |row| row.0.hint.as_str()),
        &each::<_, _, Array<i64>>(&rows, |row| i64::from(row.0.scopes.bits())),
        &each::<_, _, Array<i64>>(&rows, |row| row.0.created_at.as_millis()),
        &each::<_, _, Nullable<i64>>(&rows, |row| row.0.expires_at.map(Timestamp::as_millis)),
        &each::<_, _, Nullable<i64>>(&rows, |row| row.0.last_used_at.map(Timestamp::as_millis)),
    ];
    conn.execute(
        "INSERT INTO postrider.keys (owner, id, major, minor, hash, name, hint, scopes, created_at, expires_at, last_used_at)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::integer[], $5::bytea[], $6::text[], $7::text[], $8::bigint[],
                              $9::bigint[], $10::bigint[], $11::bigint[])",
        &params,
    )
    .await?;
    Ok(())
}

async fn webhooks(conn: &Conn, inner: &Inner, page: &[Placed]) -> Outcome<()> {
    type Row<'a> = (&'a Webhook, Option<Timestamp>);
    let rows: Vec<(Position, Row<'_>)> = rows_of(page, |record| match record {
        Record::Webhook { webhook, deleted_at } => Some((&**webhook, *deleted_at)),
        _ => None,
    });
    if rows.is_empty() {
        return Ok(());
    }
    // Arrays of arrays have to be of one length: so the names of each come as lines.
    let names = |row: &Row<'_>| {
        row.0
            .event_names
            .iter()
            .map(EventNamePattern::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let secrets = |row: &Row<'_>| match row.1 {
        Some(_) => Vec::new(),
        None => webhooks::seal(inner, row.0),
    };
    let owners: Array<Uuid> = each(&rows, |row| account_column(row.0.account));
    let deleted: Nullable<i64> = each(&rows, |row| row.1.map(Timestamp::as_millis));
    let params: [&dyn Param; 14] = [
        &owners,
        &each::<_, _, Array<Uuid>>(&rows, |row| webhook_column(row.0.id)),
        &majors(&rows),
        &minors(&rows),
        &each::<_, _, Array<&str>>(&rows, |row| row.0.url.as_str()),
        &each::<_, _, Nullable<&str>>(&rows, |row| row.0.description.as_deref()),
        &each::<_, _, Array<bool>>(&rows, |row| row.0.is_active),
        &each::<_, _, Array<String>>(&rows, names),
        &each::<_, _, Array<Vec<u8>>>(&rows, secrets),
        &each::<_, _, Nullable<i32>>(&rows, |row| webhooks::health_columns(row.0.health).0),
        &each::<_, _, Nullable<i64>>(&rows, |row| webhooks::health_columns(row.0.health).1),
        &each::<_, _, Array<i64>>(&rows, |row| row.0.created_at.as_millis()),
        &each::<_, _, Array<i64>>(&rows, |row| row.0.modified_at.as_millis()),
        &deleted,
    ];
    conn.execute(
        "INSERT INTO postrider.webhooks (account, id, major, minor, url, description, is_active, event_names, secrets, failures, ill_since,
                                         created_at, modified_at, deleted_at)
         SELECT account, id, major, minor, url, description, is_active, string_to_array(names, E'\\n'), secrets, failures, ill_since,
                created_at, modified_at, deleted_at
         FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::integer[], $5::text[], $6::text[], $7::boolean[], $8::text[], $9::bytea[],
                     $10::integer[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[])
              AS rows (account, id, major, minor, url, description, is_active, names, secrets, failures, ill_since, created_at,
                       modified_at, deleted_at)",
        &params,
    )
    .await?;
    conn.execute(
        "UPDATE postrider.accounts a SET webhooks = a.webhooks + counted.webhooks
         FROM (SELECT account, count(*) AS webhooks FROM unnest($1::uuid[], $2::bigint[]) AS rows (account, deleted_at)
               WHERE deleted_at IS NULL GROUP BY account) AS counted
         WHERE a.id = counted.account",
        &[&owners, &deleted],
    )
    .await?;
    Ok(())
}

async fn answers(conn: &Conn, inner: &Inner, page: &[Placed]) -> Outcome<()> {
    let rows: Vec<(Position, (&AnswerKey, Timestamp, &Kept))> = rows_of(page, |record| match record {
        Record::Answer { at, ends_at, kept } => Some((at, *ends_at, kept)),
        _ => None,
    });
    if rows.is_empty() {
        return Ok(());
    }
    let params: [&dyn Param; 6] = [
        &each::<_, _, Array<Uuid>>(&rows, |row| owner_column(row.0.owner)),
        &each::<_, _, Array<&str>>(&rows, |row| row.0.key.as_str()),
        &each::<_, _, Array<i64>>(&rows, |row| row.1.as_millis()),
        &each::<_, _, Array<Blob<'_>>>(&rows, |row| Blob(&row.2.fingerprint)),
        &each::<_, _, Array<bool>>(&rows, |row| row.2.answer.is_secret),
        &each::<_, _, Array<Vec<u8>>>(&rows, |row| kept::bytes_of(inner, row.0, &row.2.answer)),
    ];
    conn.execute(
        "INSERT INTO postrider.kept_answers (owner, key, ends_at, fingerprint, is_secret, answer)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bytea[], $5::boolean[], $6::bytea[])",
        &params,
    )
    .await?;
    Ok(())
}
