//! Events: stored with their deliveries in one transaction, and read back.

use std::sync::Arc;

use bytes::Bytes;
use postrider_model::delivery::{Progress, Status};
use postrider_model::event::{Event, Resource};
use postrider_model::id::{AccountId, EventId, MadeEventId, TestEventId};
use postrider_model::limits::TRANSACTION_ROWS_MAX;
use postrider_model::name::EventName;
use postrider_model::queue::Position;
use postrider_ports::StoreError;
use postrider_ports::once::Written;
use postrider_ports::store::{EventFilter, NewEvent, StoredEvent, Submission, Submitted};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use tokio::sync::oneshot;

use crate::call::Call;
use crate::codec::State;
use crate::fanouts;
use crate::fault::{Outcome, corrupt};
use crate::kept;
use crate::tx::{NewDelivery, Tx, as_integer};

const SELECT: &str = "SELECT id, account, name, resource_id, resource_type, created_at, body FROM events WHERE position = ?";

/// A call of `commit_events`: each request is a unit.
pub(crate) struct CommitEvents {
    group: Vec<Submission>,
    results: Vec<Option<Result<Submitted, StoreError>>>,
    reply: oneshot::Sender<Result<Vec<Submitted>, StoreError>>,
}

impl CommitEvents {
    /// Stores `group` for who holds the other end of `reply`.
    pub(crate) fn new(group: Vec<Submission>, reply: oneshot::Sender<Result<Vec<Submitted>, StoreError>>) -> Self {
        let results = group.iter().map(|_| None).collect();
        Self { group, results, reply }
    }
}

impl Call for CommitEvents {
    fn units(&self) -> usize {
        self.group.len()
    }

    fn rows(&self, unit: usize) -> usize {
        let Some(submission) = self.group.get(unit) else { return 0 };
        // An answer that is kept has all the events once more.
        let kept = submission.keep.as_ref().map_or(0, |_| 1 + submission.events.len());
        (rows_of(submission) + kept).min(TRANSACTION_ROWS_MAX)
    }

    fn run(&mut self, unit: usize, tx: &mut Tx<'_>) -> Outcome<()> {
        if let (Some(submission), Some(result)) = (self.group.get(unit), self.results.get_mut(unit)) {
            *result = Some(Ok(submit(tx, submission)?));
        }
        Ok(())
    }

    fn fail(&mut self, unit: usize, error: StoreError) {
        if let Some(result) = self.results.get_mut(unit) {
            *result = Some(Err(error));
        }
    }

    fn refuse(&mut self, unit: usize, error: StoreError) {
        if let Some(result) = self.results.get_mut(unit) {
            *result = Some(Ok(Submitted::Refused(error)));
        }
    }

    fn answer(self: Box<Self>) {
        let results: Vec<Result<Submitted, StoreError>> = self.results.into_iter().flatten().collect();
        // Where some were stored in a transaction before the store went, each is told its own fate.
        let answer = if results.iter().any(Result::is_ok) {
            Ok(results.into_iter().map(|one| one.unwrap_or_else(Submitted::Refused)).collect())
        } else {
            results.into_iter().collect()
        };
        // Who asked may have gone away meanwhile: nobody is left to tell.
        let _ = self.reply.send(answer);
    }
}

fn rows_of(submission: &Submission) -> usize {
    submission.events.iter().map(|event| 1 + event.deliveries.len()).sum()
}

/// Stores one request, or says why not: then nothing of it is written.
fn submit(tx: &mut Tx<'_>, submission: &Submission) -> Outcome<Submitted> {
    match tx.account_version(submission.account)? {
        None => return Ok(Submitted::NoAccount),
        Some(version) if version != submission.version => return Ok(Submitted::Stale),
        Some(_) => {}
    }
    let Some(keep) = &submission.keep else {
        return store(tx, submission);
    };
    if let Some(kept) = kept::find(tx.conn, &keep.at, keep.now, &tx.memory.seal)? {
        return Ok(Submitted::Kept(kept));
    }
    let submitted = store(tx, submission)?;
    if let Submitted::Stored(stored) = &submitted {
        kept::put(tx, keep, &Written::Events(stored.clone()))?;
    }
    Ok(submitted)
}

fn store(tx: &mut Tx<'_>, submission: &Submission) -> Outcome<Submitted> {
    let in_steps = rows_of(submission) > TRANSACTION_ROWS_MAX;
    if submission.events.len() == 1 {
        return store_all(tx, submission, in_steps);
    }
    let mark = tx.mark();
    tx.conn.prepare_cached("SAVEPOINT request")?.execute([])?;
    let result = store_all(tx, submission, in_steps)?;
    if matches!(result, Submitted::IdTaken { .. }) {
        tx.back_to(&mark);
        tx.conn.prepare_cached("ROLLBACK TO request")?.execute([])?;
    }
    tx.conn.prepare_cached("RELEASE request")?.execute([])?;
    Ok(result)
}

fn store_all(tx: &mut Tx<'_>, submission: &Submission, in_steps: bool) -> Outcome<Submitted> {
    let mut stored = Vec::with_capacity(submission.events.len());
    for (index, new) in submission.events.iter().enumerate() {
        match store_event(tx, submission.account, new, in_steps)? {
            Some(event) => stored.push(event),
            None => return Ok(Submitted::IdTaken { index }),
        }
    }
    Ok(Submitted::Stored(stored))
}

/// `None` where its id is taken: then nothing was written.
fn store_event(tx: &mut Tx<'_>, account: AccountId, new: &NewEvent, in_steps: bool) -> Outcome<Option<StoredEvent>> {
    let event = &*new.event;
    let key = IdKey::of(account, &event.id);
    let position = tx.next_position();
    let is_new = tx
        .conn
        .prepare_cached("INSERT OR IGNORE INTO event_ids (id, event) VALUES (?, ?)")?
        .execute(params![key.as_bytes(), as_integer(position)])?
        == 1;
    if !is_new {
        let first = by_id(tx.conn, account, &event.id)?.filter(|first| first.has_same_content(event));
        return Ok(first.map(|first| StoredEvent::Repeated(Arc::new(first))));
    }
    let ids: Vec<u8> = match in_steps {
        true => Vec::new(),
        false => new.deliveries.iter().flat_map(|(id, _)| id.as_u128().to_be_bytes()).collect(),
    };
    insert(tx.conn, (event, &key), position, &ids)?;
    tx.note_event(account, position, event.created_at);
    let queued = !in_steps || new.deliveries.is_empty();
    if queued {
        add_deliveries(tx, account, position, new)?;
    } else {
        fanouts::mark(tx.conn, position, &new.deliveries)?;
    }
    Ok(Some(StoredEvent::New {
        position: Position::counted(position),
        queued,
    }))
}

/// Puts an event at its place.
pub(crate) fn insert(conn: &Connection, (event, key): (&Event, &IdKey), position: u64, deliveries: &[u8]) -> Outcome<()> {
    conn.prepare_cached(
        "INSERT INTO events (position, id, account, name, resource_id, resource_type, created_at, deliveries, body)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        as_integer(position),
        key.as_bytes(),
        event.account.as_u128().to_be_bytes(),
        event.name.as_str(),
        event.resource.id,
        event.resource.resource_type,
        event.created_at.as_millis(),
        deliveries,
        &*event.body,
    ])?;
    Ok(())
}

fn add_deliveries(tx: &mut Tx<'_>, account: AccountId, event: u64, new: &NewEvent) -> Outcome<()> {
    let created_at = new.event.created_at;
    let state = fresh_state(created_at);
    for (id, webhook) in &new.deliveries {
        let delivery = NewDelivery {
            id: *id,
            account,
            webhook: *webhook,
            event: Some(event),
            state: &state,
        };
        tx.add_delivery(&delivery, created_at.as_millis())?;
    }
    Ok(())
}

/// The state of a delivery that is made with its event: due at once.
pub(crate) fn fresh_state(created_at: postrider_model::time::Timestamp) -> State {
    State {
        status: Status::Pending { due: created_at },
        is_urgent: false,
        progress: Progress::new(created_at),
        created_at,
        modified_at: created_at,
        success: None,
    }
}

/// An event's id as the store keeps it: 16 bytes of ours, or the account's 16 and a caller's own text.
pub(crate) enum IdKey {
    Made([u8; 16]),
    Own(Vec<u8>),
}

impl IdKey {
    pub(crate) fn of(account: AccountId, id: &EventId) -> Self {
        match id {
            EventId::Made(id) => Self::Made(id.as_u128().to_be_bytes()),
            EventId::Own(text) => Self::Own([&account.as_u128().to_be_bytes(), text.as_bytes()].concat()),
            // No event has one; kept apart from all others should one be asked for.
            EventId::Test(id) => Self::Own([&[0u8; 16][..], TestEventId::PREFIX.as_bytes(), &id.as_u128().to_be_bytes()].concat()),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Made(bytes) => bytes,
            Self::Own(bytes) => bytes,
        }
    }
}

/// The id that a key stands for.
pub(crate) fn id_of(key: &[u8]) -> Outcome<EventId> {
    if let Ok(bytes) = <[u8; 16]>::try_from(key) {
        return Ok(EventId::Made(MadeEventId::from_u128(u128::from_be_bytes(bytes))));
    }
    let text = key.get(16..).and_then(|text| std::str::from_utf8(text).ok());
    text.and_then(EventId::own).ok_or_else(|| corrupt("an event has an unknown id"))
}

/// The position of an event of an account.
pub(crate) fn position_of(conn: &Connection, account: AccountId, id: &EventId) -> Outcome<Option<i64>> {
    let found = conn
        .prepare_cached("SELECT event FROM event_ids WHERE id = ?")?
        .query_row([IdKey::of(account, id).as_bytes()], |row| row.get(0))
        .optional()?;
    Ok(found)
}

/// The place of an event of an account, where it is still kept.
pub(crate) fn place_of(conn: &Connection, account: AccountId, id: &EventId) -> Outcome<Option<Position>> {
    let Some(position) = position_of(conn, account, id)? else {
        return Ok(None);
    };
    // An id of ours says nothing of its account.
    let is_its = conn
        .prepare_cached("SELECT 1 FROM events WHERE position = ? AND account = ?")?
        .exists(params![position, account.as_u128().to_be_bytes()])?;
    Ok(is_its.then(|| Position::counted(position.unsigned_abs())))
}

/// One event of an account.
pub(crate) fn by_id(conn: &Connection, account: AccountId, id: &EventId) -> Outcome<Option<Event>> {
    match position_of(conn, account, id)? {
        Some(position) => Ok(by_position(conn, position)?.filter(|event| event.account == account)),
        None => Ok(None),
    }
}

/// The event at a place.
pub(crate) fn by_position(conn: &Connection, position: i64) -> Outcome<Option<Event>> {
    let mut statement = conn.prepare_cached(SELECT)?;
    let mut rows = statement.query([position])?;
    rows.next()?.map(event_of).transpose()
}

/// The event at a place, where it is the account's and the filter wants it. The body of any other is not read.
pub(crate) fn wanted(conn: &Connection, position: u64, account: AccountId, filter: &EventFilter) -> Outcome<Option<Event>> {
    let mut statement = conn.prepare_cached(SELECT)?;
    let mut rows = statement.query([as_integer(position)])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let head = head_of(row)?;
    if head.account != account || !filter.wants(&head) {
        return Ok(None);
    }
    Ok(Some(Event {
        body: body_of(row)?,
        ..head
    }))
}

fn event_of(row: &Row<'_>) -> Outcome<Event> {
    Ok(Event {
        body: body_of(row)?,
        ..head_of(row)?
    })
}

fn body_of(row: &Row<'_>) -> Outcome<Bytes> {
    Ok(Bytes::copy_from_slice(row.get_ref(6)?.as_blob()?))
}

/// An event but for its body.
fn head_of(row: &Row<'_>) -> Outcome<Event> {
    Ok(Event {
        id: id_of(row.get_ref(0)?.as_blob()?)?,
        account: AccountId::from_u128(u128::from_be_bytes(row.get(1)?)),
        name: EventName::parse(row.get_ref(2)?.as_str()?).map_err(corrupt)?,
        resource: Resource {
            id: row.get(3)?,
            resource_type: row.get(4)?,
        },
        created_at: postrider_model::time::Timestamp::from_millis(row.get(5)?),
        body: Bytes::new(),
    })
}

/// What a delivery carries: the event's id and body.
pub(crate) fn carried(conn: &Connection, position: i64) -> Outcome<Option<(EventId, Bytes)>> {
    let mut statement = conn.prepare_cached("SELECT id, body FROM events WHERE position = ?")?;
    let mut rows = statement.query([position])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let id = id_of(row.get_ref(0)?.as_blob()?)?;
    Ok(Some((id, Bytes::copy_from_slice(row.get_ref(1)?.as_blob()?))))
}
