//! Requests whose events may be there already: with callers' own ids, or under an idempotency key. A part of a group takes a few statements
//! in one transaction, however many requests it has.
//!
//! Two requests of one part that name the same id or key are stored one after the other: the second in a turn of its own, which finds what
//! the first has left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider_model::event::{Event, Resource};
use postrider_model::id::{AccountId, EventId, MadeEventId};
use postrider_model::limits::TRANSACTION_ROWS_MAX;
use postrider_model::name::EventName;
use postrider_model::time::Timestamp;
use postrider_ports::once::{AnswerKey, Keep, KeptAnswer, Written};
use postrider_ports::store::{StoredEvent, Submission, Submitted};
use rustc_hash::FxHashMap;
use uuid::Uuid;

use crate::conn::Conn;
use crate::event_rows::{EventRows, Placed, rows_of};
use crate::events::{Numbered, Results, blame, halves, judge_version, prepare_again, versions};
use crate::fault::{Fault, Outcome, corrupt, unavailable};
use crate::kept::{self, Claim};
use crate::param::Array;
use crate::store::PostgresStore;

/// How often a turn is tried again where others wrote the same at the same time.
const TRIES_MAX: usize = 10;

/// How many waits for a lock a group bears, the first among them; and how long each but the first is. With a pause of a commit's length two that
/// do the same at once still go through one after the other.
const WAITS_MAX: usize = 100;
const NEXT_WAIT_MAX: Duration = Duration::from_millis(20);

/// A caller's own id of an event.
type OwnId<'a> = (AccountId, &'a str);

/// How long a group waits for what others have locked: an id or a key that a transaction has taken and not committed, for its node stands still,
/// say. Nobody can tell which it is before it has been waited for. So the first wait is as long as any; then the halves are tried with next to
/// none, until those stand alone that want what is locked. And all of it ends, for everybody's groups come behind this one.
pub(crate) struct Patience {
    /// So many waits are still borne.
    waits: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self { waits: WAITS_MAX }
    }
}

impl Patience {
    /// Whether what failed so is to be tried in halves.
    fn splits(&mut self, fault: &Fault) -> bool {
        if fault.is_of_a_lock() {
            self.waits = self.waits.saturating_sub(1);
        }
        fault.is_of_a_lock() && self.waits > 0
    }

    async fn begin(&self, conn: &Conn) -> Outcome<()> {
        match self.waits {
            WAITS_MAX => conn.begin().await,
            0 => Err(unavailable("too much of what a group wants is locked").into()),
            _ => conn.begin_impatient(NEXT_WAIT_MAX).await,
        }
    }
}

/// Stores requests that need a look at what is there. Where they fail they are split, until the guilty one stands alone.
pub(crate) async fn commit(store: &PostgresStore, part: Vec<Numbered<'_>>, patience: &mut Patience, results: &mut Results) {
    for turn in turns(part) {
        let mut left = vec![turn];
        while let Some(part) = left.pop() {
            match store_turn(store, &part, patience, results).await {
                Ok(()) => {}
                Err(fault) if patience.splits(&fault) && part.len() > 1 => left.extend(halves(part)),
                Err(fault) => left.extend(blame(part, fault, results).into_iter().flatten()),
            }
        }
    }
}

/// Turns in each of which no two requests name the same id or key. Of those that do, the first goes first.
fn turns(part: Vec<Numbered<'_>>) -> Vec<Vec<Numbered<'_>>> {
    let mut turns: Vec<Vec<Numbered<'_>>> = Vec::new();
    let mut next_of_id: BTreeMap<OwnId<'_>, usize> = BTreeMap::new();
    let mut next_of_key: FxHashMap<&AnswerKey, usize> = FxHashMap::default();
    for (place, one) in part {
        let of_ids = own_ids(one).filter_map(|id| next_of_id.get(&id));
        let of_key = one.keep.as_ref().and_then(|keep| next_of_key.get(&keep.at));
        let turn = of_ids.chain(of_key).copied().max().unwrap_or(0);
        next_of_id.extend(own_ids(one).map(|id| (id, turn + 1)));
        next_of_key.extend(one.keep.as_ref().map(|keep| (&keep.at, turn + 1)));
        if turns.len() <= turn {
            turns.push(Vec::new());
        }
        if let Some(turn) = turns.get_mut(turn) {
            turn.push((place, one));
        }
    }
    turns
}

fn own_ids(submission: &Submission) -> impl Iterator<Item = OwnId<'_>> {
    submission
        .events
        .iter()
        .filter_map(|new| Some((submission.account, own_id(&new.event.id)?)))
}

fn own_id(id: &EventId) -> Option<&str> {
    match id {
        EventId::Own(text) => Some(text),
        EventId::Made(_) | EventId::Test(_) => None,
    }
}

async fn store_turn(store: &PostgresStore, turn: &[Numbered<'_>], patience: &Patience, results: &mut Results) -> Outcome<()> {
    for _ in 0..TRIES_MAX {
        let conn = store.inner.pools.hot().await?;
        patience.begin(&conn).await?;
        match try_turn(store, &conn, turn).await {
            Ok(Some(submitted)) => {
                conn.end(Ok(())).await?;
                for (place, one) in submitted {
                    results.set(place, Ok(one));
                }
                return Ok(());
            }
            Ok(None) => conn.roll_back().await,
            Err(fault) => {
                conn.roll_back().await;
                prepare_again(store, turn, fault).await?;
            }
        }
    }
    Err(unavailable("others wrote the same all the time").into())
}

/// One try of a turn, within a transaction. `None` where others have changed what it was judged by: it is to be taken back, and tried again.
async fn try_turn(store: &PostgresStore, conn: &Conn, turn: &[Numbered<'_>]) -> Outcome<Option<Vec<(usize, Submitted)>>> {
    let mut submitted = Vec::with_capacity(turn.len());
    let versions = versions(conn, turn.iter().map(|(_, one)| one.account)).await?;
    let mut going: Vec<Numbered<'_>> = Vec::with_capacity(turn.len());
    for (place, one) in turn {
        match judge_version(one, versions.get(&one.account)) {
            Some(told) => submitted.push((*place, told)),
            None => going.push((*place, one)),
        }
    }
    answer_kept(store, conn, &mut going, &mut submitted).await?;
    let ids = claim_ids(store, conn, &going).await?;
    let mut rows = EventRows::default();
    let mut plans = Vec::with_capacity(going.len());
    let mut freed = BTreeSet::new();
    for (place, one) in &going {
        match plan(one, &ids) {
            Some(Plan::Store(events)) => plans.push((*place, place_events(one, events, &mut rows))),
            Some(Plan::IdTaken { index }) => {
                freed.extend(own_ids(one).filter(|id| ids.new.contains_key(id)));
                submitted.push((*place, Submitted::IdTaken { index }));
            }
            None => return Ok(None),
        }
    }
    free_ids(conn, &freed).await?;
    let major = match rows.is_empty() {
        true => Some(0),
        false => rows.write(conn, store.inner.positions.base).await?,
    };
    let Some(major) = major else {
        return Ok(None);
    };
    for (place, events) in plans {
        let stored: Vec<StoredEvent> = events.into_iter().map(|event| event.stored(major)).collect();
        submitted.push((place, Submitted::Stored(stored)));
    }
    keep_answers(store, conn, &going, &submitted).await?;
    Ok(Some(submitted))
}

/// Takes out those whose answer stands under their key already. The keys of the others are this transaction's from now on.
async fn answer_kept(
    store: &PostgresStore,
    conn: &Conn,
    going: &mut Vec<Numbered<'_>>,
    submitted: &mut Vec<(usize, Submitted)>,
) -> Outcome<()> {
    let (places, keeps): (Vec<usize>, Vec<&Keep>) = going.iter().filter_map(|(place, one)| Some((*place, one.keep.as_ref()?))).unzip();
    if keeps.is_empty() {
        return Ok(());
    }
    let claims = kept::claim_many(conn, &store.inner, &keeps).await?;
    for (place, claim) in places.into_iter().zip(claims) {
        if let Claim::Kept(kept) = claim {
            going.retain(|(other, _)| *other != place);
            submitted.push((place, Submitted::Kept(kept)));
        }
    }
    Ok(())
}

/// Keeps the answers of those that are stored; the keys of the others are free again.
async fn keep_answers(store: &PostgresStore, conn: &Conn, going: &[Numbered<'_>], submitted: &[(usize, Submitted)]) -> Outcome<()> {
    let told: FxHashMap<usize, &Submitted> = submitted.iter().map(|(place, told)| (*place, told)).collect();
    let answer = |(place, one): &Numbered<'_>| match told.get(place) {
        Some(Submitted::Stored(stored)) => one.keep.as_ref().and_then(|keep| (keep.render)(&Written::Events(stored.clone()))),
        _ => None,
    };
    let with_keys = going
        .iter()
        .filter_map(|numbered| Some((numbered.1.keep.as_ref()?, answer(numbered))));
    let answers: Vec<(&Keep, Option<KeptAnswer>)> = with_keys.collect();
    if answers.is_empty() {
        return Ok(());
    }
    kept::put_many(conn, &store.inner, &answers).await
}

/// Callers' own ids that a turn names, at most one for each of its events: those that are new, with the id of ours that they got, and the
/// events of the others.
#[derive(Default)]
struct Ids<'a> {
    new: BTreeMap<OwnId<'a>, Uuid>,
    there: BTreeMap<OwnId<'a>, Arc<Event>>,
}

/// Takes for the turn all ids that nobody has, in their order: so two that do it at once wait for each other, and never in a circle.
async fn claim_ids<'a>(store: &PostgresStore, conn: &Conn, going: &[Numbered<'a>]) -> Outcome<Ids<'a>> {
    let mut asked: BTreeMap<OwnId<'a>, Uuid> = BTreeMap::new();
    for (_, one) in going {
        for new in &one.events {
            if let Some(text) = own_id(&new.event.id) {
                asked.entry((one.account, text)).or_insert_with(|| made_id(store, &new.event));
            }
        }
    }
    if asked.is_empty() {
        return Ok(Ids::default());
    }
    let accounts: Array<Uuid> = asked.keys().map(|(account, _)| Uuid::from_u128(account.as_u128())).collect();
    let texts: Array<&str> = asked.keys().map(|(_, text)| *text).collect();
    let events: Array<Uuid> = asked.values().copied().collect();
    let claimed = conn
        .query(
            "INSERT INTO postrider.event_ids (account, own_id, event) SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[])
             ON CONFLICT DO NOTHING RETURNING event",
            &[&accounts, &texts, &events],
        )
        .await?;
    let claimed: BTreeSet<Uuid> = claimed.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let (new, there): (BTreeMap<_, _>, BTreeMap<_, _>) = asked.into_iter().partition(|(_, event)| claimed.contains(event));
    let there = find_events(conn, there.into_keys().collect()).await?;
    Ok(Ids { new, there })
}

fn made_id(store: &PostgresStore, event: &Event) -> Uuid {
    let mut random = [0; 16];
    store.inner.random.fill(&mut random);
    Uuid::from_u128(MadeEventId::new(event.created_at, u128::from_be_bytes(random)).as_u128())
}

async fn find_events<'a>(conn: &Conn, ids: Vec<OwnId<'a>>) -> Outcome<BTreeMap<OwnId<'a>, Arc<Event>>> {
    let mut found = BTreeMap::new();
    if ids.is_empty() {
        return Ok(found);
    }
    let accounts: Array<Uuid> = ids.iter().map(|(account, _)| Uuid::from_u128(account.as_u128())).collect();
    let texts: Array<&str> = ids.iter().map(|(_, text)| *text).collect();
    let rows = conn
        .query(
            "SELECT o.n, e.name, e.resource_id, e.resource_type, e.created_at, e.body
             FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS o (account, own_id, n)
             JOIN postrider.event_ids i ON i.account = o.account AND i.own_id = o.own_id
             JOIN postrider.events e ON e.account = i.account AND e.id = i.event",
            &[&accounts, &texts],
        )
        .await?;
    for row in &rows {
        let place = usize::try_from(row.try_get::<_, i64>(0)? - 1).map_err(corrupt)?;
        let Some((account, text)) = ids.get(place).copied() else { continue };
        let event = Event {
            id: EventId::own(text).ok_or_else(|| corrupt("an event has an unknown id"))?,
            account,
            name: EventName::parse(row.try_get(1)?).map_err(corrupt)?,
            resource: Resource {
                id: row.try_get(2)?,
                resource_type: row.try_get(3)?,
            },
            created_at: Timestamp::from_millis(row.try_get(4)?),
            body: Bytes::copy_from_slice(row.try_get(5)?),
        };
        found.insert((account, text), Arc::new(event));
    }
    Ok(found)
}

/// What is to be done with a request.
enum Plan {
    /// Store those of its events that are new.
    Store(Vec<Found>),
    /// Nothing, for one of its ids is another event's.
    IdTaken { index: usize },
}

/// An event of a request: new, under this id of ours, or there.
enum Found {
    New(Uuid),
    There(Arc<Event>),
}

/// `None` where an event is gone that was there when its id was asked for.
fn plan(submission: &Submission, ids: &Ids<'_>) -> Option<Plan> {
    let mut firsts: BTreeMap<&str, &Arc<Event>> = BTreeMap::new();
    let mut found = Vec::with_capacity(submission.events.len());
    for (index, new) in submission.events.iter().enumerate() {
        let text = match &new.event.id {
            EventId::Made(id) => {
                found.push(Found::New(Uuid::from_u128(id.as_u128())));
                continue;
            }
            EventId::Own(text) => &**text,
            // No event has one.
            EventId::Test(_) => return Some(Plan::IdTaken { index }),
        };
        let key = (submission.account, text);
        let first = match (firsts.get(text), ids.new.get(&key)) {
            (Some(first), _) => Arc::clone(first),
            (None, Some(id)) => {
                firsts.insert(text, &new.event);
                found.push(Found::New(*id));
                continue;
            }
            (None, None) => Arc::clone(ids.there.get(&key)?),
        };
        if !first.has_same_content(&new.event) {
            return Some(Plan::IdTaken { index });
        }
        found.push(Found::There(first));
    }
    Some(Plan::Store(found))
}

/// An event of a request that is stored: among the rows, or there before.
enum Stored {
    Placed(Placed),
    There(Arc<Event>),
}

impl Stored {
    fn stored(self, major: i64) -> StoredEvent {
        match self {
            Self::Placed(placed) => placed.stored(major),
            Self::There(event) => StoredEvent::Repeated(event),
        }
    }
}

fn place_events<'a>(submission: &'a Submission, found: Vec<Found>, rows: &mut EventRows<'a>) -> Vec<Stored> {
    rows.ask(submission.account, submission.version);
    let in_steps = rows_of(submission) > TRANSACTION_ROWS_MAX;
    let place = |(new, found)| match found {
        Found::New(id) => Stored::Placed(rows.add_event(new, id, in_steps)),
        Found::There(event) => Stored::There(event),
    };
    submission.events.iter().zip(found).map(place).collect()
}

/// Gives ids back whose request is not stored.
async fn free_ids(conn: &Conn, ids: &BTreeSet<OwnId<'_>>) -> Outcome<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let accounts: Array<Uuid> = ids.iter().map(|(account, _)| Uuid::from_u128(account.as_u128())).collect();
    let texts: Array<&str> = ids.iter().map(|(_, text)| *text).collect();
    conn.execute(
        "DELETE FROM postrider.event_ids i USING unnest($1::uuid[], $2::text[]) AS f (account, own_id)
         WHERE i.account = f.account AND i.own_id = f.own_id",
        &[&accounts, &texts],
    )
    .await?;
    Ok(())
}
