//! A page of history taken in: a statement for each table, with arrays.

use postrider_model::delivery::Status;
use postrider_model::event::Event;
use postrider_model::id::{AccountId, DeliveryId, EventId};
use postrider_model::queue::Position;
use postrider_ports::archive::DeliveryKept;
use rustc_hash::FxHashMap;
use uuid::Uuid;

use crate::codec::encode_attempt;
use crate::conn::Conn;
use crate::deliveries::{FAILED, SUCCEEDED, slot_column};
use crate::fault::{Outcome, corrupt};
use crate::param::{Array, Blob, Nullable, Param};
use crate::position::columns;
use crate::rows::{account_column, webhook_column};

/// What a page brings.
#[derive(Default)]
pub(crate) struct History<'a> {
    events: Vec<EventRow<'a>>,
    pending: Vec<DeliveryRow<'a>>,
    ended: Vec<DeliveryRow<'a>>,
}

struct EventRow<'a> {
    event: &'a Event,
    key: Uuid,
    place: (i64, i32),
    deliveries: Vec<u8>,
}

struct DeliveryRow<'a> {
    kept: &'a DeliveryKept,
    place: (i64, i32),
    /// The key of its event, once it is known.
    event: Option<Uuid>,
    /// Which of its attempts was acknowledged.
    success: Option<usize>,
}

impl DeliveryRow<'_> {
    const fn id(&self) -> Uuid {
        Uuid::from_u128(self.kept.delivery.id.as_u128())
    }

    const fn account(&self) -> Uuid {
        account_column(self.kept.delivery.account)
    }
}

impl<'a> History<'a> {
    /// Adds an event under its key.
    pub(crate) fn push_event(&mut self, (event, key): (&'a Event, Uuid), position: Position, deliveries: &[DeliveryId]) {
        self.events.push(EventRow {
            event,
            key,
            place: columns(position),
            deliveries: deliveries.iter().flat_map(|id| id.as_u128().to_be_bytes()).collect(),
        });
    }

    /// Adds a delivery.
    pub(crate) fn push_delivery(&mut self, kept: &'a DeliveryKept, position: Position) {
        let has_ended = kept.delivery.status.is_final();
        let succeeded = matches!(kept.delivery.status, Status::Succeeded { .. });
        let row = DeliveryRow {
            kept,
            place: columns(position),
            event: None,
            success: kept.attempts.iter().rposition(|attempt| succeeded && attempt.error.is_none()),
        };
        if has_ended {
            self.ended.push(row);
        } else {
            self.pending.push(row);
        }
    }

    /// Writes all of it.
    pub(crate) async fn write(mut self, conn: &Conn) -> Outcome<()> {
        self.write_events(conn).await?;
        self.find_events(conn).await?;
        write_pending(conn, &self.pending).await?;
        write_ended(conn, &self.ended).await?;
        let all = || self.pending.iter().chain(&self.ended);
        write_attempts(conn, all()).await?;
        write_tests(conn, all()).await
    }

    async fn write_events(&self, conn: &Conn) -> Outcome<()> {
        let rows = &self.events;
        if rows.is_empty() {
            return Ok(());
        }
        let accounts: Array<Uuid> = rows.iter().map(|row| account_column(row.event.account)).collect();
        let keys: Array<Uuid> = rows.iter().map(|row| row.key).collect();
        let own_ids: Nullable<&str> = rows.iter().map(|row| own_id(&row.event.id)).collect();
        let params: [&dyn Param; 11] = [
            &accounts,
            &keys,
            &own_ids,
            &rows.iter().map(|row| row.place.0).collect::<Array<i64>>(),
            &rows.iter().map(|row| row.place.1).collect::<Array<i32>>(),
            &rows.iter().map(|row| row.event.name.as_str()).collect::<Array<&str>>(),
            &rows.iter().map(|row| row.event.resource.id.as_str()).collect::<Array<&str>>(),
            &rows
                .iter()
                .map(|row| row.event.resource.resource_type.as_str())
                .collect::<Array<&str>>(),
            &rows.iter().map(|row| row.event.created_at.as_millis()).collect::<Array<i64>>(),
            &rows.iter().map(|row| Blob(&row.deliveries)).collect::<Array<Blob<'_>>>(),
            &rows.iter().map(|row| Blob(&row.event.body)).collect::<Array<Blob<'_>>>(),
        ];
        conn.execute(
            "INSERT INTO postrider.events (account, id, own_id, major, minor, name, resource_id, resource_type, created_at, deliveries, body)
             SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::integer[], $6::text[], $7::text[], $8::text[],
                                  $9::bigint[], $10::bytea[], $11::bytea[])",
            &params,
        )
        .await?;
        conn.execute(
            "INSERT INTO postrider.event_ids (account, event, own_id)
             SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS all_of (account, event, own_id) WHERE own_id IS NOT NULL",
            &[&accounts, &keys, &own_ids],
        )
        .await?;
        Ok(())
    }

    /// Looks up the keys of the events that deliveries are of.
    async fn find_events(&mut self, conn: &Conn) -> Outcome<()> {
        let all = || self.pending.iter().chain(&self.ended).map(|row| &row.kept.delivery);
        let named = all().filter_map(|delivery| Some((delivery.account, own_id(delivery.event.as_ref()?)?)));
        let (accounts, texts): (Vec<Uuid>, Vec<&str>) = named.map(|(account, text)| (account_column(account), text)).unzip();
        let mut keys: FxHashMap<(AccountId, String), Uuid> = FxHashMap::default();
        if !texts.is_empty() {
            let found = conn
                .query(
                    "SELECT i.account, i.own_id, i.event FROM postrider.event_ids i
                     JOIN (SELECT DISTINCT * FROM unnest($1::uuid[], $2::text[]) AS a (account, own_id)) AS asked USING (account, own_id)",
                    &[&Array(accounts), &Array(texts)],
                )
                .await?;
            for row in found {
                let account: Uuid = row.try_get(0)?;
                keys.insert((AccountId::from_u128(account.as_u128()), row.try_get(1)?), row.try_get(2)?);
            }
        }
        for row in self.pending.iter_mut().chain(&mut self.ended) {
            let delivery = &row.kept.delivery;
            row.event = match &delivery.event {
                None => None,
                Some(EventId::Made(id)) => Some(Uuid::from_u128(id.as_u128())),
                Some(other) => {
                    let key = keys.get(&(delivery.account, other.to_string()));
                    Some(*key.ok_or_else(|| corrupt("a delivery came before its event"))?)
                }
            };
        }
        Ok(())
    }
}

fn own_id(id: &EventId) -> Option<&str> {
    match id {
        EventId::Own(text) => Some(text),
        EventId::Made(_) | EventId::Test(_) => None,
    }
}

/// Columns that a delivery has wherever it stands.
struct Columns {
    accounts: Array<Uuid>,
    ids: Array<Uuid>,
    webhooks: Array<Uuid>,
    events: Nullable<Uuid>,
    majors: Array<i64>,
    minors: Array<i32>,
    attempts: Array<i32>,
    bases: Array<i32>,
    began_at: Array<i64>,
    is_later: Array<bool>,
    created_at: Array<i64>,
    modified_at: Array<i64>,
}

impl Columns {
    fn of(rows: &[DeliveryRow<'_>]) -> Self {
        let count = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        let each = || rows.iter().map(|row| &row.kept.delivery);
        Self {
            accounts: rows.iter().map(DeliveryRow::account).collect(),
            ids: rows.iter().map(DeliveryRow::id).collect(),
            webhooks: each().map(|delivery| webhook_column(delivery.webhook)).collect(),
            events: rows.iter().map(|row| row.event).collect(),
            majors: rows.iter().map(|row| row.place.0).collect(),
            minors: rows.iter().map(|row| row.place.1).collect(),
            attempts: each().map(|delivery| count(delivery.progress.attempts)).collect(),
            bases: each().map(|delivery| count(delivery.progress.schedule_base)).collect(),
            began_at: each().map(|delivery| delivery.progress.schedule_began_at.as_millis()).collect(),
            is_later: rows.iter().map(|row| row.kept.is_later).collect(),
            created_at: each().map(|delivery| delivery.created_at.as_millis()).collect(),
            modified_at: each().map(|delivery| delivery.modified_at.as_millis()).collect(),
        }
    }

    fn params(&self) -> Vec<&dyn Param> {
        vec![
            &self.accounts,
            &self.ids,
            &self.webhooks,
            &self.events,
            &self.majors,
            &self.minors,
            &self.attempts,
            &self.bases,
            &self.began_at,
            &self.is_later,
            &self.created_at,
            &self.modified_at,
        ]
    }
}

/// Their types, in that order.
const ARRAYS: &str =
    "$1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::integer[], $7::integer[], $8::integer[], $9::bigint[],
    $10::boolean[], $11::bigint[], $12::bigint[]";

async fn write_pending(conn: &Conn, rows: &[DeliveryRow<'_>]) -> Outcome<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let all = Columns::of(rows);
    let slots: Array<i16> = rows.iter().map(|row| slot_column(row.kept.delivery.webhook)).collect();
    let due: Array<i64> = rows.iter().map(|row| moment(row.kept)).collect();
    let is_urgent: Array<bool> = rows.iter().map(|row| row.kept.is_urgent).collect();
    let more: [&dyn Param; 3] = [&slots, &due, &is_urgent];
    // None is fresh: that is said by the transaction that brings it, for those that follow the queue as it grows.
    let sql = format!(
        "INSERT INTO postrider.queue (account, delivery, webhook, event, major, minor, attempts, schedule_base, schedule_began_at, is_later,
                                      created_at, modified_at, slot, due, is_urgent)
         SELECT * FROM unnest({ARRAYS}, $13::smallint[], $14::bigint[], $15::boolean[])"
    );
    conn.execute(&sql, &[all.params(), more.to_vec()].concat()).await?;
    Ok(())
}

/// When it is due, or has ended.
const fn moment(kept: &DeliveryKept) -> i64 {
    match kept.delivery.status {
        Status::Pending { due: at } | Status::Succeeded { at } | Status::Failed { at, .. } => at.as_millis(),
    }
}

async fn write_ended(conn: &Conn, rows: &[DeliveryRow<'_>]) -> Outcome<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let all = Columns::of(rows);
    let outcome = |row: &DeliveryRow<'_>| match row.kept.delivery.status {
        Status::Failed { reason, .. } => (FAILED, Some(reason as i16)),
        Status::Pending { .. } | Status::Succeeded { .. } => (SUCCEEDED, None),
    };
    let status: Array<i16> = rows.iter().map(|row| outcome(row).0).collect();
    let reasons: Nullable<i16> = rows.iter().map(|row| outcome(row).1).collect();
    let ended_at: Array<i64> = rows.iter().map(|row| moment(row.kept)).collect();
    let success = |row: &DeliveryRow<'_>| row.kept.attempts.get(row.success?).map(encode_attempt);
    let successes: Nullable<Vec<u8>> = rows.iter().map(success).collect();
    let more: [&dyn Param; 4] = [&status, &reasons, &ended_at, &successes];
    let sql = format!(
        "INSERT INTO postrider.deliveries (account, id, webhook, event, major, minor, attempts, schedule_base, schedule_began_at, is_later,
                                           created_at, modified_at, status, failed_reason, ended_at, success)
         SELECT * FROM unnest({ARRAYS}, $13::smallint[], $14::smallint[], $15::bigint[], $16::bytea[])"
    );
    conn.execute(&sql, &[all.params(), more.to_vec()].concat()).await?;
    Ok(())
}

async fn write_attempts<'a>(conn: &Conn, rows: impl Iterator<Item = &'a DeliveryRow<'a>>) -> Outcome<()> {
    let (mut accounts, mut deliveries, mut numbers, mut attempts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        for (place, attempt) in row.kept.attempts.iter().enumerate() {
            if row.success == Some(place) {
                continue;
            }
            accounts.push(row.account());
            deliveries.push(row.id());
            numbers.push(i32::try_from(attempt.number).unwrap_or(i32::MAX));
            attempts.push(encode_attempt(attempt));
        }
    }
    if attempts.is_empty() {
        return Ok(());
    }
    conn.execute(
        "INSERT INTO postrider.attempts (account, delivery, number, attempt)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::bytea[])",
        &[&Array(accounts), &Array(deliveries), &Array(numbers), &Array(attempts)],
    )
    .await?;
    Ok(())
}

async fn write_tests<'a>(conn: &Conn, rows: impl Iterator<Item = &'a DeliveryRow<'a>>) -> Outcome<()> {
    let (mut accounts, mut deliveries, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        if let Some(body) = &row.kept.test {
            accounts.push(row.account());
            deliveries.push(row.id());
            bodies.push(Blob(body));
        }
    }
    if bodies.is_empty() {
        return Ok(());
    }
    conn.execute(
        "INSERT INTO postrider.tests (account, delivery, body) SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bytea[])",
        &[&Array(accounts), &Array(deliveries), &Array(bodies)],
    )
    .await?;
    Ok(())
}
