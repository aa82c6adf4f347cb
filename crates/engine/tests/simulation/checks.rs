//! What must hold when everything is over.

use std::collections::BTreeMap;

use postrider_model::delivery::{DeliveryRecord, FailedReason, Status};
use postrider_model::id::{EventId, WebhookId};
use postrider_model::limits::EXPIRY_GRACE;

use postrider_ports::Clock as _;

use crate::calls::age;
use crate::world::World;

/// What is still pending.
pub(crate) fn stuck(world: &World) -> String {
    let records = world.shared.store.look_deliveries();
    let stuck: Vec<_> = records.iter().filter(|record| !record.delivery.status.is_final()).collect();
    let (load, wall) = (world.load(), world.shared.clock.wall());
    format!(
        "{} deliveries never end, at {wall} with {load:?}; the first is {:?}",
        stuck.len(),
        stuck.first()
    )
}

/// Holds the book against the store and what the receivers saw.
///
/// # Errors
/// What is wrong.
pub(crate) fn all(world: &World) -> Result<(), String> {
    let records = world.shared.store.look_deliveries();
    for record in &records {
        numbers(record)?;
        ending(world, record).map_err(|wrong| format!("{wrong}: {record:?}"))?;
    }
    nothing_lost(world, &records)?;
    deleted_stay_deleted(world)
}

/// Attempts count 1, 2, 3 and so on, and only the last can have succeeded.
fn numbers(record: &DeliveryRecord) -> Result<(), String> {
    let numbers: Vec<u32> = record.attempts.iter().map(|attempt| attempt.number).collect();
    let expected: Vec<u32> = (1..=record.delivery.progress.attempts).collect();
    let successes = record.attempts.iter().filter(|attempt| attempt.error.is_none()).count();
    let last_succeeded = record.attempts.last().is_some_and(|attempt| attempt.error.is_none());
    let has_succeeded = matches!(record.delivery.status, Status::Succeeded { .. });
    if numbers == expected && successes == usize::from(has_succeeded) && last_succeeded == has_succeeded {
        Ok(())
    } else {
        Err(format!("attempts do not count: {record:?}"))
    }
}

fn ending(world: &World, record: &DeliveryRecord) -> Result<(), &'static str> {
    let delivery = &record.delivery;
    let is_right = match delivery.status {
        Status::Pending { .. } => return Err("not over"),
        Status::Succeeded { .. } => world.shared.receivers.has_acknowledged(delivery.id),
        Status::Failed {
            reason: FailedReason::Exhausted,
            ..
        } => delivery.progress.in_schedule() == world.attempts_max(),
        Status::Failed {
            reason: FailedReason::Expired,
            at,
        } => age(at, delivery.progress.schedule_began_at) > world.lanes().schedule.length() + EXPIRY_GRACE,
        Status::Failed {
            reason: FailedReason::WebhookDeleted,
            ..
        } => world.shared.store.look_webhook(delivery.account, delivery.webhook).is_none(),
    };
    if is_right { Ok(()) } else { Err("it has not earned its status") }
}

/// Every event that was acknowledged is there, with a delivery for each webhook that wanted it, and none besides.
fn nothing_lost(world: &World, records: &[DeliveryRecord]) -> Result<(), String> {
    let mut made: BTreeMap<(EventId, WebhookId), usize> = BTreeMap::new();
    for record in records {
        if let Some(event) = &record.delivery.event {
            *made.entry((event.clone(), record.delivery.webhook)).or_default() += 1;
        }
    }
    for ((event, webhook), count) in &made {
        let retries = world.shared.book.retries_asked(*webhook, Some(event.clone()));
        let recoveries = world.shared.book.recoveries_asked(*webhook).unwrap_or(0);
        if *count > 1 + retries + recoveries {
            return Err(format!(
                "{event} has {count} deliveries to {webhook}, {retries} retries and {recoveries} recoveries were asked for"
            ));
        }
    }
    for acknowledged in world.shared.book.all_acknowledged() {
        let (account, event) = (acknowledged.account, &acknowledged.event);
        if world.shared.book.is_given_up(account) {
            continue;
        }
        if world.shared.store.look_event(account, event).is_none() {
            return Err(format!("{event} was acknowledged and is gone"));
        }
        let Some(wanted_by) = acknowledged.wanted_by else { continue };
        for (_, webhook) in world.shared.book.webhooks() {
            let is_made = made.contains_key(&(event.clone(), webhook));
            let is_own = wanted_by.contains(&webhook);
            // A caller's own id may be known to two accounts; their webhooks differ.
            let is_of_account = world.shared.book.webhooks().contains(&(account, webhook));
            // A recovery makes what today's filters want.
            let is_recovered = world.shared.book.recoveries_asked(webhook).is_some();
            if is_of_account && is_made != is_own && !(is_recovered && is_made) {
                return Err(format!("{event} to {webhook}: wanted {is_own}, made {is_made}"));
            }
        }
    }
    let all: std::collections::BTreeSet<_> = records.iter().map(|record| record.delivery.id).collect();
    let is_lost = |of: &&(_, _)| !all.contains(&of.1) && !world.shared.book.is_given_up(of.0);
    match world.shared.book.tests().iter().find(is_lost) {
        Some((_, test)) => Err(format!("the test {test} was acknowledged and is gone")),
        None => Ok(()),
    }
}

fn deleted_stay_deleted(world: &World) -> Result<(), String> {
    let webhooks = world.shared.book.webhooks();
    for (account, webhook) in webhooks {
        let is_there = world.shared.store.look_webhook(account, webhook).is_some();
        if is_there && world.shared.book.deleted().contains(&webhook) {
            return Err(format!("{webhook} was deleted and is back"));
        }
    }
    Ok(())
}
