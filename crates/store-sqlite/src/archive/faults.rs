//! What is kept more than once (the queue, lists, counts, ids) is compared with the records that it is of.
//!
//! A move writes it anew, and a comparison of records alone says nothing of it: a delivery that is missing in the queue would never be sent.

use postrider_model::delivery::Status;
use postrider_model::id::{AccountId, DeliveryId};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::codec::Reader;
use crate::deliveries::{self, Stored};
use crate::events;
use crate::fault::Outcome;
use crate::history::{self, Entry, Owner};

/// Of a delivery's state: it is pending.
const IS_PENDING: &str = "substr(state, 2, 1) = x'00'";

/// What was found to be wrong.
type Fault = Option<String>;

/// The first thing that does not agree. `is_fresh`: nothing was taken away yet of what was moved here.
pub(crate) fn first(conn: &Connection, is_fresh: bool) -> Outcome<Fault> {
    for look in [accounts, event_ids, pending, later] {
        if let Some(fault) = look(conn)? {
            return Ok(Some(fault));
        }
    }
    lists(conn, is_fresh)
}

fn delivery_of(id: [u8; 16]) -> DeliveryId {
    DeliveryId::from_u128(u128::from_be_bytes(id))
}

fn accounts(conn: &Connection) -> Outcome<Fault> {
    let wrong: Option<[u8; 16]> = conn
        .prepare(
            "SELECT id FROM accounts WHERE deleted_at IS NULL
             AND webhooks <> (SELECT count(*) FROM webhooks w WHERE w.account = accounts.id AND w.deleted_at IS NULL) LIMIT 1",
        )?
        .query_row([], |row| row.get(0))
        .optional()?;
    let told = |id| {
        format!(
            "accounts: the webhooks of {} are miscounted",
            AccountId::from_u128(u128::from_be_bytes(id))
        )
    };
    Ok(wrong.map(told))
}

fn event_ids(conn: &Connection) -> Outcome<Fault> {
    for sql in [
        "SELECT e.id FROM events e LEFT JOIN event_ids i ON i.id = e.id WHERE i.event IS NOT e.position LIMIT 1",
        "SELECT i.id FROM event_ids i LEFT JOIN events e ON e.position = i.event WHERE e.id IS NOT i.id LIMIT 1",
    ] {
        let wrong: Option<Vec<u8>> = conn.prepare(sql)?.query_row([], |row| row.get(0)).optional()?;
        if let Some(id) = wrong {
            return Ok(Some(format!("event_ids: {} does not lead to its event", events::id_of(&id)?)));
        }
    }
    Ok(None)
}

/// Each pending delivery stands in the queue, at the time at which it is due; and nothing else stands there.
fn pending(conn: &Connection) -> Outcome<Fault> {
    let mut statement = conn.prepare(&format!("SELECT id FROM deliveries WHERE {IS_PENDING}"))?;
    let mut rows = statement.query([])?;
    let (mut count, mut tests) = (0i64, 0i64);
    while let Some(row) = rows.next()? {
        let Some(stored) = deliveries::find(conn, delivery_of(row.get(0)?))? else {
            continue;
        };
        let places = match stored.event {
            Some(_) => &["queue"][..],
            None => &["queue", "queued_tests"][..],
        };
        for table in places {
            if !stands_in(conn, table, &stored)? {
                return Ok(Some(format!("{table}: the delivery {} waits, and does not stand there", stored.id)));
            }
        }
        count += 1;
        tests += i64::from(stored.event.is_none());
    }
    for (table, count) in [("queue", count), ("queued_tests", tests)] {
        let found: i64 = conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        if found != count {
            return Ok(Some(format!("{table}: it has {found} rows, and {count} deliveries wait")));
        }
    }
    Ok(None)
}

fn stands_in(conn: &Connection, table: &str, stored: &Stored) -> Outcome<bool> {
    let Status::Pending { due } = stored.state.status else {
        return Ok(false);
    };
    let sql = format!("SELECT 1 FROM {table} WHERE webhook = ? AND due = ? AND position = ? AND delivery = ?");
    Ok(conn.prepare_cached(&sql)?.exists(params![
        stored.webhook.as_u128().to_be_bytes(),
        due.as_millis(),
        crate::tx::as_integer(stored.position),
        stored.id.as_u128().to_be_bytes()
    ])?)
}

fn later(conn: &Connection) -> Outcome<Fault> {
    let wrong: Option<[u8; 16]> = conn
        .prepare(
            "SELECT l.delivery FROM later_deliveries l LEFT JOIN deliveries d ON d.id = l.delivery
             WHERE d.position IS NOT l.position OR d.event IS NOT l.event LIMIT 1",
        )?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(wrong.map(|id| format!("later_deliveries: {} is not as it says", delivery_of(id))))
}

/// Counts what the lists hold.
#[derive(Default)]
struct Listed {
    of_accounts: i64,
    of_webhooks: i64,
    events: i64,
    is_fresh: bool,
}

/// Each delivery stands in the list of its account and in that of its webhook, each event in that of its account, once.
fn lists(conn: &Connection, is_fresh: bool) -> Outcome<Fault> {
    let mut listed = Listed {
        is_fresh,
        ..Listed::default()
    };
    if let Some(fault) = segments(conn, &mut listed)? {
        return Ok(Some(fault));
    }
    if let Some(fault) = arrivals(conn, &mut listed)? {
        return Ok(Some(fault));
    }
    let count = |table: &str| -> Outcome<i64> { Ok(conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?) };
    let (deliveries, events) = (count("deliveries")?, count("events")?);
    let pairs = [
        ("accounts", listed.of_accounts, deliveries),
        ("webhooks", listed.of_webhooks, deliveries),
        ("events", listed.events, events),
    ];
    let wrong = pairs.into_iter().find(|(_, listed, there)| listed != there);
    Ok(wrong.map(|(whose, listed, there)| format!("history: the lists of {whose} have {listed} entries, and {there} are there")))
}

fn segments(conn: &Connection, listed: &mut Listed) -> Outcome<Fault> {
    let mut statement =
        conn.prepare("SELECT h.segment, h.owner, h.entries, s.segment FROM history h LEFT JOIN segments s USING (segment)")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let segment: i64 = row.get(0)?;
        if row.get::<_, Option<i64>>(3)?.is_none() {
            return Ok(Some(format!("segments: {segment} is not there")));
        }
        let mut key = Reader(row.get_ref(1)?.as_blob()?);
        let [kind] = key.array()?;
        let (id, kept) = (key.array()?, row.get_ref(2)?.as_blob()?);
        let fault = match kind {
            b'e' => events_listed(conn, id, &history::positions(kept)?, listed)?,
            b'a' => deliveries_listed(conn, Owner::Account(id), &history::entries(kept)?, listed)?,
            b'w' => deliveries_listed(conn, Owner::Webhook(id), &history::entries(kept)?, listed)?,
            _ => Some(format!("history: segment {segment} has a list of an unknown kind")),
        };
        if fault.is_some() {
            return Ok(fault);
        }
    }
    Ok(None)
}

fn arrivals(conn: &Connection, listed: &mut Listed) -> Outcome<Fault> {
    let mut statement = conn.prepare("SELECT deliveries, events FROM arrivals")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let mut from = Reader(row.get_ref(0)?.as_blob()?);
        while !from.0.is_empty() {
            let owners = [Owner::Account(from.array()?), Owner::Webhook(from.array()?)];
            let entry = history::read_entry(&mut from)?;
            for owner in owners {
                if let Some(fault) = deliveries_listed(conn, owner, &[entry], listed)? {
                    return Ok(Some(fault));
                }
            }
        }
        let mut from = Reader(row.get_ref(1)?.as_blob()?);
        while !from.0.is_empty() {
            let (account, position) = (from.array()?, u64::from_be_bytes(from.array()?));
            if let Some(fault) = events_listed(conn, account, &[position], listed)? {
                return Ok(Some(fault));
            }
        }
    }
    Ok(None)
}

fn deliveries_listed(conn: &Connection, owner: Owner, entries: &[Entry], listed: &mut Listed) -> Outcome<Fault> {
    for entry in entries {
        let Some(stored) = deliveries::find(conn, entry.delivery)? else {
            // Retention leaves entries behind for a while.
            if listed.is_fresh {
                return Ok(Some(format!("history: the delivery {} is listed, and not there", entry.delivery)));
            }
            continue;
        };
        let (is_its, count) = match owner {
            Owner::Webhook(id) => (stored.webhook.as_u128().to_be_bytes() == id, &mut listed.of_webhooks),
            Owner::Account(id) | Owner::Events(id) => (stored.account.as_u128().to_be_bytes() == id, &mut listed.of_accounts),
        };
        *count += 1;
        if !is_its || stored.position != entry.position {
            return Ok(Some(format!(
                "history: the delivery {} stands in the wrong list or place",
                entry.delivery
            )));
        }
    }
    Ok(None)
}

fn events_listed(conn: &Connection, account: [u8; 16], positions: &[u64], listed: &mut Listed) -> Outcome<Fault> {
    let mut statement = conn.prepare_cached("SELECT account FROM events WHERE position = ?")?;
    for position in positions {
        let owner: Option<[u8; 16]> = statement
            .query_row([crate::tx::as_integer(*position)], |row| row.get(0))
            .optional()?;
        listed.events += i64::from(owner.is_some());
        if owner.is_some_and(|owner| owner != account) || (owner.is_none() && listed.is_fresh) {
            return Ok(Some(format!(
                "history: the event at {position} is not there, or of another account"
            )));
        }
    }
    Ok(None)
}
