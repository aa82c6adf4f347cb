//! Ids, times and pages as columns hold them.

use postrider_model::id::{AccountId, WebhookId};
use postrider_model::key::KeyOwner;
use postrider_model::queue::Position;
use postrider_model::time::Timestamp;
use postrider_ports::page::{Page, PageAsk};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::fault::Outcome;
use crate::position::{self, Positions};

/// An account as a column holds it.
pub(crate) const fn account_column(id: AccountId) -> Uuid {
    Uuid::from_u128(id.as_u128())
}

/// A webhook as a column holds it.
pub(crate) const fn webhook_column(id: WebhookId) -> Uuid {
    Uuid::from_u128(id.as_u128())
}

/// An owner of keys as a column holds it: all zeroes for the operator, which no account's id is, for it begins with the time.
pub(crate) const fn owner_column(owner: KeyOwner) -> Uuid {
    match owner {
        KeyOwner::Operator => Uuid::nil(),
        KeyOwner::Account(id) => account_column(id),
    }
}

/// The 128 bits of an id.
pub(crate) fn id(row: &Row, column: usize) -> Outcome<u128> {
    Ok(row.try_get::<_, Uuid>(column)?.as_u128())
}

/// A time.
pub(crate) fn time(row: &Row, column: usize) -> Outcome<Timestamp> {
    Ok(Timestamp::from_millis(row.try_get(column)?))
}

/// A time that may be missing.
pub(crate) fn maybe_time(row: &Row, column: usize) -> Outcome<Option<Timestamp>> {
    Ok(row.try_get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

/// The place of a row, in this column and the next.
pub(crate) fn place(row: &Row, column: usize) -> Outcome<Position> {
    Ok(Positions::stored(row.try_get(column)?, row.try_get(column + 1)?))
}

/// Where a page of rows begins: before this place.
pub(crate) fn before(page: PageAsk) -> (i64, i32) {
    page.after.map_or((i64::MAX, i32::MAX), position::columns)
}

/// How many rows a page reads: one more than it shows, to see whether there is more.
pub(crate) fn limit(page: PageAsk) -> i64 {
    i64::try_from(page.limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// A page of rows that were read one further than asked for.
pub(crate) fn page_of<T>(mut rows: Vec<(Position, T)>, limit: usize) -> Page<T> {
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = has_more.then(|| rows.last().map(|(place, _)| *place)).flatten();
    Page {
        rows: rows.into_iter().map(|(_, row)| row).collect(),
        next,
    }
}
