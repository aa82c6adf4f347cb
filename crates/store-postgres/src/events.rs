//! Events: stored with their deliveries, a group of requests in one statement.
//!
//! Requests that need a look at what is there (callers' own ids, idempotency keys) take a way of their own, in `careful`; the others wait
//! for none of that.

mod results;

use std::collections::BTreeMap;

use postrider_model::id::{AccountId, EventId, WebhookId};
use postrider_model::limits::TRANSACTION_ROWS_MAX;
use postrider_ports::StoreError;
use postrider_ports::registry::AccountVersion;
use postrider_ports::store::{Submission, Submitted};
use uuid::Uuid;

use crate::careful::{self, Patience};
use crate::conn::Conn;
use crate::event_rows::{EventRows, Placed, bytes_of, rows_of};
use crate::fault::{Fault, Outcome, unavailable};
use crate::param::Array;
use crate::partitions;
use crate::store::PostgresStore;

pub(crate) use results::Results;

/// Bytes of bodies in one statement, the first request's whatever their size: PostgreSQL takes no message above 1 GiB.
const STATEMENT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How often the same is tried again where two transactions stood in each other's way, or an account changed in the midst of it.
const TRIES_MAX: usize = 10;

/// A request of a group, and where in the group it stands.
pub(crate) type Numbered<'a> = (usize, &'a Submission);

/// Stores the events of many requests.
pub(crate) async fn commit(store: &PostgresStore, group: &[Submission]) -> Result<Vec<Submitted>, StoreError> {
    let mut results = Results::of(group);
    let (plain, with_care): (Vec<Numbered<'_>>, Vec<_>) = group.iter().enumerate().partition(|(_, one)| is_plain(one));
    for part in parts(plain) {
        commit_plain(store, part, &mut results).await;
    }
    let mut patience = Patience::default();
    for part in parts(with_care) {
        careful::commit(store, part, &mut patience, &mut results).await;
    }
    results.answer()
}

/// Whether nothing of a request can be there already.
fn is_plain(submission: &Submission) -> bool {
    submission.keep.is_none() && submission.events.iter().all(|new| matches!(new.event.id, EventId::Made(_)))
}

/// Parts that fit into a transaction each.
fn parts(group: Vec<Numbered<'_>>) -> Vec<Vec<Numbered<'_>>> {
    let mut parts: Vec<Vec<Numbered<'_>>> = Vec::new();
    let (mut rows, mut bytes) = (0, 0);
    for one in group {
        let (more_rows, more_bytes) = (rows_of(one.1), bytes_of(one.1));
        match parts.last_mut() {
            Some(part) if rows + more_rows <= TRANSACTION_ROWS_MAX && bytes + more_bytes <= STATEMENT_BYTES_MAX => {
                rows += more_rows;
                bytes += more_bytes;
                part.push(one);
            }
            _ => {
                (rows, bytes) = (more_rows, more_bytes);
                parts.push(vec![one]);
            }
        }
    }
    parts
}

/// Stores requests of which nothing can be there. Where they fail they are split, until the guilty one stands alone. They wait for no rows of
/// others: whoever has a lock that they want has the table, and halves would wait for it as well.
async fn commit_plain(store: &PostgresStore, part: Vec<Numbered<'_>>, results: &mut Results) {
    let mut left = vec![part];
    while let Some(mut part) = left.pop() {
        match store_plain(store, &mut part, results).await {
            Ok(()) => {}
            Err(fault) => {
                if let Some(halves) = blame(part, fault, results) {
                    left.extend(halves);
                }
            }
        }
    }
}

/// The halves of a part, the first of them last.
pub(crate) fn halves<'a>(mut part: Vec<Numbered<'a>>) -> [Vec<Numbered<'a>>; 2] {
    let second = part.split_off(part.len() / 2);
    [second, part]
}

/// Says what a part is told that failed: all of it, or its halves are to be tried.
pub(crate) fn blame<'a>(part: Vec<Numbered<'a>>, fault: Fault, results: &mut Results) -> Option<[Vec<Numbered<'a>>; 2]> {
    if fault.is_of_one_call() && part.len() > 1 {
        return Some(halves(part));
    }
    let is_guilty = fault.is_of_one_call();
    let error = fault.into_commit_error();
    for (place, _) in part {
        let error = error.clone();
        results.set(place, if is_guilty { Ok(Submitted::Refused(error)) } else { Err(error) });
    }
    None
}

/// Stores requests in one statement; those of accounts that have changed are told so, and the others stored without them.
async fn store_plain(store: &PostgresStore, part: &mut Vec<Numbered<'_>>, results: &mut Results) -> Outcome<()> {
    let conn = store.inner.pools.hot().await?;
    let mut tries = 0;
    while !part.is_empty() {
        let mut rows = EventRows::default();
        let placed: Vec<Vec<Placed>> = part.iter().map(|(_, one)| rows.add(one)).collect();
        match rows.write(&conn, store.inner.positions.base).await {
            Ok(Some(major)) => {
                let targets = |one: &'_ Submission| -> Vec<(AccountId, WebhookId)> {
                    let deliveries = one.events.iter().flat_map(|new| &new.deliveries);
                    deliveries.map(|(_, webhook)| (one.account, *webhook)).collect()
                };
                store.inner.marks.note(part.iter().flat_map(|(_, one)| targets(one)));
                for ((place, _), placed) in part.drain(..).zip(placed) {
                    let stored = placed.into_iter().map(|one| one.stored(major)).collect();
                    results.set(place, Ok(Submitted::Stored(stored)));
                }
            }
            Ok(None) => leave_out_stale(&conn, part, results).await?,
            Err(fault) => prepare_again(store, part, fault).await?,
        }
        tries += 1;
        if tries > TRIES_MAX {
            return Err(unavailable("others wrote the same all the time").into());
        }
    }
    Ok(())
}

/// Makes ready for another try where that may help; else gives the fault back.
pub(crate) async fn prepare_again(store: &PostgresStore, part: &[Numbered<'_>], fault: Fault) -> Outcome<()> {
    if fault.is_missing_partition() {
        let events = part.iter().flat_map(|(_, one)| &one.events);
        let ids = events.clone().filter_map(|new| match &new.event.id {
            EventId::Made(id) => Some(id.as_u128()),
            _ => None,
        });
        // The id of ours that an event with its caller's own id gets is of this time.
        let times = events.map(|new| partitions::first_id(new.event.created_at).as_u128());
        return Ok(partitions::ensure_for(store, ids.chain(times)).await?);
    }
    if fault.is_worth_another_try() { Ok(()) } else { Err(fault) }
}

/// The versions of those accounts that are there.
pub(crate) async fn versions(conn: &Conn, accounts: impl IntoIterator<Item = AccountId>) -> Outcome<BTreeMap<AccountId, AccountVersion>> {
    let accounts: Array<Uuid> = accounts.into_iter().map(|account| Uuid::from_u128(account.as_u128())).collect();
    let rows = conn
        .query(
            "SELECT a.id, a.version FROM unnest($1::uuid[]) AS asked (account)
             JOIN postrider.accounts a ON a.id = asked.account AND a.deleted_at IS NULL",
            &[&accounts],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let (account, version): (Uuid, i64) = (row.try_get(0)?, row.try_get(1)?);
            Ok((AccountId::from_u128(account.as_u128()), AccountVersion(version.unsigned_abs())))
        })
        .collect()
}

/// What a request is told whose account has not the version it was made with.
pub(crate) fn judge_version(submission: &Submission, now: Option<&AccountVersion>) -> Option<Submitted> {
    match now {
        None => Some(Submitted::NoAccount),
        Some(version) if *version != submission.version => Some(Submitted::Stale),
        Some(_) => None,
    }
}

async fn leave_out_stale(conn: &Conn, part: &mut Vec<Numbered<'_>>, results: &mut Results) -> Outcome<()> {
    let now = versions(conn, part.iter().map(|(_, one)| one.account)).await?;
    part.retain(|(place, one)| match judge_version(one, now.get(&one.account)) {
        Some(told) => {
            results.set(*place, Ok(told));
            false
        }
        None => true,
    });
    Ok(())
}
