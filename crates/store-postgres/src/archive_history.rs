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
use crate::deliveries::Stored;
use crate::fault::{Outcome, corrupt};
use crate::moves;
use crate::param::{Array, Blob, Nullable, Param};
use crate::position::columns;
use crate::rows::account_column;

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
    /// As it is written, with the key of its event once that is known.
    stored: Stored,
    /// Which of its attempts was acknowledged.
    success: Option<usize>,
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
        let success = kept.attempts.iter().rposition(|attempt| succeeded && attempt.error.is_none());
        let delivery = &kept.delivery;
        let stored = Stored {
            id: delivery.id,
            account: delivery.account,
            webhook: delivery.webhook,
            event: None,
            position,
            status: delivery.status,
            progress: delivery.progress,
            is_urgent: kept.is_urgent,
            is_later: kept.is_later,
            created_at: delivery.created_at,
            modified_at: delivery.modified_at,
            success: success.and_then(|place| kept.attempts.get(place)).map(encode_attempt),
            // That is said by the transaction that brings it, for those that follow the queue as it grows.
            is_fresh: false,
        };
        let row = DeliveryRow { kept, stored, success };
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
        if !self.pending.is_empty() {
            moves::enqueue(conn, self.pending.iter().map(|row| &row.stored)).await?;
        }
        if !self.ended.is_empty() {
            moves::keep(conn, self.ended.iter().map(|row| &row.stored)).await?;
        }
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
            row.stored.event = match &delivery.event {
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

async fn write_attempts<'a>(conn: &Conn, rows: impl Iterator<Item = &'a DeliveryRow<'a>>) -> Outcome<()> {
    let (mut accounts, mut deliveries, mut numbers, mut attempts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        for (place, attempt) in row.kept.attempts.iter().enumerate() {
            if row.success == Some(place) {
                continue;
            }
            accounts.push(account_column(row.stored.account));
            deliveries.push(row.stored.key());
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
            accounts.push(account_column(row.stored.account));
            deliveries.push(row.stored.key());
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
