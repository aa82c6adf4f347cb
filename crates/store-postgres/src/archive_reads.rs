//! Records read out, a page at a time: each kind by its owner, and of one owner in the order of their places.

use std::sync::Arc;

use postrider_model::event::Event;
use postrider_model::id::{AccountId, DeliveryId, EventId, JobId, KeyId, WebhookId};
use postrider_model::job::JobStatus;
use postrider_model::key::{KeyOwner, TokenHash};
use postrider_model::queue::Position;
use postrider_model::time::Timestamp;
use postrider_ports::archive::{ArchivePage, DeliveryKept, JobKept, Kind, PAGE_BYTES_MAX, Placed, Record};
use postrider_ports::once::AnswerKey;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::codec::Reader;
use crate::conn::Conn;
use crate::deliveries::{self, COLUMNS, ENDED, PENDING, Stored};
use crate::event_reads::{body_of, head_of, id_of};
use crate::fault::{Outcome, corrupt};
use crate::position::Positions;
use crate::retention::{DELIVERY_KEPT, EVENT_KEPT};
use crate::rows;
use crate::store::Inner;
use crate::{accounts, event_reads, jobs, kept, keys, webhooks};

/// Bytes of bodies that a page begins another record behind.
const BYTES_MAX: i64 = PAGE_BYTES_MAX as i64;
/// Deliveries whose events are read at one time, with their bodies.
const CARRIED_MAX: usize = 500;

/// A place in a kind: an owner, and two numbers or ids behind it.
type Cursor = (Uuid, i64, i32);

fn cursor_of(from: &[u8]) -> Cursor {
    let parts = from.split_first_chunk::<16>().and_then(|(owner, rest)| {
        let (major, rest) = rest.split_first_chunk::<8>()?;
        let minor = rest.first_chunk::<4>()?;
        Some((Uuid::from_bytes(*owner), i64::from_be_bytes(*major), i32::from_be_bytes(*minor)))
    });
    parts.unwrap_or((Uuid::nil(), -1, 0))
}

fn bytes_of((owner, major, minor): Cursor) -> Vec<u8> {
    [owner.as_bytes(), &major.to_be_bytes()[..], &minor.to_be_bytes()[..]].concat()
}

/// One page.
pub(crate) async fn page(conn: &Conn, inner: &Inner, (kind, from): (Kind, &[u8]), records_max: usize) -> Outcome<ArchivePage> {
    let limit = i64::try_from(records_max).unwrap_or(i64::MAX);
    match kind {
        Kind::Accounts | Kind::Keys | Kind::Webhooks | Kind::Jobs => placed(conn, inner, (kind, from), limit).await,
        Kind::History => history(conn, cursor_of(from), records_max).await,
        Kind::Fanouts | Kind::Stopping => by_ids(conn, (kind, from), limit).await,
        Kind::Answers => answers(conn, inner, from, limit).await,
    }
}

/// Kinds whose records have places.
async fn placed(conn: &Conn, inner: &Inner, (kind, from): (Kind, &[u8]), limit: i64) -> Outcome<ArchivePage> {
    let (columns, table, owner) = match kind {
        Kind::Keys => (format!("{}, k.hash", keys::COLUMNS), "keys k", "k.owner"),
        Kind::Webhooks => (format!("{}, deleted_at", webhooks::COLUMNS), "webhooks", "account"),
        Kind::Jobs => (
            format!("{}, since, until, what, counted, through_major, through_minor", jobs::COLUMNS),
            "jobs",
            "account",
        ),
        _ => (
            format!("{}, version, deleted_at, is_erased", accounts::COLUMNS),
            "accounts",
            "'00000000-0000-0000-0000-000000000000'::uuid",
        ),
    };
    let sql = format!(
        "SELECT {columns}, {owner}, major, minor FROM postrider.{table}
         WHERE ({owner}, major, minor) > ($1, $2, $3) ORDER BY {owner}, major, minor LIMIT $4"
    );
    let (after, major, minor) = cursor_of(from);
    let mut page = ArchivePage::default();
    let mut last = None;
    for row in conn.query(&sql, &[&after, &major, &minor, &limit]).await? {
        let at = row.len().saturating_sub(3);
        let place: Cursor = (row.try_get(at)?, row.try_get(at + 1)?, row.try_get(at + 2)?);
        last = Some(place);
        page.records.push(Placed {
            position: Positions::stored(place.1, place.2),
            record: record(conn, inner, kind, &row)
                .await
                .map_err(|fault| fault.of(|| name_of(kind, &row)))?,
        });
    }
    page.next = full(&page, limit, last.map(bytes_of));
    Ok(page)
}

/// What a row is called that cannot be read.
fn name_of(kind: Kind, row: &Row) -> String {
    let id = rows::id(row, 0).unwrap_or_default();
    match kind {
        Kind::Keys => format!("the key {}", KeyId::from_u128(id)),
        Kind::Webhooks => format!("the webhook {}", WebhookId::from_u128(id)),
        Kind::Jobs => format!("the job {}", JobId::from_u128(id)),
        _ => format!("the account {}", AccountId::from_u128(id)),
    }
}

/// There is more behind a page that is full.
fn full(page: &ArchivePage, limit: i64, next: Option<Vec<u8>>) -> Option<Vec<u8>> {
    next.filter(|_| page.records.len() >= usize::try_from(limit).unwrap_or(usize::MAX))
}

async fn record(conn: &Conn, inner: &Inner, kind: Kind, row: &Row) -> Outcome<Record> {
    Ok(match kind {
        Kind::Keys => Record::Key {
            key: keys::key_of(row)?,
            hash: TokenHash::from_bytes(row.try_get::<_, &[u8]>(8)?.try_into().map_err(corrupt)?),
        },
        Kind::Webhooks => Record::Webhook {
            webhook: Box::new(webhooks::webhook_of(row, &inner.seal)?),
            deleted_at: rows::maybe_time(row, 11)?,
        },
        Kind::Jobs => {
            let running = jobs::running_of(row)?;
            let is_running = running.job.status == JobStatus::Running;
            Record::Job(Box::new(JobKept {
                through: match is_running {
                    true => event_before(conn, running.job.account, running.through).await?,
                    false => None,
                },
                counted: running.counted,
                job: running.job,
                recovery: running.recovery,
            }))
        }
        _ => Record::Account {
            account: accounts::account_of(row)?,
            version: row.try_get::<_, i64>(6)?.unsigned_abs(),
            deleted_at: rows::maybe_time(row, 7)?,
            is_erased: row.try_get(8)?,
        },
    })
}

/// The last event of an account up to a place.
async fn event_before(conn: &Conn, account: AccountId, place: Position) -> Outcome<Option<EventId>> {
    let (major, minor) = crate::position::columns(place);
    let row = conn
        .query_opt(
            "SELECT id, own_id FROM postrider.events WHERE account = $1 AND (major, minor) <= ($2, $3)
             ORDER BY major DESC, minor DESC LIMIT 1",
            &[&rows::account_column(account), &major, &minor],
        )
        .await?;
    row.map(|row| id_of(row.try_get(0)?, row.try_get(1)?)).transpose()
}

/// What is told apart by ids alone.
async fn by_ids(conn: &Conn, (kind, from): (Kind, &[u8]), limit: i64) -> Outcome<ArchivePage> {
    let id = |at: usize| {
        let bytes = from.get(at * 16..).and_then(|rest| rest.first_chunk::<16>());
        bytes.map_or(Uuid::nil(), |bytes| Uuid::from_bytes(*bytes))
    };
    let chunk = from.get(32..).and_then(|rest| rest.first_chunk::<4>());
    let chunk = chunk.map_or(-1, |bytes| i32::from_be_bytes(*bytes));
    let sql = match kind {
        Kind::Fanouts => {
            "SELECT f.account, f.event, f.chunk, f.pairs, f.created_at,
                    (SELECT e.own_id FROM postrider.events e WHERE e.account = f.account AND e.id = f.event)
             FROM postrider.fanouts f WHERE (f.account, f.event, f.chunk) > ($1, $2, $3) ORDER BY f.account, f.event, f.chunk LIMIT $4"
        }
        _ => {
            "SELECT account, webhook, 0 FROM postrider.stopping WHERE (account, webhook, 0) > ($1, $2, $3)
             ORDER BY account, webhook LIMIT $4"
        }
    };
    // Nothing is before a chunk that is none; a webhook has one row alone.
    let chunk = if kind == Kind::Fanouts { chunk } else { 0 };
    let mut page = ArchivePage::default();
    let mut last = None;
    for row in conn.query(sql, &[&id(0), &id(1), &chunk, &limit]).await? {
        let (account, second, chunk): (Uuid, Uuid, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        last = Some([account.as_bytes(), &second.as_bytes()[..], &chunk.to_be_bytes()[..]].concat());
        let account = AccountId::from_u128(account.as_u128());
        page.records.push(Placed {
            position: Position::default(),
            record: if kind == Kind::Fanouts {
                Record::Fanout {
                    account,
                    event: id_of(second, row.try_get(5)?)?,
                    chunk: chunk.unsigned_abs(),
                    created_at: rows::time(&row, 4)?,
                    pairs: pairs_of(row.try_get(3)?)?,
                }
            } else {
                Record::Stopping {
                    account,
                    webhook: WebhookId::from_u128(second.as_u128()),
                }
            },
        });
    }
    page.next = full(&page, limit, last);
    Ok(page)
}

fn pairs_of(bytes: &[u8]) -> Outcome<Vec<(DeliveryId, WebhookId)>> {
    let mut from = Reader(bytes);
    let mut pairs = Vec::with_capacity(bytes.len() / 32);
    while !from.0.is_empty() {
        let delivery = DeliveryId::from_u128(u128::from_be_bytes(from.array()?));
        pairs.push((delivery, WebhookId::from_u128(u128::from_be_bytes(from.array()?))));
    }
    Ok(pairs)
}

async fn answers(conn: &Conn, inner: &Inner, from: &[u8], limit: i64) -> Outcome<ArchivePage> {
    let (after, key) = match from.split_first_chunk::<16>() {
        Some((owner, key)) => (Uuid::from_bytes(*owner), std::str::from_utf8(key).map_err(corrupt)?),
        None => (Uuid::nil(), ""),
    };
    let found = conn
        .query(
            "SELECT fingerprint, is_secret, answer, owner, key, ends_at, there FROM (
                 SELECT page.*, sum(octet_length(answer)) OVER (ORDER BY owner, key) - octet_length(answer) AS before, count(*) OVER () AS there
                 FROM (SELECT * FROM postrider.kept_answers WHERE (owner, key) > ($1, $2) ORDER BY owner, key LIMIT $3) AS page
             ) AS sized WHERE before < $4 ORDER BY owner, key",
            &[&after, &key, &limit, &BYTES_MAX],
        )
        .await?;
    let mut page = ArchivePage::default();
    let mut last = None;
    let mut there = 0;
    for row in found {
        there = usize::try_from(row.try_get::<_, i64>(6)?).map_err(corrupt)?;
        let owner: Uuid = row.try_get(3)?;
        let at = AnswerKey {
            owner: match owner.is_nil() {
                true => KeyOwner::Operator,
                false => KeyOwner::Account(AccountId::from_u128(owner.as_u128())),
            },
            key: row.try_get(4)?,
        };
        last = Some([owner.as_bytes(), at.key.as_bytes()].concat());
        page.records.push(Placed {
            position: Position::default(),
            record: Record::Answer {
                kept: kept::kept_of(&row, &at, &inner.seal).map_err(|fault| fault.of(|| format!("the answer kept under {:?}", at.key)))?,
                ends_at: Timestamp::from_millis(row.try_get(5)?),
                at,
            },
        });
    }
    page.next = match page.records.len() < there {
        true => last,
        false => full(&page, limit, last),
    };
    Ok(page)
}

/// What stands at a place of the history.
enum Entry {
    Event(Record),
    Delivery(Box<Stored>),
}

async fn history(conn: &Conn, from: Cursor, records_max: usize) -> Outcome<ArchivePage> {
    let limit = i64::try_from(records_max.max(1)).unwrap_or(i64::MAX);
    let (mut entries, end) = events(conn, from, limit).await?;
    for (columns, table, kept) in [(PENDING, "queue", "true"), (ENDED, "deliveries", DELIVERY_KEPT)] {
        let sql = format!(
            "SELECT {columns}, account FROM postrider.{table} WHERE (account, major, minor) > ($1, $2, $3) AND {kept}
             ORDER BY account, major, minor LIMIT $4"
        );
        for row in conn.query(&sql, &[&from.0, &from.1, &from.2, &limit]).await? {
            let account: Uuid = row.try_get(COLUMNS)?;
            let stored = deliveries::one_of(AccountId::from_u128(account.as_u128()), &row)?;
            let (major, minor) = crate::position::columns(stored.position);
            entries.push(((account, major, minor), Entry::Delivery(Box::new(stored))));
        }
    }
    entries.sort_by_key(|(place, _)| *place);
    entries.truncate(records_max.max(1));
    entries.retain(|(place, _)| end.is_none_or(|end| *place <= end));
    let mut page = HistoryPage {
        next: entries.last().map(|(place, _)| *place),
        ..HistoryPage::default()
    };
    let mut group: Vec<Stored> = Vec::new();
    for (place, entry) in entries {
        let account = AccountId::from_u128(place.0.as_u128());
        if group.first().is_some_and(|stored| stored.account != account) && !page.take_group(conn, &mut group).await? {
            break;
        }
        match entry {
            Entry::Event(record) => page.records.push(Placed {
                position: Positions::stored(place.1, place.2),
                record,
            }),
            Entry::Delivery(stored) => group.push(*stored),
        }
    }
    page.take_group(conn, &mut group).await?;
    Ok(page.in_order())
}

/// What is read of a page so far: deliveries stand by account, behind their events.
#[derive(Default)]
struct HistoryPage {
    records: Vec<Placed>,
    /// The last place of it.
    next: Option<Cursor>,
    /// Of its deliveries.
    bytes: usize,
}

impl HistoryPage {
    /// Reads deliveries of one account, with their attempts. False where the page is full before the last of them: then it ends there.
    async fn take_group(&mut self, conn: &Conn, group: &mut Vec<Stored>) -> Outcome<bool> {
        let rows = std::mem::take(group);
        for some in rows.chunks(CARRIED_MAX) {
            if self.bytes >= PAGE_BYTES_MAX {
                return Ok(false);
            }
            self.take_some(conn, some).await?;
            let last = some.last().map(|stored| (stored.account, stored.position));
            if let Some((account, position)) = last.filter(|_| self.bytes >= PAGE_BYTES_MAX) {
                let (major, minor) = crate::position::columns(position);
                self.next = Some((rows::account_column(account), major, minor));
            }
        }
        Ok(self.bytes < PAGE_BYTES_MAX)
    }

    async fn take_some(&mut self, conn: &Conn, rows: &[Stored]) -> Outcome<()> {
        let Some(account) = rows.first().map(|stored| stored.account) else {
            return Ok(());
        };
        let mut carried = deliveries::Carried::read(conn, account, rows).await?;
        for stored in rows {
            let shown = carried
                .record(stored)
                .map_err(|fault| fault.of(|| format!("the delivery {}", stored.id)))?;
            let Some(shown) = shown else {
                continue;
            };
            let record = Record::Delivery(Box::new(DeliveryKept {
                test: shown.delivery.event.is_none().then_some(shown.payload),
                delivery: shown.delivery,
                is_urgent: stored.is_urgent,
                is_later: stored.is_later,
                attempts: shown.attempts,
            }));
            self.bytes += record.bytes();
            self.records.push(Placed {
                position: stored.position,
                record,
            });
        }
        Ok(())
    }

    /// Back in the order of places, up to the last of them. It keeps what is of one account together.
    fn in_order(self) -> ArchivePage {
        let Self { mut records, next, .. } = self;
        let place_of = |placed: &Placed| {
            let (major, minor) = crate::position::columns(placed.position);
            (rows::account_column(account_of(&placed.record)), major, minor)
        };
        records.retain(|placed| next.is_some_and(|next| place_of(placed) <= next));
        records.sort_by_key(place_of);
        ArchivePage {
            records,
            next: next.map(bytes_of),
        }
    }
}

fn account_of(record: &Record) -> AccountId {
    match record {
        Record::Event { event, .. } => event.account,
        Record::Delivery(kept) => kept.delivery.account,
        _ => AccountId::from_u128(0),
    }
}

/// Events behind a place; and the last of them, where there would be more bytes behind it than a page holds.
async fn events(conn: &Conn, from: Cursor, limit: i64) -> Outcome<(Vec<(Cursor, Entry)>, Option<Cursor>)> {
    let sql = format!(
        "SELECT * FROM (
             SELECT page.*, count(*) OVER () AS there,
                    sum(octet_length(body)) OVER (ORDER BY account, major, minor) - octet_length(body) AS before
             FROM (SELECT {head}, body, deliveries, account FROM postrider.events WHERE (account, major, minor) > ($1, $2, $3) AND {EVENT_KEPT}
                   ORDER BY account, major, minor LIMIT $4) AS page
         ) AS sized WHERE before < $5 ORDER BY account, major, minor",
        head = event_reads::HEAD
    );
    let mut found = Vec::new();
    let mut there = 0;
    for row in conn.query(&sql, &[&from.0, &from.1, &from.2, &limit, &BYTES_MAX]).await? {
        let account: Uuid = row.try_get(11)?;
        there = usize::try_from(row.try_get::<_, i64>(12)?).map_err(corrupt)?;
        let head = head_of(AccountId::from_u128(account.as_u128()), &row)?;
        let (major, minor) = crate::position::columns(head.position);
        let ids = row.try_get::<_, &[u8]>(10)?.as_chunks::<16>().0.iter();
        let record = Record::Event {
            event: Arc::new(Event {
                body: body_of(&row, 9)?,
                ..head.event
            }),
            deliveries: ids.map(|id| DeliveryId::from_u128(u128::from_be_bytes(*id))).collect(),
        };
        found.push(((account, major, minor), Entry::Event(record)));
    }
    let end = found.last().filter(|_| found.len() < there).map(|(place, _)| *place);
    Ok((found, end))
}
