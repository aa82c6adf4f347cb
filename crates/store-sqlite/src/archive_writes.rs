//! Records taken in, each at the next place: a store that is filled counts anew, in the order of the one that it is filled from.

use postrider_model::delivery::Status;
use postrider_model::event::Event;
use postrider_model::id::{AccountId, DeliveryId, EventId};
use postrider_ports::archive::{DeliveryKept, JobKept, Record};
use rusqlite::{Connection, params};

use crate::codec::{self, State, success_of};
use crate::events::IdKey;
use crate::fault::{Outcome, corrupt};
use crate::tx::{NewDelivery, Tx, as_integer};
use crate::{accounts, events, fanouts, jobs, kept, keys, stopping, webhooks};

/// Takes a record in.
pub(crate) fn record(tx: &mut Tx<'_>, record: &Record) -> Outcome<()> {
    match record {
        Record::Account {
            account,
            version,
            deleted_at,
            is_erased,
        } => {
            accounts::insert(tx, account, *version)?;
            tx.conn
                .prepare_cached("UPDATE accounts SET deleted_at = ?, is_erased = ? WHERE id = ?")?
                .execute(params![
                    deleted_at.map(postrider_model::time::Timestamp::as_millis),
                    is_erased,
                    account.id.as_u128().to_be_bytes()
                ])?;
        }
        Record::Key { key, hash } => keys::insert(tx, key, hash)?,
        Record::Webhook { webhook, deleted_at } => {
            webhooks::insert(tx, webhook)?;
            match deleted_at {
                Some(at) => webhooks::bury(tx.conn, webhook.id, *at)?,
                None => webhooks::count_webhooks(tx.conn, webhook.account, 1)?,
            }
        }
        Record::Event { event, deliveries } => take_event(tx, event, deliveries)?,
        Record::Delivery(kept) => delivery(tx, kept)?,
        Record::Fanout {
            account,
            event,
            chunk,
            pairs,
            ..
        } => {
            let event = place_of(tx.conn, *account, event)?;
            fanouts::mark_chunk(tx.conn, event, i64::from(*chunk), pairs)?;
        }
        Record::Stopping { webhook, .. } => stopping::ask(tx.conn, *webhook)?,
        Record::Job(kept) => job(tx, kept)?,
        Record::Answer { at, ends_at, kept } => kept::insert(tx, at, kept.fingerprint, *ends_at, &kept.answer)?,
    }
    Ok(())
}

fn place_of(conn: &Connection, account: AccountId, event: &EventId) -> Outcome<i64> {
    events::position_of(conn, account, event)?.ok_or_else(|| corrupt("a delivery came before its event"))
}

fn take_event(tx: &mut Tx<'_>, event: &Event, deliveries: &[DeliveryId]) -> Outcome<()> {
    let position = tx.next_position();
    // The deliveries that an event is stored with have the places behind it: retention goes by that.
    for _ in deliveries {
        tx.next_position();
    }
    let key = IdKey::of(event.account, &event.id);
    tx.conn
        .prepare_cached("INSERT INTO event_ids (id, event) VALUES (?, ?)")?
        .execute(params![key.as_bytes(), as_integer(position)])?;
    let ids: Vec<u8> = deliveries.iter().flat_map(|id| id.as_u128().to_be_bytes()).collect();
    events::insert(tx.conn, (event, &key), position, &ids)?;
    tx.note_event(event.account, position, event.created_at);
    Ok(())
}

fn delivery(tx: &mut Tx<'_>, kept: &DeliveryKept) -> Outcome<()> {
    let delivery = &kept.delivery;
    let event = match &delivery.event {
        Some(event) => Some(place_of(tx.conn, delivery.account, event)?),
        None => None,
    };
    let mut state = State::of(delivery, kept.is_urgent);
    let mut apart = Vec::new();
    for attempt in &kept.attempts {
        let url = tx.url_number(delivery.webhook, &attempt.url)?;
        match success_of(attempt, url) {
            Some(success) if state.success.is_none() => state.success = Some(success),
            _ => apart.push((attempt.number, codec::encode_attempt(attempt, url))),
        }
    }
    let new = NewDelivery {
        id: delivery.id,
        account: delivery.account,
        webhook: delivery.webhook,
        event: event.map(i64::unsigned_abs),
        state: &state,
    };
    let due = match delivery.status {
        Status::Pending { due } => Some(due.as_millis()),
        Status::Succeeded { .. } | Status::Failed { .. } => None,
    };
    let position = tx.put_delivery(&new, due)?;
    if let Some(event) = event.filter(|_| kept.is_later) {
        fanouts::note_later(tx.conn, event, position, delivery.id)?;
    }
    let id = delivery.id.as_u128().to_be_bytes();
    for (number, attempt) in apart {
        tx.conn
            .prepare_cached("INSERT INTO attempts (delivery, number, attempt) VALUES (?, ?, ?)")?
            .execute(params![id, number, attempt])?;
    }
    if let Some(body) = &kept.test {
        tx.conn
            .prepare_cached("INSERT INTO tests (delivery, body) VALUES (?, ?)")?
            .execute(params![id, &**body])?;
    }
    Ok(())
}

fn job(tx: &mut Tx<'_>, kept: &JobKept) -> Outcome<()> {
    jobs::insert(tx, &kept.job, kept.recovery)?;
    let through = match &kept.through {
        Some(event) => events::position_of(tx.conn, kept.job.account, event)?.unwrap_or(0),
        None => 0,
    };
    let row = jobs::JobRow {
        job: kept.job.clone(),
        recovery: kept.recovery,
        counted: kept.counted,
        through: through.unsigned_abs(),
    };
    jobs::save(tx.conn, &row)
}
