//! Records taken in, each at the place that it had. What there is much of comes in arrays, a page in a few statements; the rest is little.

use postrider_model::event::Event;
use postrider_model::id::{EventId, MadeEventId};
use postrider_model::queue::Position;
use postrider_model::time::Timestamp;
use postrider_ports::StoreError;
use postrider_ports::archive::{JobKept, Placed, Record};
use uuid::Uuid;

use crate::archive::registry;
use crate::archive_history::History;
use crate::conn::Conn;
use crate::fault::Outcome;
use crate::param::Param;
use crate::partitions;
use crate::position::columns;
use crate::rows::{account_column, webhook_column};
use crate::store::{Inner, PostgresStore};

/// Makes the partitions that records need.
pub(crate) async fn make_room(store: &PostgresStore, page: &[Placed]) -> Result<(), StoreError> {
    let id = |placed: &Placed| match &placed.record {
        Record::Event { event, .. } => Some(time_of(event).as_u128()),
        Record::Delivery(kept) => Some(kept.delivery.id.as_u128()),
        _ => None,
    };
    partitions::ensure_for(store, page.iter().filter_map(id)).await
}

/// An id of the time of an event's key.
fn time_of(event: &Event) -> Uuid {
    match &event.id {
        EventId::Made(id) => Uuid::from_u128(id.as_u128()),
        EventId::Own(_) | EventId::Test(_) => partitions::first_id(event.created_at),
    }
}

/// Takes a page in.
pub(crate) async fn page(conn: &Conn, inner: &Inner, page: &[Placed]) -> Outcome<()> {
    let mut history = History::default();
    for Placed { position, record } in page {
        match record {
            Record::Event { event, deliveries } => {
                let key = match &event.id {
                    EventId::Made(id) => id.as_u128(),
                    EventId::Own(_) | EventId::Test(_) => MadeEventId::new(event.created_at, inner.random.bits()).as_u128(),
                };
                history.push_event((event, Uuid::from_u128(key)), *position, deliveries);
            }
            Record::Delivery(kept) => history.push_delivery(kept, *position),
            other => one(conn, *position, other).await?,
        }
    }
    registry::write(conn, inner, page).await?;
    history.write(conn).await
}

/// Takes a record in of which there are few.
async fn one(conn: &Conn, position: Position, record: &Record) -> Outcome<()> {
    let (major, minor) = columns(position);
    match record {
        Record::Stopping { account, webhook } => {
            let sql = "INSERT INTO postrider.stopping (account, webhook, major) VALUES ($1, $2, 0)";
            conn.execute(sql, &[&account_column(*account), &webhook_column(*webhook)]).await?;
        }
        Record::Fanout { .. } => fanout(conn, record).await?,
        Record::Job(kept) => insert_job(conn, kept, (major, minor)).await?,
        // These come in arrays.
        Record::Account { .. }
        | Record::Key { .. }
        | Record::Webhook { .. }
        | Record::Answer { .. }
        | Record::Event { .. }
        | Record::Delivery(_) => {}
    }
    Ok(())
}

/// The key of an event that was taken in before, as SQL.
const KEY_OF: &str = "COALESCE($2, (SELECT event FROM postrider.event_ids WHERE account = $1 AND own_id = $3))";

/// What `KEY_OF` is told of an event: our id, or its caller's.
fn key_params(event: &EventId) -> (Option<Uuid>, Option<&str>) {
    match event {
        EventId::Made(id) => (Some(Uuid::from_u128(id.as_u128())), None),
        EventId::Own(text) => (None, Some(text)),
        EventId::Test(_) => (None, None),
    }
}

async fn fanout(conn: &Conn, record: &Record) -> Outcome<()> {
    let Record::Fanout {
        account,
        event,
        chunk,
        created_at,
        pairs,
    } = record
    else {
        return Ok(());
    };
    let pair = |(delivery, webhook): &(_, _)| -> [[u8; 16]; 2] {
        let (delivery, webhook): (&postrider_model::id::DeliveryId, &postrider_model::id::WebhookId) = (delivery, webhook);
        [delivery.as_u128().to_be_bytes(), webhook.as_u128().to_be_bytes()]
    };
    let pairs: Vec<u8> = pairs.iter().flat_map(pair).flatten().collect();
    let (made, own) = key_params(event);
    let chunk = i32::try_from(*chunk).unwrap_or(i32::MAX);
    let sql = format!("INSERT INTO postrider.fanouts (account, event, chunk, created_at, pairs) VALUES ($1, {KEY_OF}, $4, $5, $6)");
    let params: [&dyn Param; 6] = [&account_column(*account), &made, &own, &chunk, &created_at.as_millis(), &pairs];
    conn.execute(&sql, &params).await?;
    Ok(())
}

async fn insert_job(conn: &Conn, kept: &JobKept, (major, minor): (i64, i32)) -> Outcome<()> {
    let (job, recovery) = (&kept.job, kept.recovery);
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let (made, own) = kept.through.as_ref().map_or((None, None), key_params);
    let sql = format!(
        "INSERT INTO postrider.jobs (account, id, major, minor, kind, webhook, since, until, what, status, counted, done, total, error,
                                     ended_at, created_at, modified_at, through_major, through_minor)
         SELECT $1, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
                COALESCE((SELECT e.major FROM postrider.events e WHERE e.account = $1 AND e.id = {KEY_OF}), 0),
                COALESCE((SELECT e.minor FROM postrider.events e WHERE e.account = $1 AND e.id = {KEY_OF}), 0)"
    );
    let params: [&dyn Param; 19] = [
        &account_column(job.account),
        &made,
        &own,
        &Uuid::from_u128(job.id.as_u128()),
        &major,
        &minor,
        &(job.kind as i16),
        &webhook_column(recovery.webhook),
        &recovery.since.as_millis(),
        &recovery.until.as_millis(),
        &(recovery.what as i16),
        &(job.status as i16),
        &number(kept.counted),
        &number(job.done),
        &job.total.map(number),
        &job.error.as_deref(),
        &job.ended_at.map(Timestamp::as_millis),
        &job.created_at.as_millis(),
        &job.modified_at.as_millis(),
    ];
    conn.execute(&sql, &params).await?;
    Ok(())
}
