//! Records read out, a page at a time: history in the order of all positions, everything else by its owner.

use postrider_model::id::{AccountId, DeliveryId, EventId, JobId, KeyId, WebhookId};
use postrider_model::key::TokenHash;
use postrider_model::queue::Position;
use postrider_model::seal::SealKey;
use postrider_model::time::Timestamp;
use postrider_ports::archive::{ArchivePage, DeliveryKept, JobKept, Kind, PAGE_BYTES_MAX, Placed, Record};
use postrider_ports::once::AnswerKey;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::codec::Reader;
use crate::fault::{Outcome, corrupt};
use crate::history::{self, Owner};
use crate::tx::as_integer;
use crate::{accounts, deliveries, events, jobs, kept, keys, webhooks};

/// The table of a kind, and what its rows are read by: whose they are, and their place. An owner that is a blob of a constant, and not a
/// column, is that of all.
fn table_of(kind: Kind) -> (String, &'static str, &'static str, &'static str) {
    match kind {
        Kind::Accounts => (
            format!("{}, version, deleted_at, is_erased", accounts::COLUMNS),
            "accounts",
            OF_ALL,
            "position",
        ),
        Kind::Keys => (format!("{}, hash", keys::COLUMNS), "keys", "owner", "position"),
        Kind::Webhooks => (format!("{}, deleted_at", webhooks::COLUMNS), "webhooks", "account", "position"),
        Kind::Fanouts => (
            "event, chunk, pairs".to_owned(),
            "fanouts",
            "CAST(printf('%019d', event) AS BLOB)",
            "chunk",
        ),
        Kind::Stopping => (
            "webhook, (SELECT w.account FROM webhooks w WHERE w.id = stopping.webhook)".to_owned(),
            "stopping",
            "webhook",
            "0",
        ),
        Kind::Jobs => (
            format!("{}, since, until, what, counted, through", jobs::COLUMNS),
            "jobs",
            "account",
            "position",
        ),
        Kind::Answers | Kind::History => (
            "owner, key, ends_at, fingerprint, is_secret, answer".to_owned(),
            "kept_answers",
            OF_ALL,
            "number",
        ),
    }
}

const OF_ALL: &str = "x''";

/// Each page is found by an index, so that a page costs the same wherever it is.
fn sql_of(kind: Kind) -> String {
    let (columns, table, owner, place) = table_of(kind);
    let select = format!("SELECT {columns}, {owner} AS owner_key, {place} AS place_key FROM {table}");
    match kind {
        // An index for those that are there, and one for those that are not.
        Kind::Webhooks => {
            let part = |which: &str| format!("{select} WHERE deleted_at IS {which} AND account >= ?1 AND (account, position) > (?1, ?2)");
            format!(
                "{} UNION ALL {} ORDER BY owner_key, place_key LIMIT ?3",
                part("NULL"),
                part("NOT NULL")
            )
        }
        _ if owner == OF_ALL => format!("{select} WHERE ?1 = {OF_ALL} AND {place} > ?2 ORDER BY {place} LIMIT ?3"),
        Kind::Keys | Kind::Jobs => format!("{select} WHERE ({owner}, {place}) > (?1, ?2) ORDER BY {owner}, {place} LIMIT ?3"),
        // Of these there are few.
        _ => format!("SELECT * FROM ({select}) WHERE (owner_key, place_key) > (?1, ?2) ORDER BY owner_key, place_key LIMIT ?3"),
    }
}

/// One page.
pub(crate) fn page(conn: &Connection, kind: Kind, from: &[u8], records_max: usize, seal: &SealKey) -> Outcome<ArchivePage> {
    if kind == Kind::History {
        return history_page(conn, from, records_max);
    }
    let (after_place, after_owner) = match from.split_first_chunk::<8>() {
        Some((place, owner)) => (i64::from_be_bytes(*place), owner),
        None => (-1, &[][..]),
    };
    let mut statement = conn.prepare_cached(&sql_of(kind))?;
    let width = statement.column_count();
    let limit = i64::try_from(records_max).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![after_owner, after_place, limit])?;
    let mut page = ArchivePage::default();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let place: i64 = row.get(width - 1)?;
        let last = [&place.to_be_bytes()[..], row.get_ref(width - 2)?.as_blob()?].concat();
        let record = record(conn, kind, row, seal).map_err(|fault| fault.of(|| name_of(kind, row)))?;
        bytes += record.bytes();
        page.records.push(Placed {
            position: Position::counted(place.unsigned_abs()),
            record,
        });
        if page.records.len() >= records_max || bytes >= PAGE_BYTES_MAX {
            page.next = Some(last);
            break;
        }
    }
    Ok(page)
}

/// What a row is called that cannot be read.
fn name_of(kind: Kind, row: &Row<'_>) -> String {
    let bits = || row.get(0).map_or(0, u128::from_be_bytes);
    match kind {
        Kind::Accounts => format!("the account {}", AccountId::from_u128(bits())),
        Kind::Keys => format!("the key {}", KeyId::from_u128(bits())),
        Kind::Webhooks => format!("the webhook {}", WebhookId::from_u128(bits())),
        Kind::Jobs => format!("the job {}", JobId::from_u128(bits())),
        Kind::Stopping => format!("what is to be ended of the webhook {}", WebhookId::from_u128(bits())),
        Kind::Fanouts | Kind::History => "a fan-out".to_owned(),
        Kind::Answers => format!("the answer kept under {:?}", row.get::<_, String>(1).unwrap_or_default()),
    }
}

fn maybe_time(row: &Row<'_>, column: usize) -> Outcome<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

fn record(conn: &Connection, kind: Kind, row: &Row<'_>, seal: &SealKey) -> Outcome<Record> {
    Ok(match kind {
        Kind::Accounts => Record::Account {
            account: accounts::account_of(row)?,
            version: row.get::<_, i64>(6)?.unsigned_abs(),
            deleted_at: maybe_time(row, 7)?,
            is_erased: row.get(8)?,
        },
        Kind::Keys => Record::Key {
            key: keys::key_of(row)?,
            hash: TokenHash::from_bytes(row.get(8)?),
        },
        Kind::Webhooks => Record::Webhook {
            webhook: Box::new(webhooks::webhook_of(row, seal)?),
            deleted_at: maybe_time(row, 11)?,
        },
        Kind::Fanouts => fanout(conn, row)?,
        Kind::Stopping => Record::Stopping {
            webhook: WebhookId::from_u128(u128::from_be_bytes(row.get(0)?)),
            account: AccountId::from_u128(u128::from_be_bytes(row.get(1)?)),
        },
        Kind::Jobs => {
            let running = jobs::running_of(row)?;
            Record::Job(Box::new(JobKept {
                through: if running.job.status == postrider_model::job::JobStatus::Running {
                    event_before(conn, running.job.account, running.through)?
                } else {
                    None
                },
                counted: running.counted,
                job: running.job,
                recovery: running.recovery,
            }))
        }
        Kind::Answers | Kind::History => {
            let at = AnswerKey {
                owner: keys::owner_of(row.get_ref(0)?.as_blob()?),
                key: row.get(1)?,
            };
            let (fingerprint, is_secret) = (row.get(3)?, row.get(4)?);
            Record::Answer {
                kept: kept::kept_of(&at, (fingerprint, is_secret), row.get_ref(5)?.as_blob()?, seal)?,
                at,
                ends_at: Timestamp::from_millis(row.get(2)?),
            }
        }
    })
}

fn fanout(conn: &Connection, row: &Row<'_>) -> Outcome<Record> {
    let event: i64 = row.get(0)?;
    let event = events::by_position(conn, event)?.ok_or_else(|| corrupt("a fan-out is of no event"))?;
    let mut pairs = Vec::new();
    let mut from = Reader(row.get_ref(2)?.as_blob()?);
    while !from.0.is_empty() {
        let delivery = DeliveryId::from_u128(u128::from_be_bytes(from.array()?));
        pairs.push((delivery, WebhookId::from_u128(u128::from_be_bytes(from.array()?))));
    }
    Ok(Record::Fanout {
        account: event.account,
        created_at: event.created_at,
        event: event.id,
        chunk: row.get(1)?,
        pairs,
    })
}

/// The last event of an account up to a position.
fn event_before(conn: &Connection, account: AccountId, position: u64) -> Outcome<Option<EventId>> {
    let id: Option<Vec<u8>> = conn
        .prepare_cached("SELECT id FROM events WHERE position <= ? AND account = ? ORDER BY position DESC LIMIT 1")?
        .query_row(params![as_integer(position), account.as_u128().to_be_bytes()], |row| row.get(0))
        .optional()?;
    id.map(|id| events::id_of(&id)).transpose()
}

/// What stands at a position: an event where it is no delivery.
type Entry = (u64, Option<DeliveryId>);

fn history_page(conn: &Connection, from: &[u8], records_max: usize) -> Outcome<ArchivePage> {
    let after = <[u8; 8]>::try_from(from).map_or(0, u64::from_be_bytes);
    let records_max = records_max.max(1);
    let mut entries: Vec<Entry> = Vec::new();
    let mut read_to = after;
    loop {
        // A commit may end the segment before it is read to its end: nobody writes.
        let segment = history::first_segment_through(conn, read_to.saturating_add(1))?;
        let found = match segment {
            Some(segment) => of_segment(conn, as_integer(segment))?,
            None => of_tail(conn)?,
        };
        entries.extend(found.into_iter().filter(|(position, _)| *position > after));
        match segment {
            Some(segment) if entries.len() < records_max => read_to = segment,
            _ => break,
        }
    }
    entries.sort_unstable_by_key(|(position, _)| *position);
    entries.truncate(records_max);
    let mut page = ArchivePage::default();
    let mut bytes = 0;
    for (position, delivery) in entries {
        let record = match delivery {
            Some(delivery) => delivery_at(conn, delivery).map_err(|fault| fault.of(|| format!("the delivery {delivery}")))?,
            None => event_at(conn, position).map_err(|fault| fault.of(|| format!("the event at the position {position}")))?,
        };
        bytes += record.as_ref().map_or(0, Record::bytes);
        page.records.extend(record.map(|record| Placed {
            position: Position::counted(position),
            record,
        }));
        page.next = Some(position.to_be_bytes().to_vec());
        if bytes >= PAGE_BYTES_MAX {
            break;
        }
    }
    Ok(page)
}

fn of_segment(conn: &Connection, segment: i64) -> Outcome<Vec<Entry>> {
    let mut found = Vec::new();
    let (accounts, events) = (Owner::Account([0; 16]).key(), Owner::Events([0; 16]).key());
    let mut statement = conn.prepare_cached("SELECT owner, entries FROM history WHERE segment = ?")?;
    let mut rows = statement.query([segment])?;
    while let Some(row) = rows.next()? {
        let owner = row.get_ref(0)?.as_blob()?;
        let kept = row.get_ref(1)?.as_blob()?;
        if owner.first() == accounts.first() {
            found.extend(history::entries(kept)?.iter().map(|entry| (entry.position, Some(entry.delivery))));
        } else if owner.first() == events.first() {
            found.extend(history::positions(kept)?.into_iter().map(|position| (position, None)));
        }
    }
    Ok(found)
}

fn of_tail(conn: &Connection) -> Outcome<Vec<Entry>> {
    let mut found = Vec::new();
    let mut statement = conn.prepare_cached("SELECT deliveries, events FROM arrivals")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let mut from = Reader(row.get_ref(0)?.as_blob()?);
        while !from.0.is_empty() {
            // Account and webhook.
            from.take(32)?;
            let entry = history::read_entry(&mut from)?;
            found.push((entry.position, Some(entry.delivery)));
        }
        let mut from = Reader(row.get_ref(1)?.as_blob()?);
        while !from.0.is_empty() {
            from.take(16)?;
            found.push((u64::from_be_bytes(from.array()?), None));
        }
    }
    Ok(found)
}

/// `None` where it was taken away, or carries nothing any more.
fn delivery_at(conn: &Connection, id: DeliveryId) -> Outcome<Option<Record>> {
    let Some(stored) = deliveries::find(conn, id)? else {
        return Ok(None);
    };
    let Some(shown) = deliveries::record(conn, &stored)? else {
        return Ok(None);
    };
    let is_later = match stored.event {
        Some(event) => conn
            .prepare_cached("SELECT 1 FROM later_deliveries WHERE event = ? AND position = ?")?
            .exists([event, as_integer(stored.position)])?,
        None => false,
    };
    Ok(Some(Record::Delivery(Box::new(DeliveryKept {
        test: shown.delivery.event.is_none().then_some(shown.payload),
        delivery: shown.delivery,
        is_urgent: stored.state.is_urgent && !stored.state.status.is_final(),
        is_later,
        attempts: shown.attempts,
    }))))
}

fn event_at(conn: &Connection, position: u64) -> Outcome<Option<Record>> {
    let Some(event) = events::by_position(conn, as_integer(position))? else {
        return Ok(None);
    };
    let ids: Vec<u8> = conn
        .prepare_cached("SELECT deliveries FROM events WHERE position = ?")?
        .query_row([as_integer(position)], |row| row.get(0))?;
    let ids = ids.as_chunks::<16>().0.iter();
    Ok(Some(Record::Event {
        event: std::sync::Arc::new(event),
        deliveries: ids.map(|id| DeliveryId::from_u128(u128::from_be_bytes(*id))).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::{Kind, sql_of};

    #[test]
    fn a_page_of_what_there_is_much_of_is_found_by_an_index() {
        let mut conn = Connection::open_in_memory().unwrap();
        crate::migrate::migrate(&mut conn).unwrap();
        for kind in [Kind::Accounts, Kind::Keys, Kind::Webhooks, Kind::Jobs, Kind::Answers] {
            let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {}", sql_of(kind))).unwrap();
            let steps: Vec<String> = statement
                .query_map(rusqlite::params![[0u8; 16], 7, 100], |row| row.get(3))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{kind:?}: {steps:?}");
            let sorts = |step: &String| step.contains("TEMP B-TREE") && !step.contains("LAST TERM");
            assert!(!steps.iter().any(sorts), "{kind:?}: {steps:?}");
        }
    }
}
