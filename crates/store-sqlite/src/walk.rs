//! The events of an account, oldest first, a stretch at a time: a segment of the history, or what arrived since the last one.

use postrider_model::id::{AccountId, WebhookId};
use postrider_model::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::codec::Reader;
use crate::fault::Outcome;
use crate::history::{self, Entry, Owner};
use crate::tx::as_integer;

/// What a stretch holds of an account and of one of its webhooks.
pub(crate) struct Stretch {
    /// The positions of the account's events, oldest first.
    pub(crate) events: Vec<u64>,
    /// The webhook's deliveries, oldest first.
    deliveries: Vec<Entry>,
    /// The last position of the stretch.
    pub(crate) through: u64,
    /// Whether nothing is behind it.
    pub(crate) is_last: bool,
}

impl Stretch {
    /// The webhook's deliveries behind `after`, up to `through`.
    pub(crate) fn deliveries_between(&self, after: u64, through: u64) -> &[Entry] {
        let first = self.deliveries.partition_point(|entry| entry.position <= after);
        let end = self.deliveries.partition_point(|entry| entry.position <= through);
        self.deliveries.get(first..end).unwrap_or_default()
    }
}

/// The next stretch behind a position that may have events of these times. Segments whose events are all of other times are passed over
/// by their row in `segments` alone: times need not rise with positions for that, however a clock was set.
pub(crate) fn next(
    conn: &Connection,
    (account, webhook): (AccountId, WebhookId),
    after: u64,
    (since, until): (Timestamp, Timestamp),
) -> Outcome<Option<Stretch>> {
    let segment: Option<i64> = conn
        .prepare_cached(
            "SELECT segment FROM segments WHERE segment > ? AND (newest IS NULL OR newest >= ?) AND (oldest IS NULL OR oldest < ?)
             ORDER BY segment LIMIT 1",
        )?
        .query_row(params![as_integer(after), since.as_millis(), until.as_millis()], |row| row.get(0))
        .optional()?;
    let events = Owner::Events(account.as_u128().to_be_bytes());
    let webhook = Owner::Webhook(webhook.as_u128().to_be_bytes());
    let mut stretch = match segment {
        Some(segment) => of_segment(conn, segment, (events, webhook))?,
        None => of_tail(conn, (events, webhook))?,
    };
    stretch.events.retain(|position| *position > after);
    Ok(Some(stretch).filter(|stretch| stretch.through > after))
}

fn of_segment(conn: &Connection, segment: i64, (events, webhook): (Owner, Owner)) -> Outcome<Stretch> {
    let events = history::entries_of(conn, segment, events)?;
    let deliveries = history::entries_of(conn, segment, webhook)?;
    Ok(Stretch {
        events: history::positions(&events)?,
        deliveries: history::entries(&deliveries)?,
        through: segment.unsigned_abs(),
        is_last: false,
    })
}

fn of_tail(conn: &Connection, (events, webhook): (Owner, Owner)) -> Outcome<Stretch> {
    let mut stretch = Stretch {
        events: Vec::new(),
        deliveries: Vec::new(),
        through: history::last_position(conn)?.major,
        is_last: true,
    };
    let mut statement = conn.prepare_cached("SELECT deliveries, events FROM arrivals ORDER BY position")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let mut deliveries = Reader(row.get_ref(0)?.as_blob()?);
        while !deliveries.0.is_empty() {
            let (_, of) = (deliveries.array::<16>()?, Owner::Webhook(deliveries.array()?));
            let entry = history::read_entry(&mut deliveries)?;
            if of == webhook {
                stretch.deliveries.push(entry);
            }
        }
        let mut arrived = Reader(row.get_ref(1)?.as_blob()?);
        while !arrived.0.is_empty() {
            let of = Owner::Events(arrived.array()?);
            let position = u64::from_be_bytes(arrived.array()?);
            if of == events {
                stretch.events.push(position);
            }
        }
    }
    Ok(stretch)
}
